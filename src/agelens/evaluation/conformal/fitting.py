"""Corrections of one level's intervals: one for everybody, or one a bin and group."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

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
    BINS_OF,
    EVERYBODY,
    INTERVAL_SCORES,
    BiasCorrection,
    BinsOf,
    IntervalCalibration,
    IntervalScore,
)
from agelens.records import Floats


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """N labelled predictions: years [N] each; the interval is the network's own at `level`.

    `groups` [N] are words or None; `people` [N] say who is whom; `sets` [N] name the dataset that
    each comes from, where several are to be held.

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
    sets: NDArray[np.object_] | None = None

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
            None if self.sets is None else self.sets[chosen],
        )

    def corrected(self, bias: BiasCorrection) -> Labelled:
        """The same with estimates and intervals moved by `bias`."""
        return replace(
            self,
            estimate_years=bias.apply(self.estimate_years),
            low_years=bias.apply(self.low_years),
            high_years=bias.apply(self.high_years),
        )


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


_FAR: Final = 1000.0
"""Ends of an interval that no correction turns round."""


def correction(labelled: Labelled, score: IntervalScore) -> float:
    """The number that widens every interval enough for `labelled.level`.

    Raises:
        UsageError: a normalised score, and an interval of no width.
    """
    level, probe = labelled.level, np.array([[-_FAR, _FAR, 0.0]])
    if score == "quantile":
        low, high = labelled.low_years, labelled.high_years
        # In the place of the estimate, which mapie would complain of where it is outside.
        columns = np.stack([low, high, (low + high) / 2], axis=1)
        ends = ConformalizedQuantileRegressor(
            [_Column(0), _Column(1), _Column(2)], confidence_level=level, prefit=True
        )
        ends.conformalize(columns, labelled.age_years)
        _, interval = ends.predict_interval(probe, symmetric_correction=True)
        return float(interval[0, 1, 0]) - _FAR
    error = labelled.age_years - labelled.estimate_years
    if score == "normalised":
        half = (labelled.high_years - labelled.low_years) / 2
        if (half <= 0).any():
            raise UsageError("a normalised score needs intervals wider than nothing")
        error = error / half
    sides = SplitConformalRegressor(_Column(0), confidence_level=level, prefit=True)
    sides.conformalize(np.zeros((len(error), 3)), error)
    _, interval = sides.predict_interval(np.zeros((1, 3)))
    return float(interval[0, 1, 0])


