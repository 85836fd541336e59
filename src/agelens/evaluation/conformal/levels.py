"""One level's intervals calibrated, and their coverage measured on people apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agelens.errors import UsageError
from agelens.evaluation.conformal.fitting import Labelled, Way, bin_edges, fit_corrections
from agelens.inference.calibration import (
    BiasCorrection,
    BinsOf,
    IntervalCalibration,
    IntervalScore,
)
from agelens.records import Floats

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


def calibrate_intervals(
    labelled: Labelled,
    *,
    score: IntervalScore = "quantile",
    bins: int = 1,
    bins_of: BinsOf = "estimate",
    column: str | None = None,
    seed: int = 0,
) -> IntervalCalibration:
    """The corrections of `calibrate_level` alone; see `Way` for what the arguments are."""
    return calibrate_level(labelled, Way(score, bins, bins_of, column), seed=seed).intervals


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


def covers(labelled: Labelled, calibration: IntervalCalibration) -> NDArray[np.bool_]:
    """Whether each true age [N] lies inside its calibrated interval, ends included."""
    return _inside(labelled, *_ends(labelled, calibration))


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
