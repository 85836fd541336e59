"""The pictures behind the worst errors, as a page for the eyes of one machine's user."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import pandas as pd

from agelens.data.auditing.report import HOLDS_FACES
from agelens.data.exploration.samples import Tile, contact_sheet, tile_of
from agelens.data.store import ChipStore
from agelens.errors import PhotoError
from agelens.evaluation.reports.page import Page, Section
from agelens.evaluation.reports.plotting import save
from agelens.imaging.photos import read_photo
from agelens.records import RGB

FOLDER: Final = "local-only"
_SHOWN: Final = 48
_EXPLANATION: Final = (
    "The {count} estimates furthest from their labels, furthest first, of those whose picture was "
    "found: their place in worst.csv, age as labelled, then as estimated. The label may be as "
    "wrong as the estimate."
)

PictureOf: TypeAlias = Callable[[pd.Series], RGB]
"""The picture of a row of `worst_errors`; raises PhotoError for none."""


def photos_below(root: Path) -> PictureOf:
    """Pictures at the rows' paths below `root`."""

    def picture(row: pd.Series) -> RGB:
        if pd.isna(row["path"]):
            raise PhotoError("the row names no picture", status="missing")
        return read_photo(root / str(row["path"])).rgb

    return picture


def chips_of(store: ChipStore) -> PictureOf:
    """Chips of a store, by sample."""
    places = pd.Index(store.table.frame["sample_id"])

    def picture(row: pd.Series) -> RGB:
        (place,) = places.get_indexer([row["sample_id"]])
        if place < 0:
            raise PhotoError("the sample is not in the store", status="missing")
        return store[int(place)]

    return picture


def write_worst_pictures(
    worst: Sequence[tuple[str, pd.DataFrame]], picture_of: PictureOf, folder: Path
) -> int:
    """Write a page with the pictures of each table's worst errors into a new folder in `folder`.

    A .gitignore keeps it out of repositories.

    Args:
        worst: each table's name, and its rows as `worst_errors` gives them.
        picture_of: finds a row's picture.
        folder: of the evaluation.

    Returns:
        How many pictures were found.
    """
    private = folder / FOLDER
    private.mkdir()
    (private / ".gitignore").write_text("*\n", encoding="utf-8")
    page = Page("Worst errors", [Section("For your eyes only", warning=HOLDS_FACES)])
    found = 0
    for number, (name, rows) in enumerate(worst, start=1):
        tiles = list(_tiles(rows, picture_of))
        found += len(tiles)
        if not tiles:
            page.sections.append(Section(name, ["None of its pictures was found."]))
            continue
        save(contact_sheet(tiles), private / f"worst_{number}.png")
        lines = [_EXPLANATION.format(count=len(tiles))]
        page.sections.append(Section(name, lines, images=[f"worst_{number}.png"]))
    (private / "worst.html").write_text(page.to_html(), encoding="utf-8")
    return found


def _tiles(rows: pd.DataFrame, picture_of: PictureOf) -> Iterator[Tile]:
    for rank, (_, row) in enumerate(rows[:_SHOWN].iterrows(), start=1):
        try:
            rgb = picture_of(row)
        except PhotoError:
            continue
        ages = f"{row['age_years']:g}, said {row['estimate_years']:.0f}"
        yield tile_of(rgb, None, [f"{rank}. {ages} ({row['error_years']:+.0f})"])
