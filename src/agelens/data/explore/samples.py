"""Random labelled samples, read from their photos."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.random import Generator

from agelens.data.explore.contact_sheet import Tile, contact_sheet, tile_of
from agelens.data.explore.side import Side
from agelens.errors import PhotoError
from agelens.imaging.photos import read_photo
from agelens.tables import BOX

_SHOWN: Final = 24
_TRIED: Final = 200  # a root with few of the pictures must not be searched row by row


def random_samples(side: Side, root: Path, random: Generator) -> tuple[Figure | None, str]:
    """A contact sheet of random rows with an age, or of any where none has one, and what it shows.

    Pictures that are absent or cannot be read are counted and passed over.
    """
    aged = side.years.notna().to_numpy()
    rows = random.permutation(np.flatnonzero(aged) if aged.any() else len(side.frame))[:_TRIED]
    tiles, unusable = _tiles(side.frame, rows, root)
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


def _tiles(frame: pd.DataFrame, rows: np.ndarray, root: Path) -> tuple[list[Tile], Counter[str]]:
    tiles: list[Tile] = []
    unusable: Counter[str] = Counter()
    for place in rows:
        if len(tiles) == _SHOWN:
            break
        row = frame.iloc[place]
        try:
            rgb = read_photo(root / row["path"]).rgb
        except PhotoError as error:
            unusable[error.status] += 1
            continue
        box = row[list(BOX)].to_numpy(dtype=np.float64)
        tiles.append(tile_of(rgb, box, caption(row)))
    return tiles, unusable