class _Column(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """A regressor that is fitted already: it answers with one of its inputs."""

    fitted_ = True  # mapie asks

    def __init__(self, place: int) -> None:
        self.place = place

    def fit(self, *_: ArrayLike) -> _Column:
        return self

    def predict(self, columns: ArrayLike) -> Floats:
        return np.asarray(columns, dtype=np.float64)[:, self.place]


SMALLEST_SET: Final = 30
"""With fewer of its people in a bin a dataset says nothing of that bin."""

SMALLEST_BIN: Final = 100
"""Fewer samples than this share the corrections of their neighbours, or of everybody."""


@dataclass(frozen=True, slots=True)
class Way:
    """How corrections are found.

    Args:
        score: see `IntervalCalibration`.
        bins: of equal numbers of samples; fewer where a bin would have under 100.
        bins_of: the estimated age or the true one, see `IntervalCalibration`.
        column: whose words have corrections of their own; those of fewer than 100 samples have
            everybody's.
        each_set: every dataset of the table is to be held, not only their mix: a bin takes the
            largest correction that a dataset with 30 samples in it needs, and a dataset that is
            then still held too rarely widens the bins that it has people in.

    Raises:
        UnknownNameError: another score, or bins of something else.
        UsageError: less than one bin, or each set with another score than ``quantile``.
    """

    score: IntervalScore = "quantile"
    bins: int = 1
    bins_of: BinsOf = "estimate"
    column: str | None = None
    each_set: bool = False

    def __post_init__(self) -> None:
        if self.each_set and self.score != "quantile":
            raise UsageError(f"each dataset is held by the score quantile, not by {self.score!r}")
        if self.score not in INTERVAL_SCORES:
            raise UnknownNameError("interval score", self.score, INTERVAL_SCORES)
        if self.bins_of not in BINS_OF:
            raise UnknownNameError("what bins are of", self.bins_of, BINS_OF)
        if self.bins < 1:
            raise UsageError(f"a calibration has at least 1 bin, got {self.bins}")


def fit_corrections(labelled: Labelled, way: Way, edges: Floats) -> IntervalCalibration:
    """Corrections of all samples; their coverage is for others to measure."""
    corrections = {EVERYBODY: _by_bin(labelled, way, edges)}
    if way.each_set and labelled.sets is not None:
        corrections[EVERYBODY] = _each_set(labelled, way, edges, corrections[EVERYBODY])
    if labelled.groups is not None:
        words, counts = np.unique(
            labelled.groups[labelled.groups != np.array(None)].astype(str), return_counts=True
        )
        for word in words[counts >= SMALLEST_BIN].tolist():
            part = labelled.rows(labelled.groups == word)
            corrections[word] = _by_bin(part, way, edges, corrections[EVERYBODY])
    return IntervalCalibration(
        level=labelled.level,
        coverage=0.0,
        score=way.score,
        edges_years=tuple(edges.tolist()),
        corrections=corrections,
        column=way.column,
        bins_of=way.bins_of,
    )


def bin_edges(labelled: Labelled, way: Way) -> Floats:
    """Inner borders of at most `way.bins` bins, each with at least 100 samples."""
    years, bins = _binned(labelled, way), way.bins
    count = max(1, min(bins, len(years) // SMALLEST_BIN))
    edges = np.unique(np.round(np.quantile(years, np.arange(1, count) / count), 1))
    while len(edges):  # whole years come in heaps: a border may cut off next to nobody
        samples = np.bincount(np.searchsorted(edges, years, side="right"), minlength=len(edges) + 1)
        smallest = int(samples.argmin())
        if samples[smallest] >= SMALLEST_BIN:
            break
        edges = np.delete(edges, min(smallest, len(edges) - 1))
    return edges


def _by_bin(
    labelled: Labelled, way: Way, edges: Floats, everybodys: tuple[float, ...] = ()
) -> tuple[float, ...]:
    """A correction a bin; where a group has few samples, everybody's of that bin."""
    place = np.searchsorted(edges, _binned(labelled, way), side="right")
    bins = range(len(edges) + 1)
    fallback = everybodys or (correction(labelled, way.score),) * len(bins)
    return tuple(
        correction(labelled.rows(place == k), way.score)
        if (place == k).sum() >= SMALLEST_BIN
        else fallback[k]
        for k in bins
    )


def _each_set(
    labelled: Labelled, way: Way, edges: Floats, everybodys: tuple[float, ...]
) -> tuple[float, ...]:
    """Corrections a bin that hold each dataset; see `Way.each_set`."""
    place = np.searchsorted(edges, _binned(labelled, way), side="right")
    widest = np.array(everybodys)
    parts = [labelled.sets == name for name in np.unique(np.asarray(labelled.sets, dtype=str))]
    for own in parts:
        for k in range(len(widest)):
            here = own & (place == k)
            if here.sum() >= SMALLEST_SET:
                widest[k] = max(widest[k], correction(labelled.rows(here), way.score))
    for own in parts:
        part = labelled.rows(own)
        so_far = IntervalCalibration(
            labelled.level, 0.0, way.score, tuple(edges), {EVERYBODY: tuple(widest)}
        )
        so_far = replace(so_far, bins_of=way.bins_of)
        low, high = so_far.apply(part.estimate_years, part.low_years, part.high_years)
        if own.sum() >= SMALLEST_SET:
            lacking = correction(replace(part, low_years=low, high_years=high), way.score)
            widest[np.unique(place[own])] += max(0.0, lacking)
    return tuple(widest.tolist())


def _binned(labelled: Labelled, way: Way) -> Floats:
    return labelled.age_years if way.bins_of == "age" else labelled.estimate_years
