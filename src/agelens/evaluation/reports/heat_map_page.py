"""The pages that `agelens explain` leaves, and their pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from agelens.evaluation.groups import FEW
from agelens.evaluation.heat_maps.by_age import BandMap, ByAgeReport, cells
from agelens.evaluation.heat_maps.explained_faces import (
    NOT_TOLD,
    FacesReport,
    MappedFace,
    RandomizationResult,
    verdict,
)
from agelens.evaluation.heat_maps.heat_map import Unit
from agelens.evaluation.reports.page import NOT_FIT, Drawing, Page, Section
from agelens.evaluation.reports.plotting import panels, title
from agelens.records import RGB, Floats


def over_photo(values: Floats, matrix: Floats, size_hw: tuple[int, int]) -> Floats:
    """`values` [S, S] of a chip, warped back: [H, W], NaN where the chip does not reach.

    Args:
        values: over the chip's pixels.
        matrix: [2, 3], photo to chip pixels, as in `agelens.records.Chip`.
        size_hw: of the photo.
    """
    height, width = size_hw
    back = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped = cv2.warpAffine(
        values, matrix, (width, height), flags=back, borderMode=cv2.BORDER_REPLICATE
    )
    covered = cv2.warpAffine(
        np.ones(values.shape), matrix, (width, height), flags=cv2.INTER_NEAREST | back
    )
    return np.where(np.asarray(covered) > 0.5, np.asarray(warped), np.nan)


_CELL_INCHES: Final = 2.6
_BESIDE: Final = 4
_COLOURS: Final[dict[Unit, str]] = {"years": "RdBu_r", "relative": "viridis"}
_FAINTEST, _STRONGEST = 0.15, 0.85
_SMALLEST: Final = 1e-6
_NO_FACE: Final = 255


def face_figure(face: MappedFace, name: str) -> Drawing:
    """The chip, its map over it, and the map over the head in the photo `name`; one bar."""
    found = face.found
    figure, axes = panels(3, size_inches=(10.5, 4.0))
    bare, chip_panel, photo_panel = axes[0]
    norm = _norm(found.unit, found.values)
    _show(bare, face.chip)
    title(bare, f"what the network sees: {found.estimate_years:.1f} years")
    _show(chip_panel, face.chip, found.values, found.unit, norm)
    title(chip_panel, found.method)
    values = over_photo(found.values, face.matrix, face.photo.shape[:2])
    rows, columns = head_of(face)
    _show(photo_panel, face.photo[rows, columns], values[rows, columns], found.unit, norm)
    title(photo_panel, name)
    _bar(figure, [chip_panel, photo_panel], found.unit, norm, found.patch)
    return Drawing(figure, pd.DataFrame(cells(found.values)).round(3))


_AROUND: Final = 0.35
"""Of the chip's side that is shown of the photo beyond the chip."""


def head_of(face: MappedFace) -> tuple[slice, slice]:
    """Rows and columns of the photo where the head is: the chip with a margin around it."""
    side = len(face.found.values)
    corners = np.array([[0, 0], [side, 0], [side, side], [0, side]], dtype=np.float64)
    chip_to_photo = cv2.invertAffineTransform(face.matrix)
    places = corners @ chip_to_photo[:, :2].T + chip_to_photo[:, 2]
    margin = _AROUND * np.linalg.norm(places[1] - places[0])
    first = np.floor(places.min(axis=0) - margin).astype(int)
    last = np.ceil(places.max(axis=0) + margin).astype(int)
    height, width = face.photo.shape[:2]
    rows = slice(max(0, first[1]), min(height, last[1]))
    return rows, slice(max(0, first[0]), min(width, last[0]))


def bands_figure(bands: Sequence[BandMap]) -> Drawing:
    """Mean maps of age bands under one colour bar, which bands of very few faces do not set.

    Theirs are grey. Below each map is the mean face; of few people it would be a picture of
    somebody, and is left out.
    """
    unit, patch = bands[0].unit, bands[0].patch
    rows = math.ceil(len(bands) / _BESIDE)
    size = (_BESIDE * _CELL_INCHES + 1.2, rows * (_CELL_INCHES + 0.4))
    figure, axes = panels(_BESIDE, rows=rows, size_inches=size)
    scale = [band.values.ravel() for band in bands if band.readable]
    norm = _norm(unit, np.concatenate(scale or [np.zeros(1)]))
    everywhere: list[Axes] = axes.ravel().tolist()
    for panel in everywhere:
        panel.set_axis_off()
    for panel, band in zip(everywhere, bands, strict=False):
        face = band.face if band.is_nobodys else np.full_like(band.face, _NO_FACE)
        own = norm if band.readable else _norm(unit, band.values)
        _show(panel, face, band.values, unit, own, colours=None if band.readable else "Greys")
        note = ", few" if band.few else ""
        title(panel, f"{band.band} years: {band.samples:,} faces{note}")
        if band.few:
            panel.title.set_color("#999999")
    if scale:
        _bar(figure, everywhere, unit, norm, patch)
    numbers = [
        pd.DataFrame(cells(band.values)).round(3).assign(band=band.band, faces=band.samples)
        for band in bands
    ]
    return Drawing(figure, pd.concat(numbers, ignore_index=True))


