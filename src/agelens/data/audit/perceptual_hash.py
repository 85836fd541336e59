"""A picture as 320 bits that survive re-encoding, shrinking and brightening.

The perceptual hash (Zauner, 2010; `imagehash.phash`) shrinks a picture to 32 x 32 grey
pixels, takes their cosine transform and keeps of each low frequency whether it is above the
median. Here it is taken twice of the same pixels: of 8 x 8 frequencies, 64 bits that find
candidates fast, and of 16 x 16, 256 bits that decide.

Why 64 bits alone do not do: aligned faces all look alike to them. Of the 30 million pairs of 7,809
UTKFace chips, 2,577 lie within the coarse bound, and 195 within both.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from agelens.records import RGB

Hashes: TypeAlias = NDArray[np.uint64]

WORDS: Final = 5
"""uint64 words of a hash: one coarse, then four fine ones."""

# Measured on UTKFace's chips, 601 of them changed, and all 7,809 compared with each other
# (`benchmarks/audit.py found`; share of the changed copies within both bounds):
#   JPEG quality 50, half size, 20 % darker   100 %
#   20 % brighter (highlights clip)           99.8 %
#   2 % cropped (1 % a side)                  99.8 %
#   all of these at once                      99.5 %
#   turned by 2 degrees                       94 %
#   4 % cropped (2 % a side)                  84 %
#   10 % cropped, mirrored                    0 %; mirrored ones have hashes of their own
# Within both bounds lie 195 pairs of chips; the nine furthest apart (fine 34 to 52) were looked
# at, and each is one photo twice. Wider bounds join other people alike in pose and light: the
# pairs grow from 197 at a fine distance of 54 to 248 at 64 and 346 at 70. Half of the bits are
# above their median, so distances are even.
MOST_COARSE: Final = 8
MOST_FINE: Final = 48

_SIDE: Final = 32
_LEAST_SPREAD: Final = 2.0


def perceptual_hash(rgb: RGB, *, mirrored: bool = False) -> Hashes | None:
    """The hash [5] of a photo, uint8 [H, W, 3], or of its mirror image.

    None where the picture is one flat colour: its bits would be noise, and alike in all such.
    """
    grey = Image.fromarray(rgb).convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    if np.asarray(grey).std() < _LEAST_SPREAD:
        return None
    if mirrored:
        grey = ImageOps.mirror(grey)
    coarse = imagehash.phash(grey, hash_size=8, highfreq_factor=_SIDE // 8)
    fine = imagehash.phash(grey, hash_size=16, highfreq_factor=_SIDE // 16)
    bits = np.concatenate([coarse.hash.ravel(), fine.hash.ravel()])
    return np.packbits(bits).view(">u8").astype(np.uint64)
