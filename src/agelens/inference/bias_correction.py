"""A curve that removes the bias of estimates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from agelens.records import Floats


@dataclass(frozen=True, slots=True)
class BiasCorrection:
    """A rising curve from estimated to corrected years: straight lines between knots.

    Raises:
        ValueError: fewer than two knots, estimates that do not ascend, corrected years that
            fall, or a number that is not finite.
    """

    estimate_years: tuple[float, ...]
    corrected_years: tuple[float, ...]

    def __post_init__(self) -> None:
        x, y = (
            np.asarray(v, dtype=np.float64) for v in (self.estimate_years, self.corrected_years)
        )
        finite = np.isfinite(x).all() and np.isfinite(y).all()
        if len(x) < 2 or len(x) != len(y) or not finite:
            raise ValueError("a bias correction needs two or more pairs of finite years")
        if (np.diff(x) <= 0).any() or (np.diff(y) < 0).any():
            raise ValueError("a bias correction's estimates must ascend and its years not fall")

    @classmethod
    def from_json(cls, section: Mapping[str, Any]) -> BiasCorrection:
        """Parsed from a card; raises KeyError, TypeError or ValueError where it is none."""
        return cls(
            tuple(float(year) for year in section["estimate_years"]),
            tuple(float(year) for year in section["corrected_years"]),
        )

    def to_json(self) -> dict[str, Any]:
        """Plain types for a card."""
        return {
            "estimate_years": list(self.estimate_years),
            "corrected_years": list(self.corrected_years),
        }

    def apply(self, years: Floats) -> Floats:
        """Corrected years [N]; beyond the end knots, shifted as at the knot, and never below 0."""
        x, y = np.asarray(self.estimate_years), np.asarray(self.corrected_years)
        inside = np.interp(years, x, y)
        beyond = np.asarray(years) - np.clip(years, x[0], x[-1])
        return np.asarray(np.maximum(inside + beyond, 0.0))
