"""The record that every method of explaining gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, Self, TypeAlias

import cv2
import numpy as np

from agelens.records import RGB, Floats

Unit: TypeAlias = Literal["years", "relative"]

POINTS: Final = ("eye_left", "eye_right", "nose", "mouth_left", "mouth_right")
"""The five landmarks, left and right of the picture; see `agelens.records.Face`."""

_DIGITS: Final = 3


@dataclass(frozen=True, slots=True, eq=False)
class HeatMap:
    """What the places of one chip do to its estimated age.

    `values` float64 [S, S] lie over the chip's pixels. In `years` they are signed: what a patch
    of `patch` pixels around the place adds to the estimate: above zero, the face looks older for
    it. `relative` values run from 0 to 1 at the strongest place, and have no sign.
    `estimate_years` is the estimate that is explained, and `facts` what else the method knows of
    how well it explained it.
    """

    values: Floats
    unit: Unit
    method: str
    patch: int
    estimate_years: float
    facts: Mapping[str, float] = field(default_factory=dict)

    def at(self, points: Floats) -> Floats:
        """Values [N] at `points` [N, 2], pixels of the chip; NaN outside it."""
        columns, rows = np.floor(np.asarray(points, dtype=np.float64) + 0.5).astype(int).T
        side = len(self.values)
        inside = (columns >= 0) & (rows >= 0) & (columns < side) & (rows < side)
        found = np.full(len(columns), np.nan)
        found[inside] = self.values[rows[inside], columns[inside]]
        return found

    def to_json(self, points: Floats | None = None) -> dict[str, Any]:
        """Plain JSON types: extremes and where they lie, and the values at `points` [5, 2]."""
        document: dict[str, Any] = {
            "method": self.method,
            "unit": self.unit,
            "estimate_years": round(self.estimate_years, _DIGITS),
            "patch_px": self.patch,
            "most": self._extreme(int(self.values.argmax())),
            "least": self._extreme(int(self.values.argmin())),
            **{name: round(value, _DIGITS) for name, value in self.facts.items()},
        }
        if points is not None:
            document["at"] = {
                name: None if np.isnan(value) else round(float(value), _DIGITS)
                for name, value in zip(POINTS, self.at(points), strict=True)
            }
        return document

    def _extreme(self, place: int) -> dict[str, float]:
        row, column = divmod(place, self.values.shape[1])
        return {"value": round(float(self.values[row, column]), _DIGITS), "x": column, "y": row}


def per_patch(density: Floats, patch: int) -> Floats:
    """Sums [S, S] of `density` [S, S] over the `patch` x `patch` pixels around each pixel.

    Makes years a pixel, of which each is next to nothing, into what occlusion measures: years a
    patch. Beyond the border there is nothing to add.
    """
    return np.asarray(
        cv2.boxFilter(
            density, cv2.CV_64F, (patch, patch), normalize=False, borderType=cv2.BORDER_CONSTANT
        )
    )


class Explainer(Protocol):
    """Makes heat maps of one network's estimates by one method."""

    def __call__(self, chip: RGB) -> HeatMap:
        """The map of one aligned chip, uint8 [S, S, 3] as the network's card asks for."""

    def with_shuffled_weights(self, share: float, seed: int) -> Self:
        """The same method on a network with weights of no meaning, for the sanity check.

        Args:
            share: of the layers, counted from the answer back to the chip, in (0, 1].
            seed: of the shuffling.
        """
