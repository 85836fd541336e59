"""Labelled predictions as arrays: what calibrations are found on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.errors import UsageError
from agelens.evaluation.bootstrap import person_codes
from agelens.inference.calibration import BiasCorrection
from agelens.records import Floats


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """N labelled predictions: years [N] each; the interval is the network's own at `level`.

    `groups` [N] are words or None; `people` [N] say who is whom.

    Raises:
        UsageError: a number is not finite.
    """

    age_years: Floats
    estimate_years: Floats
    low_years: Floats
    high_years: Floats
    level: float
    people: NDArray[Any]
    groups: NDArray[np.object_] | None = None

    def __post_init__(self) -> None:
        numbers = (self.age_years, self.estimate_years, self.low_years, self.high_years)
        if not all(np.isfinite(n).all() for n in numbers):
            raise UsageError("calibration needs an age, an estimate and an interval in every row")

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, level: float, column: str | None = None) -> Labelled:
        """The rows of a predictions table's frame that have an age and an estimate."""
        known = frame[frame["age_years"].notna() & frame["estimate_years"].notna()]
        groups = None
        if column is not None:
            words = known[column].astype(object)
            groups = words.where(words.notna(), None).to_numpy(dtype=object)
        return cls(
            known["age_years"].to_numpy(np.float64),
            known["estimate_years"].to_numpy(np.float64),
            known["low_years"].to_numpy(np.float64),
            known["high_years"].to_numpy(np.float64),
            level,
            person_codes(known),
            groups,
        )

    def rows(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> Labelled:
        """Some of the samples."""
        return Labelled(
            self.age_years[chosen],
            self.estimate_years[chosen],
            self.low_years[chosen],
            self.high_years[chosen],
            self.level,
            self.people[chosen],
            None if self.groups is None else self.groups[chosen],
        )

    def corrected(self, bias: BiasCorrection) -> Labelled:
        """The same with estimates and intervals moved by `bias`."""
        return replace(
            self,
            estimate_years=bias.apply(self.estimate_years),
            low_years=bias.apply(self.low_years),
            high_years=bias.apply(self.high_years),
        )
