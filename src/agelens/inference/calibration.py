"""Calibrated intervals and corrected bias, as a card records them and use applies them.

A network's own interval is its claim. A calibration is what labelled data made of that
claim: numbers that widen or narrow it until it holds as often as it says (conformal
prediction: Vovk et al., 2005; Romano et al., "Conformalized quantile regression", NeurIPS
2019). `agelens.evaluation.conformal` finds the numbers; here they are only used, so that
estimating needs no statistics package.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agelens.inference.bias_correction import BiasCorrection
from agelens.inference.interval_calibration import (
    BINS_OF,
    EVERYBODY,
    INTERVAL_SCORES,
    BinsOf,
    IntervalCalibration,
    IntervalScore,
)

__all__ = [
    "BINS_OF",
    "EVERYBODY",
    "INTERVAL_SCORES",
    "BiasCorrection",
    "BinsOf",
    "Calibration",
    "IntervalCalibration",
    "IntervalScore",
]


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a card's section ``calibration`` holds.

    `document` is the section whole, with what people read: the table, how many, when.
    """

    intervals: tuple[IntervalCalibration, ...]
    bias: BiasCorrection | None
    document: Mapping[str, Any]

    @classmethod
    def from_json(cls, section: Mapping[str, Any] | None) -> Calibration | None:
        """Parsed from a card; None where it has none."""
        if section is None:
            return None
        bias = section.get("bias")
        return cls(
            tuple(IntervalCalibration.from_json(part) for part in section["intervals"]),
            None if bias is None else BiasCorrection.from_json(bias),
            section,
        )

    def at(self, level: float) -> IntervalCalibration | None:
        """The corrections for `level`, or None where nobody measured it."""
        return next((part for part in self.intervals if abs(part.level - level) < 1e-9), None)
