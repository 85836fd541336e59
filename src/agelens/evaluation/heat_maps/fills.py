"""What takes a hidden place's pixels: nothing can be hidden by nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import cv2
import numpy as np

from agelens.errors import UnknownNameError
from agelens.records import RGB

_BLUR_SHARE: Final = 1 / 12  # of the chip's side: wrinkles go, eyes become shadows


def _mean(chip: RGB) -> RGB:
    colour = np.round(chip.mean(axis=(0, 1)))
    return np.broadcast_to(colour, chip.shape).astype(np.uint8)


def _blur(chip: RGB) -> RGB:
    return np.asarray(cv2.GaussianBlur(chip, (0, 0), len(chip) * _BLUR_SHARE), dtype=np.uint8)


FILLS: Final[dict[str, Callable[[RGB], RGB]]] = {"mean": _mean, "blur": _blur}
"""``mean`` is the chip's mean colour, which has edges; ``blur`` the chip out of focus, which
hides what is fine and leaves what is large."""


def filled(chip: RGB, fill: str) -> RGB:
    """`chip` [S, S, 3] with all of it hidden.

    Raises:
        UnknownNameError: `fill` is none of `FILLS`.
    """
    if fill not in FILLS:
        raise UnknownNameError("fill", fill, FILLS)
    return FILLS[fill](chip)
