"""Mean heat maps of people of like age: faces are aligned, so that places can be averaged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

import cv2
import numpy as np
import pandas as pd

from agelens.evaluation.groups import FEW
from agelens.evaluation.heat_maps.explained_faces import NOT_TOLD
from agelens.evaluation.heat_maps.heat_map import POINTS, Explainer, HeatMap, Unit
from agelens.evaluation.reports.result import Result
from agelens.records import RGB, Floats

if TYPE_CHECKING:
    from agelens.evaluation.reports.page import Page

CELLS: Final = 8
_DIGITS: Final = 3
_ENOUGH_TO_COLOUR: Final = 10
"""Faces. The mean of fewer is what these few have, and its extremes would set everybody's scale."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelledChip:
    """A chip uint8 [S, S, 3] of a `person` at `age_years`, in the age band `band`."""

    band: str
    age_years: float
    rgb: RGB
    person: int


@dataclass(frozen=True, slots=True, eq=False)
class BandMap:
    """The mean of the maps of one age band.

    `values` float64 [S, S] is the mean and `standard_error` [S, S] that of the mean, NaN of a
    single face. `face` uint8 [S, S, 3] is the mean chip. `unit` and `patch` are those of its maps.
    """

    band: str
    samples: int
    people: int
    age_years: float
    estimate_years: float
    values: Floats
    standard_error: Floats
    face: RGB
    unit: Unit
    patch: int

    @property
    def few(self) -> bool:
        """Too few faces to say something of an age."""
        return self.samples < FEW

    @property
    def readable(self) -> bool:
        """Whether the mean map is of faces enough to be drawn in colours."""
        return self.samples >= _ENOUGH_TO_COLOUR

    @property
    def is_nobodys(self) -> bool:
        """Whether the mean face is of so many people that it is a picture of none of them."""
        return self.people >= FEW

    def to_json(self, points: Floats | None) -> dict[str, Any]:
        """Plain JSON types: means over a grid of cells, and at `points` [5, 2] of the chip."""
        document: dict[str, Any] = {
            "band": self.band,
            "samples": self.samples,
            "people": self.people,
            "few": self.few,
            "mean_age_years": round(self.age_years, _DIGITS),
            "mean_estimate_years": round(self.estimate_years, _DIGITS),
            "cells": np.round(cells(self.values), _DIGITS).tolist(),
        }
        if points is not None:
            document["at"] = dict(zip(POINTS, self._at(points), strict=True))
        return document

    def _at(self, points: Floats) -> list[dict[str, float | None]]:
        found, errors = (
            HeatMap(values, "years", "", 0, 0.0).at(points)
            for values in (self.values, self.standard_error)
        )
        return [
            {"value": _plain(value), "standard_error": _plain(error)}
            for value, error in zip(found, errors, strict=True)
        ]


def mean_maps(explain: Explainer, chips: Iterable[LabelledChip]) -> list[BandMap]:
    """The mean map of each age band, in the order in which bands first come."""
    sums: dict[str, _Sums] = {}
    for chip in chips:
        found = explain(chip.rgb)
        sums.setdefault(chip.band, _Sums(found.unit, found.patch)).add(chip, found)
    return [each.mean(band) for band, each in sums.items()]


def cells(values: Floats) -> Floats:
    """Means [8, 8] of `values` [S, S] over a grid of cells."""
    return np.asarray(cv2.resize(values, (CELLS, CELLS), interpolation=cv2.INTER_AREA))


class _Sums:
    """What the maps of one band add up to; no map is kept."""

    def __init__(self, unit: Unit, patch: int) -> None:
        self.unit, self.patch = unit, patch
        self.samples = 0
        self.people: set[int] = set()
        self.ages = self.estimates = 0.0
        self.values: Any = 0.0
        self.squares: Any = 0.0
        self.faces: Any = 0.0

    def add(self, chip: LabelledChip, found: HeatMap) -> None:
        self.samples += 1
        self.people.add(chip.person)
        self.ages += chip.age_years
        self.estimates += found.estimate_years
        self.values = self.values + found.values
        self.squares = self.squares + found.values**2
        self.faces = self.faces + chip.rgb.astype(np.float64)

    def mean(self, band: str) -> BandMap:
        count = self.samples
        mean = self.values / count
        if count > 1:
            variance = np.maximum(self.squares - count * mean**2, 0) / (count - 1)
            error = np.sqrt(variance / count)
        else:
            error = np.full_like(mean, np.nan)
        return BandMap(
            band,
            count,
            len(self.people),
            self.ages / count,
            self.estimates / count,
            mean,
            error,
            np.round(self.faces / count).astype(np.uint8),
            self.unit,
            self.patch,
        )


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), _DIGITS)


@dataclass(frozen=True, eq=False, repr=False)
class ByAgeReport(Result):
    """What `agelens.evaluation.explain` hands back of labelled faces, by age.

    `points` [5, 2] are where the landmarks lie in every chip; None where they lie elsewhere in
    each.
    """

    kind: ClassVar[str] = "explain"
    indent: ClassVar[int] = 2
    settings: Mapping[str, Any]
    bands: Sequence[BandMap]
    points: Floats | None

    def document(self) -> dict[str, Any]:
        """Settings, and the numbers of each band."""
        bands = [band.to_json(self.points) for band in self.bands]
        return {**self.settings, "not_told": NOT_TOLD, "bands": bands}

    def to_frame(self) -> pd.DataFrame:
        """A row for each age band, with the mean map at the landmarks."""
        rows = []
        for band in self.bands:
            stated = band.to_json(self.points)
            row: dict[str, Any] = {
                "age band": band.band,
                "faces": band.samples,
                "people": band.people,
                "few": band.few,
                "mean age": stated["mean_age_years"],
                "mean estimate": stated["mean_estimate_years"],
            }
            rows.append(row | {n: _with_error(at) for n, at in stated.get("at", {}).items()})
        return pd.DataFrame(rows)

    def sentences(self) -> list[str]:
        """What the maps do not tell."""
        return [f"mean maps of {len(self.bands)} age bands", NOT_TOLD[0]]

    def page(self) -> Page:
        """The mean maps, and their numbers."""
        from agelens.evaluation.reports.heat_map_page import by_age_page  # noqa: PLC0415

        return by_age_page(self)


def _with_error(found: Mapping[str, float | None]) -> str:
    value, error = found["value"], found["standard_error"]
    if value is None:
        return ""
    return f"{value:+.2f}" if error is None else f"{value:+.2f} ± {error:.2f}"