def bar_words(unit: Unit, patch: int) -> str:
    """What colours mean."""
    if unit == "relative":
        return "of what makes the face look older, strongest place = 1"
    return f"years that a patch of {patch} x {patch} chip pixels adds to the estimate"


def _show(
    panel: Axes,
    rgb: RGB,
    values: Floats | None = None,
    unit: Unit = "years",
    norm: Normalize | None = None,
    *,
    colours: str | None = None,
) -> None:
    panel.set_axis_off()
    if values is None or norm is None:
        panel.imshow(rgb)
        return
    # In grey, so that what has a colour is the map.
    panel.imshow(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), cmap="gray", vmin=0, vmax=255)
    known = np.nan_to_num(values)
    strength = np.clip(np.abs(known) / max(abs(float(norm.vmax or 0)), _SMALLEST), 0, 1)
    alpha = np.where(np.isnan(values), 0, _FAINTEST + (_STRONGEST - _FAINTEST) * np.sqrt(strength))
    inks = colours or _COLOURS[unit]
    panel.imshow(known, cmap=inks, norm=norm, alpha=alpha, interpolation="nearest")


def _norm(unit: Unit, values: Floats) -> Normalize:
    if unit == "relative":
        return Normalize(0.0, 1.0)
    top = max(float(np.abs(values).max()), _SMALLEST)
    return Normalize(-top, top)


def _bar(figure: Figure, beside: Sequence[Axes], unit: Unit, norm: Normalize, patch: int) -> None:
    bar = figure.colorbar(
        ScalarMappable(norm, _COLOURS[unit]), ax=beside, shrink=0.85, fraction=0.05
    )
    bar.set_label(bar_words(unit, patch), fontsize=8)


HOLDS_FACES: Final = (
    "This folder holds pictures of people. It is for your own eyes on this machine: keep it "
    "outside any repository, and delete it once you have seen what you wanted."
)


def faces_page(report: FacesReport) -> Page:
    """The page of single faces, each with its picture."""
    page = Page("Where the estimates come from")
    page.sections.append(Section("For your eyes only", warning=HOLDS_FACES))
    faces = report.faces
    if faces:
        example = next(iter(faces.values())).found
        page.sections.append(_drawn(report.settings, example.unit, example.patch))
    if report.checked:
        page.sections.append(Section("Sanity check", *_checked(report.checked)))
    pictures = {
        str(row["picture"]).removesuffix(".png"): partial(
            face_figure, face, Path(row["photo"]).name
        )
        for row in report.rows
        if (face := faces.get(str(row.get("picture"))))
    }
    tables = [("", face_rows(report))]
    page.sections.append(Section("Faces", tables=tables, figures=pictures))
    page.sections.append(Section(NOT_FIT, NOT_TOLD))
    return page


def face_rows(report: FacesReport) -> pd.DataFrame:
    """A row for each photo."""
    columns = ("photo", "face", "estimate_years", "picture", "message")
    return pd.DataFrame([{name: row.get(name) for name in columns} for row in report.rows])


def by_age_page(report: ByAgeReport) -> Page:
    """The page of the mean maps of one age band or more."""
    lines = [
        "Faces are drawn at random from each age band. The mean map says what they have in common; "
        "what pulls one face up and another down cancels out.",
        f"Bands of fewer than {FEW} faces are marked; of fewer than 10 faces the map is grey and "
        f"sets no scale. Of fewer than {FEW} people the mean face "
        "would be somebody's picture, and is left out.",
    ]
    bands = report.bands
    tables = [("Mean over faces, and its standard error", report.to_frame())]
    sections = [
        _drawn(report.settings, bands[0].unit, bands[0].patch),
        Section("By true age", lines, tables, figures={"by_age": bands_figure(bands)}),
        Section(NOT_FIT, NOT_TOLD),
    ]
    return Page("Where the estimates come from, by age", sections)


def _drawn(settings: Mapping[str, Any], unit: Unit, patch: int) -> Section:
    stated = ", ".join(f"{name} {value}" for name, value in settings.items() if value is not None)
    meaning = bar_words(unit, patch)
    signs = (
        ["Red makes the face look older to this network, blue younger."] if unit == "years" else []
    )
    return Section("What is drawn", [f"Colours are {meaning}.", *signs, f"Made with: {stated}."])


def _checked(
    steps: Sequence[RandomizationResult],
) -> tuple[list[str], list[tuple[str, pd.DataFrame]]]:
    lines = [
        "Maps of the network against maps of the same network with its weights shuffled, from the "
        "answer back (Adebayo et al., NeurIPS 2018): they should have little in common.",
        verdict(steps),
    ]
    return lines, [("Means over faces", pd.DataFrame([asdict(step) for step in steps]))]
