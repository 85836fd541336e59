"""Random labelled samples, read from their photos."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.random import Generator

from agelens.data.exploration.compared_table import ComparedTable
from agelens.data.store.cutting import PictureSource
from agelens.errors import PhotoError
from agelens.evaluation.reports.plotting import drawable, panels
from agelens.imaging.detectors.base import bounded_copy
from agelens.imaging.photos import read_photo
from agelens.records import RGB, Floats
from agelens.tables import BOX

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


_SHOWN: Final = 24
_TRIED: Final = 200  # a root with few of the pictures must not be searched row by row


def random_samples(
    side: ComparedTable, source: PictureSource, random: Generator
) -> tuple[Figure | None, str]:
    """A contact sheet of random rows with an age, or of any where none has one, and what it shows.

    Pictures that are absent or cannot be read are counted and passed over.
    """
    aged = side.years.notna().to_numpy()
    rows = random.permutation(np.flatnonzero(aged) if aged.any() else len(side.frame))[:_TRIED]
    tiles, unusable = _tiles(side.frame, rows, source)
    why = ", ".join(f"{count} {status}" for status, count in unusable.items())
    passed = f" Passed over: {why}." if why else ""
    if not tiles:
        return None, f"{side.name}: no picture could be shown from the root that was given.{passed}"
    return contact_sheet(tiles), f"{side.name}: {len(tiles)} random rows.{passed}"


def caption(row: pd.Series) -> list[str]:
    """Two lines that say what a row's labels are: age and gender, then ethnicity."""
    gender = [] if pd.isna(row["gender"]) else [str(row["gender"])]
    ethnicity = [] if pd.isna(row["ethnicity"]) else [str(row["ethnicity"])]
    return [", ".join([age_text(row), *gender]), ", ".join(ethnicity)]


def age_text(row: pd.Series) -> str:
    """The age as labelled: `23`, `4.5 ± 1.2`, `20 to 29`, `70 or more`, or `no age`."""
    if pd.notna(row["age_years"]):
        spread = f" ± {row['age_std']:.3g}" if pd.notna(row["age_std"]) else ""
        return f"{row['age_years']:.4g}{spread}"
    low, high = (row[name] for name in ("age_low", "age_high"))
    if pd.isna(low) and pd.isna(high):
        return "no age"
    if pd.isna(high):
        return f"{low:g} or more"
    return f"up to {high:g}" if pd.isna(low) else f"{low:g} to {high:g}"


def _tiles(
    frame: pd.DataFrame, rows: np.ndarray, source: PictureSource
) -> tuple[list[Tile], Counter[str]]:
    tiles: list[Tile] = []
    unusable: Counter[str] = Counter()
    for place in rows:
        if len(tiles) == _SHOWN:
            break
        row = frame.iloc[place]
        try:
            rgb = read_photo(source(str(row["dataset"]), row["path"])).rgb
        except PhotoError as error:
            unusable[error.status] += 1
            continue
        box = row[list(BOX)].to_numpy(dtype=np.float64)
        tiles.append(tile_of(rgb, box, caption(row)))
    return tiles, unusable
