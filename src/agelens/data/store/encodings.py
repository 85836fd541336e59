"""Chips as encoded pictures, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np

from agelens.errors import UnknownNameError, UsageError
from agelens.records import RGB

DEFAULT_QUALITY: Final = 95

_SUFFIXES: Final = {"jpeg": ".jpg", "png": ".png", "webp": ".webp"}
# Full colour resolution: at 64 to 112 pixels halved chroma takes the rim of eyes and lips.
_QUALITY_FLAGS: Final = {
    "jpeg": (
        *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
        cv2.IMWRITE_JPEG_QUALITY,
    ),
    "webp": (cv2.IMWRITE_WEBP_QUALITY,),
}


@dataclass(frozen=True, slots=True)
class ChipEncoding:
    """How chips are encoded: the same pixels give the same bytes.

    Args:
        name: ``jpeg``, ``webp`` or ``png``, which loses nothing.
        quality: 1 to 100 for the first two, 95 by default; PNG has none.

    Raises:
        UnknownNameError: another name.
        UsageError: a quality out of range, or for PNG.
    """

    name: str = "jpeg"
    quality: int | None = None

    def __post_init__(self) -> None:
        if self.name not in _SUFFIXES:
            raise UnknownNameError("chip encoding", self.name, _SUFFIXES)
        if self.name == "png":
            if self.quality is not None:
                raise UsageError("PNG has no quality: leave it out, or choose 'jpeg' or 'webp'")
            return
        quality = DEFAULT_QUALITY if self.quality is None else self.quality
        if not 1 <= quality <= 100:
            raise UsageError(f"quality must be 1 to 100, got {quality}")
        object.__setattr__(self, "quality", quality)

    def encode(self, rgb: RGB) -> bytes:
        """The chip [S, S, 3] as the bytes of a picture file."""
        flags = _QUALITY_FLAGS.get(self.name, ())
        parameters = [*flags, self.quality] if self.quality is not None else []
        _, encoded = cv2.imencode(
            _SUFFIXES[self.name], cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), parameters
        )
        return encoded.tobytes()


def decode_chip(encoded: Any, out: RGB | None = None) -> RGB | None:
    """The chip [S, S, 3] in `encoded` (bytes or another buffer); None where it is damaged.

    Args:
        encoded: what `ChipEncoding.encode` gave.
        out: uint8 [S, S, 3], C-contiguous, to decode into.
    """
    bgr = cv2.imdecode(np.frombuffer(encoded, dtype=np.uint8), cv2.IMREAD_COLOR)
    if bgr is None or (out is not None and bgr.shape != out.shape):
        return None
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, dst=out), dtype=np.uint8)
