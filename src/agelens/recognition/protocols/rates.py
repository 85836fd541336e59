"""A share with its interval, and how it was resampled."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from agelens.evaluation.bootstrap import percentile_interval
from agelens.records import Floats


@dataclass(frozen=True, slots=True)
class Resampling:
    """How intervals are made: `draws` of people with replacement, of central share `level`.

    Raises:
        ValueError: fewer than 0 draws, or a level not strictly between 0 and 1.
    """

    draws: int = 1000
    level: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if self.draws < 0:
            raise ValueError(f"a bootstrap takes 0 draws (no interval) or more, got {self.draws}")
        if not 0 < self.level < 1:
            raise ValueError(f"an interval's level is between 0 and 1, got {self.level}")

    def ends(self, drawn: Floats) -> tuple[float, float]:
        """Low and high end of what was drawn [D]; NaN where nothing was."""
        return percentile_interval(drawn, self.level)


@dataclass(frozen=True, slots=True)
class Rate:
    """A share between 0 and 1 of `trials` on `people`, and its interval; NaN where undefined."""

    value: float
    low: float
    high: float
    trials: int
    people: int

    def to_json(self) -> dict[str, Any]:
        """Plain types by name; null where undefined."""
        return {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in asdict(self).items()
        }
