"""From labelled predictions to calibrated intervals: what a card's calibration is made of.

Split-conformal prediction. Corrections may differ by bin of the estimated age, by bin
of the true one (Mondrian: Vovk et al., 2005) and by group. A promise made so holds on average
over each bin and group of people like those in the table.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression
from scipy.stats import beta

from agelens.ages import AgeScale
from agelens.errors import UnknownNameError, UsageError
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
    each comes from, where several are to be held. `held` [N, G] marks who is of each named group
    that is to be held as often as everybody.

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
    held: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        numbers = (self.age_years, self.estimate_years, self.low_years, self.high_years)
        if not all(np.isfinite(n).all() for n in numbers):
            raise UsageError("calibration needs an age, an estimate and an interval in every row")

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
            None if self.held is None else self.held[chosen],
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
    estimates, place, samples = np.unique(
        labelled.estimate_years, return_inverse=True, return_counts=True
    )
    means = np.bincount(place, weights=labelled.age_years) / samples
    curve = isotonic_regression(means, weights=samples).x
    oldest = scale.years[-1] if scale else None
    curve = np.clip(curve, scale.years[0] if scale else 0.0, oldest)
    # Within a step of the curve the first and the last point say all.
    steps = np.flatnonzero(np.diff(curve))
    ends = np.unique([0, *steps, *(steps + 1), len(curve) - 1])
    knots = np.unique(np.round(estimates[ends], 3))
    if len(knots) < 2:
        raise UsageError("the estimates are all alike: there is no bias to fit a curve to")
    years = np.maximum.accumulate(np.interp(knots, estimates, curve))
    return BiasCorrection(tuple(knots.tolist()), tuple(years.tolist()))


def correction(labelled: Labelled, score: IntervalScore) -> float:
    """The number that widens every interval enough for `labelled.level`.

    Split-conformal: of the scores of N people, how far each age lies outside what it is compared
    with, the one of rank ``ceil((N + 1) level)`` (Vovk et al., 2005; Romano et al., NeurIPS 2019).

    Raises:
        UsageError: too few samples for the level; a normalised score, and an interval of no width.
    """
    age, low, high = labelled.age_years, labelled.low_years, labelled.high_years
    if score == "quantile":
        scores = np.maximum(low - age, age - high)
    else:
        scores = np.abs(age - labelled.estimate_years)
    if score == "normalised":
        half = (high - low) / 2
        if (half <= 0).any():
            raise UsageError("a normalised score needs intervals wider than nothing")
        scores = scores / half
    # Rounded, or 0.9 of 20 samples would be a little more than 18.
    rank = math.ceil(round((len(scores) + 1) * labelled.level, 9))
    if rank > len(scores):
        raise UsageError(
            f"{len(scores)} samples are too few to calibrate {labelled.level:.0%} intervals"
        )
    return float(np.partition(scores, rank - 1)[rank - 1])


SMALLEST_SET: Final = 50
"""With fewer of its people a dataset says nothing, nor do fewer of them in a bin of that bin."""

_ROUNDING_YEARS: Final = 1e-6
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
        each_set: how far below the level the share may lie that is held of any one dataset of the
            table, such as 0.03, so that the mix alone does not decide; likewise of a dataset's
            people in each bin, where they are 50. A dataset that is held too rarely widens the
            bins that it has people in. None looks at the mix only.

    Raises:
        UnknownNameError: another score, or bins of something else.
        UsageError: less than one bin, or for each set another score than ``quantile`` or no share.
    """

    score: IntervalScore = "quantile"
    bins: int = 1
    bins_of: BinsOf = "estimate"
    column: str | None = None
    each_set: float | None = None

    def __post_init__(self) -> None:
        if self.each_set is not None and self.score != "quantile":
            raise UsageError(f"each dataset is held by the score quantile, not by {self.score!r}")
        if self.each_set is not None and not 0 <= self.each_set < 1:
            raise UsageError(f"a dataset lies 0 to 1 below the level, got {self.each_set}")
        if self.score not in INTERVAL_SCORES:
            raise UnknownNameError("interval score", self.score, INTERVAL_SCORES)
        if self.bins_of not in BINS_OF:
            raise UnknownNameError("what bins are of", self.bins_of, BINS_OF)
        if self.bins < 1:
            raise UsageError(f"a calibration has at least 1 bin, got {self.bins}")


def fit_corrections(labelled: Labelled, way: Way, edges: Floats) -> IntervalCalibration:
    """Corrections of all samples; their coverage is for others to measure."""
    corrections = {EVERYBODY: _by_bin(labelled, way, edges)}
    if way.each_set is not None and labelled.sets is not None:
        corrections[EVERYBODY] = _each_set(labelled, way, edges, corrections[EVERYBODY])
    if labelled.held is not None:
        corrections[EVERYBODY] = _each_group(labelled, way, edges, corrections[EVERYBODY])
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
    """Corrections a bin, widened until each dataset is held; see `Way.each_set`."""
    place = np.searchsorted(edges, _binned(labelled, way), side="right")
    widest, slack = np.array(everybodys), way.each_set or 0.0
    sets = np.asarray(labelled.sets, dtype=str)
    wholes = [sets == name for name in np.unique(sets)]
    bands = [whole & (place == k) for k in range(len(widest)) for whole in wholes]
    for own in (*bands, *wholes):
        if own.sum() < SMALLEST_SET:
            continue
        part, given = labelled.rows(own), widest[place[own]]
        below, above = part.low_years - part.age_years, part.age_years - part.high_years
        missed = np.maximum(below, above) - given
        lacking = float(np.quantile(missed, max(labelled.level - slack, 0.0), method="higher"))
        if lacking > 0:  # and a little more, or rounding loses the one who decides
            widest[np.unique(place[own])] += lacking + _ROUNDING_YEARS
    return tuple(widest.tolist())


