"""Arrays as photos: which ones are taken, and what to do about the others."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from agelens.errors import PhotoError
from agelens.imaging.colour import srgb_pixels
from agelens.records import RGB


def array_pixels(array: NDArray[Any], name: str, *, bgr: bool = False) -> RGB:
    """`array` as uint8 RGB [H, W, 3], C-contiguous; itself where it is that already.

    Args:
        array: uint8 [H, W, 3], [H, W, 4] with alpha, which lies over white, or [H, W] grey.
        name: what errors call it.
        bgr: the channels come as blue, green, red.

    Raises:
        PhotoError: another type or shape; the message names it, and no pixel.
    """
    channels = 1 if array.ndim == 2 else array.shape[2] if array.ndim == 3 else 0
    taken = array.ndim == 2 or channels in (3, 4)
    if array.dtype != np.uint8 or not taken or not array.size:
        raise PhotoError(f"{name}: {_what_is_wrong(array)}")
    pixels = np.ascontiguousarray(array)
    if channels == 1:
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB), dtype=np.uint8)
    if channels == 4:
        rgba = cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA) if bgr else pixels
        return srgb_pixels(Image.fromarray(rgba), name)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB) if bgr else pixels, dtype=np.uint8)


def _what_is_wrong(array: NDArray[Any]) -> str:
    """What was expected, what came, and the usual way from one to the other."""
    got = (
        "expected an array uint8 [H, W, 3], [H, W, 4] or [H, W], got "
        f"{array.dtype} {list(array.shape)}; "
    )
    if not array.size:
        return f"{got}it has no pixels"
    if array.dtype != np.uint8:
        return f"{got}scale it to 0..255, round, and convert it with .astype(numpy.uint8)"
    if array.ndim == 3 and array.shape[0] in (1, 3, 4):
        return f"{got}put the channels last with .transpose(1, 2, 0)"
    return f"{got}pass one picture at a time, with 1, 3 or 4 channels"
