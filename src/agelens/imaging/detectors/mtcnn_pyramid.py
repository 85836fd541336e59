"""The image pyramid of MTCNN, all levels packed on one canvas so that P-Net runs once.

P-Net is fully convolutional: over any picture it judges windows of 12 pixels, one every
two pixels. Only windows that lie inside one level count, so levels need no gaps between
them. P-Net's 2 x 2 pooling must not straddle two levels, though: hence even places and
even sizes. Its outputs are then those of a separate run over each level.

The canvas has x before y, as MTCNN's networks do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from agelens.records import RGB, Floats

WINDOW: Final = 12
STRIDE: Final = 2


@dataclass(frozen=True, slots=True)
class Level:
    """One level: the photo at `width` x `height` pixels, its corner at `x`, `y` on the canvas."""

    width: int
    height: int
    x: int
    y: int

    @property
    def stop(self) -> tuple[int, int]:
        """The canvas column and row just behind the level, made even."""
        return self.x + _even(self.width), self.y + _even(self.height)

    @property
    def pixels(self) -> tuple[slice, slice]:
        """The level's part of the canvas."""
        return slice(self.x, self.stop[0]), slice(self.y, self.stop[1])

    @property
    def windows(self) -> tuple[slice, slice]:
        """Those of P-Net's outputs over the canvas whose window lies inside the level."""
        behind_x, behind_y = (1 + (stop - WINDOW) // STRIDE for stop in self.stop)
        return slice(self.x // STRIDE, behind_x), slice(self.y // STRIDE, behind_y)


@lru_cache(maxsize=32)
def plan_pyramid(
    height: int, width: int, min_face_px: int, scale_factor: float
) -> tuple[Level, ...]:
    """The levels of a `height` x `width` photo, none where it is smaller than the smallest face."""
    scale = WINDOW / min_face_px
    sizes = []
    while min(height, width) * scale >= WINDOW:
        sizes.append((math.ceil(width * scale), math.ceil(height * scale)))
        scale *= scale_factor
    # Largest first, each where the levels so far reach least far down. A canvas as wide as
    # the first two levels wastes about a seventh of its area.
    reach = np.zeros(sum(_even(columns) for columns, _ in sizes[:2]), dtype=np.intp)
    levels = []
    for columns, rows in sizes:
        free_from = sliding_window_view(reach, _even(columns)).max(axis=1)[::STRIDE]
        level = Level(columns, rows, STRIDE * int(free_from.argmin()), int(free_from.min()))
        reach[level.x : level.stop[0]] = level.stop[1]
        levels.append(level)
    return tuple(levels)


def paint_pyramid(rgb: RGB, levels: Sequence[Level]) -> RGB:
    """All levels of `rgb` on one canvas, uint8 [columns, rows, 3]."""
    canvas = np.zeros((*np.max([level.stop for level in levels], axis=0), 3), dtype=np.uint8)
    for level in levels:
        small = cv2.resize(rgb, (level.width, level.height), interpolation=cv2.INTER_AREA)
        odd = (0, level.height % 2, 0, level.width % 2)
        even = cv2.copyMakeBorder(small, *odd, cv2.BORDER_REPLICATE)
        canvas[level.pixels] = even.transpose(1, 0, 2)
    return canvas


def windows_above(
    scores: NDArray[np.float32], levels: Sequence[Level], limit: float, *, size_wh: tuple[int, int]
) -> tuple[Floats, tuple[NDArray[np.intp], NDArray[np.intp]], NDArray[np.intp]]:
    """Windows that P-Net scores above `limit`.

    Args:
        scores: P-Net's face scores over the canvas.
        levels: what is on the canvas.
        limit: score to exceed.
        size_wh: width and height of the photo.

    Returns:
        boxes [N, 4] in pixels of the photo, their places [N], [N] in `scores`, and the number
        of each one's level [N].
    """
    inside = [np.argwhere(scores[level.windows] > limit) for level in levels]
    level_of = np.repeat(np.arange(len(levels)), [len(cells) for cells in inside])
    in_level = np.concatenate(inside)
    start = np.array([[level.x, level.y] for level in levels])[level_of]
    # The scale that rounding to whole pixels gave the level, not the one that was asked for.
    enlarge = np.array(size_wh) / np.array([[level.width, level.height] for level in levels])
    corner = STRIDE * in_level
    boxes = np.hstack([corner, corner + WINDOW]) * np.tile(enlarge[level_of], 2)
    cells = in_level + start // STRIDE
    return boxes, (cells[:, 0], cells[:, 1]), level_of


def _even(length: int) -> int:
    return length + length % 2
