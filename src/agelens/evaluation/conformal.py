"""From labelled predictions to calibrated intervals: what a card's calibration is made of.

Split-conformal prediction, by mapie: of the two packages at hand it alone has conformalised
quantile regression (crepes takes absolute residuals only). Corrections may differ by bin of
the estimated age and by group (Mondrian: Vovk et al., 2005), never by the true age, which
nobody knows in use. A promise made so holds on average over each bin and group of people
like those in the table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

import numpy as np
import pandas as pd
from mapie.regression import ConformalizedQuantileRegressor, SplitConformalRegressor
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.isotonic import IsotonicRegression

from agelens.ages import AgeScale
from agelens.errors import UnknownNameError, UsageError
from agelens.evaluation.bootstrap import person_codes
from agelens.inference.calibration import (
    EVERYBODY,
    INTERVAL_SCORES,
    BiasCorrection,
    IntervalCalibration,
    IntervalScore,
)
from agelens.records import Floats

SMALLEST_BIN: Final = 100
"""Fewer samples than this share the corrections of their neighbours, or of everybody."""
_FOLDS: Final = 5


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


FitBias: TypeAlias = Callable[[Labelled], BiasCorrection]


@dataclass(frozen=True, slots=True, eq=False)
class CalibratedLevel:
    """Corrections, and the intervals [N] that each person got from corrections found without it.

    The coverage that `intervals` states is that of these `low_years` and `high_years`.
    """

    intervals: IntervalCalibration
    low_years: Floats
    high_years: Floats


def calibrate_intervals(
    labelled: Labelled,
    *,
    score: IntervalScore = "quantile",
    bins: int = 1,
    column: str | None = None,
    seed: int = 0,
) -> IntervalCalibration:
    """The corrections of `calibrate_level` alone."""
    return calibrate_level(labelled, score=score, bins=bins, column=column, seed=seed).intervals


def calibrate_level(
    labelled: Labelled,
    *,
    score: IntervalScore = "quantile",
    bins: int = 1,
    column: str | None = None,
    seed: int = 0,
    fit_bias: FitBias | None = None,
) -> CalibratedLevel:
    """Corrections that make the intervals of `labelled` hold as often as they claim.

    `coverage` of the result is measured by five folds, no person in two: each is covered by
    corrections that were found without it.

    Args:
        labelled: people whom the network was not trained on.
        score: see `IntervalCalibration`.
        bins: of the estimated age, of equal numbers of samples; fewer where a bin would
            have under 100.
        column: what `labelled.groups` are; groups of fewer than 100 are everybody's.
        seed: of the folds.
        fit_bias: corrects the bias of estimates and intervals first; in each fold anew.

    Raises:
        UnknownNameError: another score.
        UsageError: groups without `column`, or the other way round; too few samples for the
            level, or one person only.
    """
    if score not in INTERVAL_SCORES:
        raise UnknownNameError("interval score", score, INTERVAL_SCORES)
    if (column is None) != (labelled.groups is None):
        raise UsageError("calibration by group needs both the groups and the name of their column")
    _refuse_too_few(labelled)
    whole = labelled if fit_bias is None else labelled.corrected(fit_bias(labelled))
    edges = _edges(whole.estimate_years, bins)
    known, unknown = (np.empty((2, len(labelled.age_years))) for _ in range(2))
    for held_out in _folds(labelled.people, seed):
        rest, part = labelled.rows(~held_out), labelled.rows(held_out)
        if fit_bias is not None:
            bias = fit_bias(rest)
            rest, part = rest.corrected(bias), part.corrected(bias)
        fitted = _fit(rest, score, edges, column)
        known[:, held_out] = _ends(part, fitted)
        unknown[:, held_out] = _ends(replace(part, groups=None), fitted)
    intervals = replace(
        _fit(whole, score, edges, column),
        coverage=float(_inside(labelled, *known).mean()),
        coverage_of_strangers=float(_inside(labelled, *unknown).mean()) if column else None,
    )
    return CalibratedLevel(intervals, *known)


def covers(labelled: Labelled, calibration: IntervalCalibration) -> NDArray[np.bool_]:
    """Whether each true age [N] lies inside its calibrated interval, ends included."""
    return _inside(labelled, *_ends(labelled, calibration))


def correct_bias(labelled: Labelled, *, scale: AgeScale | None = None) -> BiasCorrection:
    """The rising curve from estimates to ages with the least squared error (isotonic fit).

    It moves estimates toward the mix of ages in the table: right for people like them, wrong
    where ages are mixed differently. That is why it is off unless asked for.

    Args:
        labelled: people whom the network was not trained on.
        scale: corrected years stay within it.

    Raises:
        UsageError: all estimates are alike.
    """
    fit = IsotonicRegression(
        y_min=scale.years[0] if scale else 0.0,
        y_max=scale.years[-1] if scale else None,
        out_of_bounds="clip",  # rounding moves the end knots past the data
    ).fit(labelled.estimate_years, labelled.age_years)
    knots = np.unique(np.round(fit.X_thresholds_, 3))
    if len(knots) < 2:
        raise UsageError("the estimates are all alike: there is no bias to fit a curve to")
    years = np.maximum.accumulate(fit.predict(knots))
    return BiasCorrection(tuple(knots.tolist()), tuple(years.tolist()))


class _Column(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """A regressor that is fitted already: it answers with one of its inputs."""

    fitted_ = True  # mapie asks

    def __init__(self, place: int) -> None:
        self.place = place

    def fit(self, *_: ArrayLike) -> _Column:
        return self

    def predict(self, columns: ArrayLike) -> Floats:
        return np.asarray(columns, dtype=np.float64)[:, self.place]


def _refuse_too_few(labelled: Labelled) -> None:
    samples, least = len(labelled.age_years), int(np.ceil(1 / (1 - labelled.level)))
    if len(np.unique(labelled.people)) < 2:
        raise UsageError(f"{samples} samples of one person cannot calibrate intervals for others")
    smallest = min(len(part) - part.sum() for part in _folds(labelled.people, seed=0))
    if smallest < least:
        raise UsageError(
            f"{samples} samples are too few to calibrate {labelled.level:.0%} intervals: at least "
            f"{least} are needed besides those that coverage is measured on"
        )


def _ends(labelled: Labelled, calibration: IntervalCalibration) -> tuple[Floats, Floats]:
    """Calibrated ends [N]."""
    groups = None if calibration.column is None else labelled.groups
    return calibration.apply(
        labelled.estimate_years,
        labelled.low_years,
        labelled.high_years,
        None if groups is None else groups.tolist(),
    )


def _inside(labelled: Labelled, low_years: Floats, high_years: Floats) -> NDArray[np.bool_]:
    age = labelled.age_years
    return np.asarray((low_years <= age) & (age <= high_years))


def _fit(
    labelled: Labelled, score: IntervalScore, edges: Floats, column: str | None
) -> IntervalCalibration:
    """Corrections of all samples; their coverage is for others to measure."""
    corrections = {EVERYBODY: _by_bin(labelled, score, edges)}
    if labelled.groups is not None:
        words, counts = np.unique(
            labelled.groups[labelled.groups != np.array(None)].astype(str), return_counts=True
        )
        for word in words[counts >= SMALLEST_BIN].tolist():
            part = labelled.rows(labelled.groups == word)
            corrections[word] = _by_bin(part, score, edges)
    return IntervalCalibration(
        labelled.level, 0.0, score, tuple(edges.tolist()), corrections, column
    )


def _by_bin(labelled: Labelled, score: IntervalScore, edges: Floats) -> tuple[float, ...]:
    place = np.searchsorted(edges, labelled.estimate_years, side="right")
    everywhere = _correction(labelled, score)
    return tuple(
        _correction(labelled.rows(place == k), score)
        if (place == k).sum() >= SMALLEST_BIN
        else everywhere
        for k in range(len(edges) + 1)
    )


def _correction(labelled: Labelled, score: IntervalScore) -> float:
    """The number that widens every interval enough, as mapie finds it."""
    level, probe = labelled.level, np.array([[0.0, 0.0, 0.0]])
    if score == "quantile":
        columns = np.stack(
            [labelled.low_years, labelled.high_years, labelled.estimate_years], axis=1
        )
        ends = ConformalizedQuantileRegressor(
            [_Column(0), _Column(1), _Column(2)], confidence_level=level, prefit=True
        )
        ends.conformalize(columns, labelled.age_years)
        _, interval = ends.predict_interval(probe, symmetric_correction=True)
        return float(interval[0, 1, 0])
    error = labelled.age_years - labelled.estimate_years
    if score == "normalised":
        half = (labelled.high_years - labelled.low_years) / 2
        if (half <= 0).any():
            raise UsageError("a normalised score needs intervals wider than nothing")
        error = error / half
    sides = SplitConformalRegressor(_Column(0), confidence_level=level, prefit=True)
    sides.conformalize(np.zeros((len(error), 3)), error)
    _, interval = sides.predict_interval(probe)
    return float(interval[0, 1, 0])


def _edges(estimates: Floats, bins: int) -> Floats:
    """Inner borders of at most `bins` bins, each with at least 100 samples."""
    if bins < 1:
        raise UsageError(f"a calibration has at least 1 bin, got {bins}")
    count = max(1, min(bins, len(estimates) // SMALLEST_BIN))
    return np.unique(np.round(np.quantile(estimates, np.arange(1, count) / count), 1))


def _folds(people: NDArray[Any], seed: int) -> list[NDArray[np.bool_]]:
    names, place = np.unique(people, return_inverse=True)
    fold = np.random.default_rng(seed).permutation(len(names)) % min(_FOLDS, len(names))
    return [fold[place] == k for k in range(fold.max() + 1)]
