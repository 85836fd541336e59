"""Pictures in a grid, each with a few words below it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from agelens.evaluation.reports.canvas import drawable, panels
from agelens.imaging.detectors.base import bounded_copy
from agelens.records import RGB, Floats

TILE_PIXELS: Final = 160
_LONGEST_LINE: Final = 30
_TILE_INCHES: Final = 1.6
_LINE_INCHES: Final = 0.15
_SURROUNDINGS: Final = 0.4


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """A small picture, uint8 [H, W, 3], and the lines of its caption."""

    rgb: RGB
    lines: Sequence[str]


def contact_sheet(tiles: Sequence[Tile], *, columns: int = 6) -> Figure:
    """The tiles row by row; at least one."""
    columns = min(columns, max(len(tiles), 2))
    rows = -(-len(tiles) // columns)
    lines = max(len(tile.lines) for tile in tiles)
    size = (_TILE_INCHES * columns, (_TILE_INCHES + _LINE_INCHES * lines) * rows)
    figure, grid = panels(columns, rows=rows, size_inches=size)
    axes: list[Axes] = grid.ravel().tolist()
    for panel in axes:
        panel.set(xticks=[], yticks=[])
        panel.spines[:].set_visible(False)
    for panel, tile in zip(axes, tiles, strict=False):
        panel.imshow(tile.rgb)
        text = "\n".join(drawable(line, longest=_LONGEST_LINE) for line in tile.lines)
        panel.set_xlabel(text, fontsize=7, labelpad=2)
    return figure


def tile_of(rgb: RGB, box_xyxy: Floats | None, lines: Sequence[str]) -> Tile:
    """A tile of a photo, uint8 [H, W, 3]: around its labelled box [4], or all of it."""
    if box_xyxy is not None and np.isfinite(box_xyxy).all():
        rgb = _around(rgb, box_xyxy)
    return Tile(bounded_copy(rgb, TILE_PIXELS), lines)


def _around(rgb: RGB, box_xyxy: Floats) -> RGB:
    """The box with some surroundings, as far as the photo goes; all of it where it misses that."""
    height, width = rgb.shape[:2]
    grow = np.tile((box_xyxy[2:] - box_xyxy[:2]) * _SURROUNDINGS / 2, 2) * [-1, -1, 1, 1]
    x1, y1, x2, y2 = np.clip(box_xyxy + grow, 0, [width, height] * 2).round().astype(int)
    return rgb[y1:y2, x1:x2] if x2 > x1 and y2 > y1 else rgb
