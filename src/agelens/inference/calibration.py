"""Calibrated intervals and corrected bias, as a card records them and use applies them.

A network's own interval is its claim. A calibration is what labelled data made of that
claim: numbers that widen or narrow it until it holds as often as it says (conformal
prediction: Vovk et al., 2005; Romano et al., "Conformalized quantile regression", NeurIPS
2019). `agelens.evaluation.conformal` finds the numbers; here they are only used, so that
estimating needs no statistics package.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from agelens.records import Floats

IntervalScore: TypeAlias = Literal["absolute", "normalised", "quantile"]
INTERVAL_SCORES: Final = ("absolute", "normalised", "quantile")
EVERYBODY: Final = ""


@dataclass(frozen=True, slots=True)
class IntervalCalibration:
    """Corrections of one level's intervals.

    Args:
        level: share that an interval is to hold.
        coverage: share that it held on people whom the corrections had not seen.
        score: ``absolute`` puts the same years on both sides of the estimate, ``normalised``
            a multiple of the half width of the network's own interval, ``quantile`` moves
            both of its ends by the same years (negative: inwards).
        edges_years: ascending borders between bins of the estimated age; empty for one bin.
        corrections: for each group's word a number for each bin; the key ``""`` serves
            everybody else, and must be there.
        column: what the words are, such as ``gender``; None without groups.
        coverage_of_strangers: as `coverage`, had nobody's group been known; None where that
            was not measured.

    Raises:
        ValueError: a number out of range, edges that do not ascend, or bins of another count.
    """

    level: float
    coverage: float
    score: IntervalScore
    edges_years: tuple[float, ...]
    corrections: Mapping[str, tuple[float, ...]]
    column: str | None = None
    coverage_of_strangers: float | None = None

    def __post_init__(self) -> None:
        strangers = 0.0 if self.coverage_of_strangers is None else self.coverage_of_strangers
        if not 0 < self.level < 1 or not (0 <= self.coverage <= 1 and 0 <= strangers <= 1):
            raise ValueError(
                "calibration level and coverage must be shares, got "
                f"{self.level}, {self.coverage}, {self.coverage_of_strangers}"
            )
        if self.score not in INTERVAL_SCORES:
            raise ValueError(f"calibration score must be one of {', '.join(INTERVAL_SCORES)}")
        if EVERYBODY not in self.corrections:
            raise ValueError("a calibration needs corrections for everybody, under the key ''")
        edges = np.asarray(self.edges_years, dtype=np.float64)
        numbers = [number for bins in self.corrections.values() for number in bins]
        if not np.isfinite(edges).all() or (np.diff(edges) <= 0).any():
            raise ValueError(f"calibration edges must ascend, got {self.edges_years}")
        if not np.isfinite(numbers).all():
            raise ValueError("calibration corrections must be finite")
        if any(len(bins) != len(edges) + 1 for bins in self.corrections.values()):
            raise ValueError(f"calibration needs {len(edges) + 1} corrections a group")

    @classmethod
    def from_json(cls, section: Mapping[str, Any]) -> IntervalCalibration:
        """Parsed from a card; raises KeyError, TypeError or ValueError where it is none."""
        strangers = section.get("coverage_of_strangers")
        return cls(
            level=float(section["level"]),
            coverage=float(section["coverage"]),
            score=section["score"],
            edges_years=tuple(float(edge) for edge in section["edges_years"]),
            corrections={
                str(group): tuple(float(number) for number in bins)
                for group, bins in section["corrections"].items()
            },
            column=section.get("column"),
            coverage_of_strangers=None if strangers is None else float(strangers),
        )

    def to_json(self) -> dict[str, Any]:
        """Plain types for a card."""
        return {
            "level": self.level,
            "coverage": self.coverage,
            "score": self.score,
            "edges_years": list(self.edges_years),
            "corrections": {group: list(bins) for group, bins in self.corrections.items()},
            "column": self.column,
            "coverage_of_strangers": self.coverage_of_strangers,
        }

    def apply(
        self,
        estimate_years: Floats,
        low_years: Floats,
        high_years: Floats,
        groups: Sequence[str | None] | None = None,
    ) -> tuple[Floats, Floats]:
        """Calibrated ends [N] of the network's own intervals at this level.

        Ends stay at 0 or above, and enclose the estimate.

        Args:
            estimate_years: [N], corrected for bias where the card says so.
            low_years: [N] of the network's own interval at `level`.
            high_years: [N] likewise.
            groups: [N] words of `column`; None, and words without corrections of their own,
                take everybody's.
        """
        bins = np.searchsorted(np.asarray(self.edges_years), estimate_years, side="right")
        words = [EVERYBODY] * len(bins) if groups is None else [w or EVERYBODY for w in groups]
        number = np.array(
            [
                self.corrections.get(word, self.corrections[EVERYBODY])[place]
                for word, place in zip(words, bins, strict=True)
            ],
            dtype=np.float64,
        )
        if self.score == "quantile":
            low, high = low_years - number, high_years + number
        else:
            half = (high_years - low_years) / 2 if self.score == "normalised" else 1.0
            low, high = estimate_years - number * half, estimate_years + number * half
        return (
            np.maximum(np.minimum(low, estimate_years), 0.0),
            np.maximum(high, estimate_years),
        )


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
        """Parsed from a card; raises as `IntervalCalibration.from_json` does."""
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
