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
from typing import Any, Final, Literal, TypeAlias, get_args

import numpy as np

from agelens.records import Floats

IntervalScore: TypeAlias = Literal["absolute", "normalised", "quantile"]
INTERVAL_SCORES: Final[tuple[str, ...]] = get_args(IntervalScore)
BinsOf: TypeAlias = Literal["estimate", "age"]
BINS_OF: Final[tuple[str, ...]] = get_args(BinsOf)
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
        edges_years: ascending borders between bins; empty for one bin.
        corrections: for each group's word a number for each bin; the key ``""`` serves
            everybody else, and must be there.
        column: what the words are, such as ``gender``; None without groups.
        coverage_of_strangers: as `coverage`, had nobody's group been known; None where that
            was not measured.
        bins_of: ``estimate`` corrects by the estimated age. ``age`` corrects by the true one,
            which nobody knows in use: an age is inside where it would be with the correction
            of its own bin, and the interval reaches from the first such age to the last. Then
            the young and the old are held as often as others, not only those who look it.

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
    bins_of: BinsOf = "estimate"

    def __post_init__(self) -> None:
        strangers = 0.0 if self.coverage_of_strangers is None else self.coverage_of_strangers
        if not 0 < self.level < 1 or not (0 <= self.coverage <= 1 and 0 <= strangers <= 1):
            raise ValueError(
                "calibration level and coverage must be shares, got "
                f"{self.level}, {self.coverage}, {self.coverage_of_strangers}"
            )
        if self.score not in INTERVAL_SCORES:
            raise ValueError(f"calibration score must be one of {', '.join(INTERVAL_SCORES)}")
        if self.bins_of not in BINS_OF:
            raise ValueError(f"calibration bins_of must be one of {', '.join(BINS_OF)}")
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
            bins_of=section.get("bins_of", "estimate"),
        )

    def to_json(self) -> dict[str, Any]:
        """Plain types for a card."""
        return {
            "level": self.level,
            "coverage": self.coverage,
            "score": self.score,
            "bins_of": self.bins_of,
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
        numbers = self._corrections(len(estimate_years), groups)
        edges = np.asarray(self.edges_years, dtype=np.float64)
        own = (estimate_years[:, None], low_years[:, None], high_years[:, None])
        if self.bins_of == "age":
            low, high = _hull(*self._ends(numbers, *own), edges)
        else:
            bins = np.searchsorted(edges, estimate_years, side="right")
            chosen = np.take_along_axis(numbers, bins[:, None], axis=1)
            low, high = (end[:, 0] for end in self._ends(chosen, *own))
        return (
            np.maximum(np.fmin(low, estimate_years), 0.0),
            np.fmax(high, estimate_years),
        )

    def _corrections(self, count: int, groups: Sequence[str | None] | None) -> Floats:
        """The corrections [N, K] of each row in each bin."""
        everybody = np.asarray(self.corrections[EVERYBODY], dtype=np.float64)
        numbers = np.tile(everybody, (count, 1))
        words = np.array([] if groups is None else [word or EVERYBODY for word in groups])
        for word, bins in self.corrections.items():
            if groups is not None:
                numbers[words == word] = bins
        return numbers

    def _ends(
        self, numbers: Floats, estimate: Floats, low: Floats, high: Floats
    ) -> tuple[Floats, Floats]:
        """Both ends, moved by `numbers`, of whatever shape these make together."""
        if self.score == "quantile":
            return low - numbers, high + numbers
        half = (high - low) / 2 if self.score == "normalised" else 1.0
        return estimate - numbers * half, estimate + numbers * half


def _hull(low: Floats, high: Floats, edges: Floats) -> tuple[Floats, Floats]:
    """From the first to the last age [N] that lies in the interval [N, K] of its own bin.

    NaN of a row of which no bin holds an age.
    """
    low = np.maximum(low, np.concatenate([[0.0], edges]))
    high = np.minimum(high, np.concatenate([edges, [np.inf]]))
    inside = low <= high
    first = np.where(inside, low, np.inf).min(axis=1)
    last = np.where(inside, high, -np.inf).max(axis=1)
    none = ~inside.any(axis=1)
    return np.where(none, np.nan, first), np.where(none, np.nan, last)


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
