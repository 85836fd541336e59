"""One look at every picture of a table: is it there, what are its bytes, pixels and hash."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import imagehash
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageOps

from agelens.data.store.cutting import PictureSource, Root, picture_source
from agelens.errors import PhotoError
from agelens.imaging.detectors import Detector
from agelens.imaging.folders import FOLDERS
from agelens.imaging.photos import IN_FLIGHT, read_photo
from agelens.inference.estimator import available_cores
from agelens.inference.ordered import ordered_map
from agelens.progress import Progress
from agelens.records import RGB
from agelens.tables import SampleTable

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


_NO_HASH = np.zeros(WORDS, dtype=np.uint64)


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """What was seen of a table's pictures, each of them once.

    `frame` has a row a picture: `dataset`, `path`, `status` (as in `PhotoError`), `message`,
    `sha256` of its bytes and `pixels` of its upright pixels, `faces` found (missing where nobody
    looked), `hashed` (false for a blank or unreadable one). `place` [N] is the picture of each
    row of the table; `hashes` [P, 5] and `mirrored` are those of `perceptual_hash`.
    """

    frame: pd.DataFrame
    place: np.ndarray
    hashes: Hashes
    mirrored: Hashes | None


@dataclass(frozen=True, slots=True)
class _Look:
    source: PictureSource
    detector: Detector | None
    mirrored: bool

    @IN_FLIGHT.one_photo()
    def __call__(self, picture: tuple[str, str]) -> tuple[dict[str, object], Hashes, Hashes]:
        dataset, path = picture
        try:
            source = self.source(dataset, path)
            rgb = read_photo(source, name=path).rgb
            data = _bytes_sha256(source)
        except PhotoError as error:
            seen = {"status": error.status, "message": str(error), "hashed": False}
            return seen, _NO_HASH, _NO_HASH
        straight = perceptual_hash(rgb)
        mirror = perceptual_hash(rgb, mirrored=True) if self.mirrored else None
        seen = {
            "status": "ok",
            "sha256": data,
            "pixels": _pixels_sha256(rgb),
            "faces": None if self.detector is None else len(self.detector.detect(rgb)),
            "hashed": straight is not None,
        }
        first, second = (_NO_HASH if bits is None else bits for bits in (straight, mirror))
        return seen, first, second


def look_at_pictures(
    table: SampleTable,
    root: Root,
    *,
    detector: Detector | None = None,
    mirrored: bool = False,
    workers: int | None = None,
    on_progress: Progress | None = None,
) -> Pictures:
    """Read every picture of `table` once; what cannot be read is a row with its status.

    Args:
        table: rows may share a picture.
        root: as `agelens.data.store.cutting.picture_source` takes it.
        detector: counts the faces; None to save the time.
        mirrored: hash mirror images as well.
        workers: threads; all available cores by default.
        on_progress: called with pictures done and pictures in all.

    Raises:
        UsageError: a dataset without a root, or a root that holds none of the pictures.
    """
    names = table.frame[["dataset", "path"]].astype(object)
    place = names.groupby(["dataset", "path"], sort=False).ngroup().to_numpy()
    frame = names.drop_duplicates().reset_index(drop=True)
    look = _Look(picture_source(root, table), detector, mirrored)
    threads = workers or available_cores()
    with ThreadPoolExecutor(threads, thread_name_prefix="agelens") as pool:
        pictures = frame.itertuples(index=False, name=None)
        seen = []
        for one in ordered_map(pool, look, pictures, window=4 * threads):
            seen.append(one)
            if on_progress:
                on_progress(len(seen), len(frame))
    columns = ("status", "message", "sha256", "pixels", "faces", "hashed")
    facts = {name: pd.Series([row.get(name) for row, _, _ in seen]) for name in columns}
    words = np.array([both for _, *both in seen], dtype=np.uint64).reshape(-1, 2, WORDS)
    return Pictures(
        frame.assign(**facts),
        place,
        words[:, 0].copy(),
        words[:, 1].copy() if mirrored else None,
    )


def _bytes_sha256(source: object) -> str:
    if isinstance(source, bytes | bytearray | memoryview):
        return hashlib.sha256(source).hexdigest()
    if isinstance(source, str | os.PathLike):
        try:
            with Path(source).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            FOLDERS.check(source)
            raise PhotoError(f"it went away while it was read: {error.strerror}") from error
    return ""  # pixels that never were a file


def _pixels_sha256(rgb: RGB) -> str:
    digest = hashlib.sha256(
        np.array(rgb.shape[:2], dtype="<u4").tobytes()
    )  # 2 x 8 pixels are not 4 x 4
    digest.update(np.ascontiguousarray(rgb).data)
    return digest.hexdigest()
