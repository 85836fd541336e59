"""The pages and the JSON that `agelens explain` leaves: what heat maps say, and do not."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd

from agelens.evaluation.groups.group_rows import FEW
from agelens.evaluation.heat_maps import HeatMap
from agelens.evaluation.heat_maps.alikeness import Alikeness, verdict
from agelens.evaluation.heat_maps.by_age import BandMap
from agelens.evaluation.heat_maps.explained import NOT_TOLD, ExplainedFaces, head
from agelens.evaluation.heat_maps.heat_map import Unit
from agelens.evaluation.reports.canvas import save
from agelens.evaluation.reports.heat_map_figures import bands_figure, bar_words
from agelens.evaluation.reports.page import Page, Section
from agelens.records import Floats

PAGE_NAME: Final = "index.html"
DOCUMENT_NAME: Final = "explain.json"
BANDS_NAME: Final = "by_age.png"

HOLDS_FACES: Final = (
    "This folder holds pictures of people. It is for your own eyes on this machine: keep it "
    "outside any repository, and delete it once you have seen what you wanted."
)


def write_faces(found: ExplainedFaces, example: HeatMap | None, folder: Path) -> None:
    """The page and the JSON, beside pictures that are in `folder` already.

    Args:
        found: what was explained.
        example: one of its maps, for what the colours mean; None where no face was found.
        folder: to write into.
    """
    page = Page("Where the estimates come from")
    page.sections.append(Section("For your eyes only", warning=HOLDS_FACES))
    if example is not None:
        page.sections.append(_drawn(found.settings, example.unit, example.patch))
    if found.checked:
        page.sections.append(Section("Sanity check", *_checked(found.checked)))
    page.sections.append(Section("Faces", tables=[("", _face_rows(found))], images=found.pictures))
    page.sections.append(Section("What a heat map does not tell", NOT_TOLD))
    # Pictures of people do not belong into a repository, wherever the folder is.
    (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    _write(page, found.to_json(), folder)


def by_age_document(
    bands: Sequence[BandMap], settings: Mapping[str, Any], points: Floats | None
) -> dict[str, Any]:
    """The numbers of mean maps by age as plain JSON types; `points` [5, 2] are the landmarks."""
    return {**head(settings), "bands": [band.to_json(points) for band in bands]}


def write_by_age(
    bands: Sequence[BandMap],
    settings: Mapping[str, Any],
    points: Floats | None,
    folder: Path,
) -> None:
    """The page, its figure and the JSON of the mean maps of one age band or more."""
    save(bands_figure(bands), folder / BANDS_NAME)
    document = by_age_document(bands, settings, points)
    lines = [
        "Faces are drawn at random from each age band. The mean map says what they have in common; "
        "what pulls one face up and another down cancels out.",
        f"Bands of fewer than {FEW} faces are greyed. Of fewer than {FEW} people the mean face "
        "would be somebody's picture, and is left out.",
    ]
    tables = [("Mean over faces, and its standard error", _band_rows(document))]
    page = Page("Where the estimates come from, by age")
    page.sections.append(_drawn(settings, bands[0].unit, bands[0].patch))
    page.sections.append(Section("By true age", lines, tables, [BANDS_NAME]))
    page.sections.append(Section("What a heat map does not tell", NOT_TOLD))
    _write(page, document, folder)


def _drawn(settings: Mapping[str, Any], unit: Unit, patch: int) -> Section:
    stated = ", ".join(f"{name} {value}" for name, value in settings.items() if value is not None)
    meaning = bar_words(unit, patch)
    signs = (
        ["Red makes the face look older to this network, blue younger."] if unit == "years" else []
    )
    return Section("What is drawn", [f"Colours are {meaning}.", *signs, f"Made with: {stated}."])


def _checked(steps: Sequence[Alikeness]) -> tuple[list[str], list[tuple[str, pd.DataFrame]]]:
    lines = [
        "Maps of the network against maps of the same network with its weights shuffled, from the "
        "answer back (Adebayo et al., NeurIPS 2018): they should have little in common.",
        verdict(steps),
    ]
    return lines, [("Alikeness, means over faces", pd.DataFrame([s.to_json() for s in steps]))]


def _face_rows(found: ExplainedFaces) -> pd.DataFrame:
    columns = ("photo", "face", "estimate_years", "picture", "message")
    return pd.DataFrame([{name: row.get(name) for name in columns} for row in found.faces])


def _band_rows(document: Mapping[str, Any]) -> pd.DataFrame:
    rows = []
    for band in document["bands"]:
        row = {
            "age band": band["band"],
            "faces": band["samples"],
            "people": band["people"],
            "few": band["few"],
            "mean age": band["mean_age_years"],
            "mean estimate": band["mean_estimate_years"],
        }
        row |= {name: _with_error(found) for name, found in band.get("at", {}).items()}
        rows.append(row)
    return pd.DataFrame(rows)


def _with_error(found: Mapping[str, float | None]) -> str:
    value, error = found["value"], found["standard_error"]
    if value is None:
        return ""
    return f"{value:+.2f}" if error is None else f"{value:+.2f} ± {error:.2f}"


def _write(page: Page, document: Mapping[str, Any], folder: Path) -> None:
    (folder / PAGE_NAME).write_text(page.to_html(), encoding="utf-8")
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / DOCUMENT_NAME).write_text(text + "\n", encoding="utf-8")
