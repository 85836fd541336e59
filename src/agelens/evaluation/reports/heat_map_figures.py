"""Heat maps as pictures: over the chip, over the photo, and means by age side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from agelens.evaluation.heat_maps import HeatMap
from agelens.evaluation.heat_maps.by_age import BandMap
from agelens.evaluation.heat_maps.heat_map import Unit
from agelens.evaluation.heat_maps.over_photo import over_photo
from agelens.evaluation.reports.canvas import panels, title
from agelens.records import RGB, Floats

_LONGEST_PX: Final = 900
_CELL_INCHES: Final = 2.6
_BESIDE: Final = 4
_COLOURS: Final[dict[Unit, str]] = {"years": "RdBu_r", "relative": "viridis"}
_FAINTEST, _STRONGEST = 0.15, 0.85
_SMALLEST: Final = 1e-6
_NO_FACE: Final = 255


def face_figure(photo: RGB, chip: RGB, matrix: Floats, found: HeatMap, name: str) -> Figure:
    """The chip, its map over it, and the map over the photo; one colour bar.

    Args:
        photo: uint8 [H, W, 3].
        chip: uint8 [S, S, 3] that was cut from it.
        matrix: [2, 3], photo to chip pixels.
        found: the chip's map.
        name: of the photo.
    """
    figure, axes = panels(3, size_inches=(12.0, 4.6))
    bare, chip_panel, photo_panel = axes[0]
    norm = _norm(found.unit, found.values)
    _show(bare, chip)
    title(bare, f"what the network sees: {found.age_years:.1f} years")
    _show(chip_panel, chip, found.values, found.unit, norm)
    title(chip_panel, found.method)
    small, small_matrix = _shrunk(photo, matrix)
    _show(
        photo_panel,
        small,
        over_photo(found.values, small_matrix, small.shape[:2]),
        found.unit,
        norm,
    )
    title(photo_panel, name)
    _bar(figure, [chip_panel, photo_panel], found.unit, norm, found.patch)
    return figure


def bands_figure(bands: Sequence[BandMap]) -> Figure:
    """Mean maps of age bands under one colour bar.

    Below them is the mean face; of few people it would be a picture of somebody, and is left out.
    """
    unit, patch = bands[0].unit, bands[0].patch
    rows = math.ceil(len(bands) / _BESIDE)
    size = (_BESIDE * _CELL_INCHES + 1.2, rows * (_CELL_INCHES + 0.4))
    figure, axes = panels(_BESIDE, rows=rows, size_inches=size)
    norm = _norm(unit, np.stack([band.values for band in bands]))
    everywhere: list[Axes] = axes.ravel().tolist()
    for panel in everywhere:
        panel.set_axis_off()
    for panel, band in zip(everywhere, bands, strict=False):
        face = band.face if band.is_nobodys else np.full_like(band.face, _NO_FACE)
        _show(panel, face, band.values, unit, norm)
        note = ", few" if band.few else ""
        title(panel, f"{band.band} years: {band.samples:,} faces{note}")
        if band.few:
            panel.title.set_color("#999999")
    _bar(figure, everywhere, unit, norm, patch)
    return figure


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
    panel.imshow(known, cmap=_COLOURS[unit], norm=norm, alpha=alpha, interpolation="nearest")


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


def _shrunk(photo: RGB, matrix: Floats) -> tuple[RGB, Floats]:
    """The photo at a size that a figure can show, and the matrix from there to the chip."""
    height, width = photo.shape[:2]
    factor = min(1.0, _LONGEST_PX / max(height, width))
    size_wh = max(1, round(width * factor)), max(1, round(height * factor))
    small = np.asarray(cv2.resize(photo, size_wh, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    step = np.array([width / size_wh[0], height / size_wh[1]])
    # Pixel centres: small pixel u lies at (u + 1/2) step - 1/2 of the photo.
    shift = matrix[:, 2] + matrix[:, :2] @ (step / 2 - 0.5)
    return small, np.column_stack([matrix[:, :2] * step, shift])
