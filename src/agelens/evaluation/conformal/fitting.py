"""Corrections of one level's intervals: one for everybody, or one a bin and group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from agelens.errors import UnknownNameError, UsageError
from agelens.evaluation.conformal.corrections import correction
from agelens.evaluation.conformal.labelled import Labelled
from agelens.inference.calibration import (
    BINS_OF,
    EVERYBODY,
    INTERVAL_SCORES,
    BinsOf,
    IntervalCalibration,
    IntervalScore,
)
from agelens.records import Floats

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

    Raises:
        UnknownNameError: another score, or bins of something else.
        UsageError: less than one bin.
    """

    score: IntervalScore = "quantile"
    bins: int = 1
    bins_of: BinsOf = "estimate"
    column: str | None = None

    def __post_init__(self) -> None:
        if self.score not in INTERVAL_SCORES:
            raise UnknownNameError("interval score", self.score, INTERVAL_SCORES)
        if self.bins_of not in BINS_OF:
            raise UnknownNameError("what bins are of", self.bins_of, BINS_OF)
        if self.bins < 1:
            raise UsageError(f"a calibration has at least 1 bin, got {self.bins}")


def fit_corrections(labelled: Labelled, way: Way, edges: Floats) -> IntervalCalibration:
    """Corrections of all samples; their coverage is for others to measure."""
    corrections = {EVERYBODY: _by_bin(labelled, way, edges)}
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


def _binned(labelled: Labelled, way: Way) -> Floats:
    return labelled.age_years if way.bins_of == "age" else labelled.estimate_years