def _each_group(
    labelled: Labelled, way: Way, edges: Floats, everybodys: tuple[float, ...]
) -> tuple[float, ...]:
    """Everybody's corrections, widened until they are enough for each named group by itself.

    How a correction differs between bins is taken from the people outside of the group, and how
    large it must be from those inside, so that the promise holds of each group exactly (as of
    Mondrian conformal predictors, Vovk et al., 2005), and nobody needs to know the group in use.
    Bins in which a group has fewer than 100 people are taken together with their neighbours.
    """
    place = np.searchsorted(edges, _binned(labelled, way), side="right")
    widest = np.array(everybodys)
    for group in np.asarray(labelled.held, dtype=bool).T:
        others = labelled.rows(~group)
        shape = np.zeros(len(widest))
        if len(others.age_years) >= SMALLEST_BIN:
            shape = np.array(_by_bin(others, way, edges))
        for run in _runs(np.bincount(place[group], minlength=len(widest))):
            inside = group & np.isin(place, run)
            if not inside.any():
                continue
            part, given = labelled.rows(inside), shape[place[inside]]
            low, high = part.low_years - given, part.high_years + given
            more = correction(replace(part, low_years=low, high_years=high), way.score)
            widest[run] = np.maximum(widest[run], shape[run] + more)
    return tuple(widest.tolist())


def _runs(counts: NDArray[np.int64]) -> list[list[int]]:
    """Neighbouring bins together, each run of at least 100 samples, if there are so many."""
    runs: list[list[int]] = [[]]
    for number in range(len(counts)):
        runs[-1].append(number)
        if counts[runs[-1]].sum() >= SMALLEST_BIN and counts[number + 1 :].sum() >= SMALLEST_BIN:
            runs.append([])
    return runs


TOLERANCE: Final = 0.05
"""How far below its level a coverage may come out by an unlucky choice of calibrating people."""
_UNLUCKY: Final = 0.05


def people_needed(level: float) -> int:
    """How many people make it unlikely (5 %) that intervals hold 5 points less than `level`.

    Among all that N people may lead to, coverage is distributed as Beta(k, N + 1 - k) with
    k = ceil((N + 1) level) (Vovk, 2012). 68 for 90 %.
    """
    count = max(2, math.ceil(1 / (1 - level)))
    while beta.ppf(_UNLUCKY, *_shape(count, level)) < level - TOLERANCE:
        count += 1
    return count


def _shape(count: int, level: float) -> tuple[int, int]:
    rank = min(math.ceil(round((count + 1) * level, 9)), count)
    return rank, count + 1 - rank


def _binned(labelled: Labelled, way: Way) -> Floats:
    return labelled.age_years if way.bins_of == "age" else labelled.estimate_years


_FOLDS: Final = 5

FitBias: TypeAlias = Callable[[Labelled], BiasCorrection]


@dataclass(frozen=True, slots=True, eq=False)
class CalibratedLevel:
    """Corrections, and the intervals [N] that each person got from corrections found without it.

    The coverage that `intervals` states is that of these `low_years` and `high_years`.
    """

    intervals: IntervalCalibration
    low_years: Floats
    high_years: Floats


def calibrate_level(
    labelled: Labelled,
    way: Way,
    *,
    seed: int = 0,
    fit_bias: FitBias | None = None,
) -> CalibratedLevel:
    """Corrections that make the intervals of `labelled` hold as often as they claim.

    `coverage` of the result is measured by five folds, no person in two: each is covered by
    corrections that were found without it.

    Args:
        labelled: people whom the network was not trained on.
        way: how to correct.
        seed: of the folds.
        fit_bias: corrects the bias of estimates and intervals first; in each fold anew.

    Raises:
        UsageError: groups without a column, or the other way round; too few samples for the
            level, or one person only.
    """
    if labelled.held is not None and way.score != "quantile":
        raise UsageError(f"groups are held by the score quantile, not by {way.score!r}")
    if (way.column is None) != (labelled.groups is None):
        raise UsageError("calibration by group needs both the groups and the name of their column")
    _check_too_few(labelled)
    whole = labelled if fit_bias is None else labelled.corrected(fit_bias(labelled))
    edges = bin_edges(whole, way)
    known, unknown = (np.empty((2, len(labelled.age_years))) for _ in range(2))
    for held_out in _folds(labelled.people, seed):
        rest, part = labelled.rows(~held_out), labelled.rows(held_out)
        if fit_bias is not None:
            bias = fit_bias(rest)
            rest, part = rest.corrected(bias), part.corrected(bias)
        fitted = fit_corrections(rest, way, edges)
        known[:, held_out] = _ends(part, fitted)
        unknown[:, held_out] = _ends(replace(part, groups=None), fitted)
    strangers = float(_inside(labelled, *unknown).mean()) if way.column else None
    intervals = replace(
        fit_corrections(whole, way, edges),
        coverage=float(_inside(labelled, *known).mean()),
        coverage_of_strangers=strangers,
    )
    return CalibratedLevel(intervals, *known)


def _check_too_few(labelled: Labelled) -> None:
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


def _folds(people: NDArray[Any], seed: int) -> list[NDArray[np.bool_]]:
    names, place = np.unique(people, return_inverse=True)
    fold = np.random.default_rng(seed).permutation(len(names)) % min(_FOLDS, len(names))
    return [fold[place] == k for k in range(fold.max() + 1)]
