"""The trade between false matches and false non-matches: ROC, its area, its equal error rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from agelens.records import Floats

Truths: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class RocCurve:
    """Rates as the threshold falls; a pair matches where its similarity is at least that.

    `thresholds` [K + 1] fall strictly from infinity, where nothing matches; `false_match` and
    `true_match` [K + 1], or [D, K + 1] of D draws, rise from 0 to 1. They are NaN where there is no
    pair of two people, or none of one.
    """

    thresholds: Floats
    false_match: Floats
    true_match: Floats

    @property
    def area(self) -> Floats:
        """Area under the curve [...]: how often one person's pair is the more similar.

        Ties count half (Hanley and McNeil, 1982).
        """
        return np.asarray(np.trapezoid(self.true_match, self.false_match, axis=-1))

    @property
    def equal_error(self) -> Floats:
        """The rate [...] at which false matches equal false non-matches.

        The curve runs straight between its points, as where IEFP finds the root.
        """
        above = self.false_match - (1 - self.true_match)  # rises from -1 to 1
        after = np.argmax(above >= 0, axis=-1)[..., np.newaxis]
        low, high = (np.take_along_axis(above, at, axis=-1) for at in (after - 1, after))
        from_, to = (np.take_along_axis(self.false_match, at, axis=-1) for at in (after - 1, after))
        return np.asarray((from_ + (to - from_) * -low / (high - low))[..., 0])

    def true_match_at(self, false_match: float) -> float:
        """The highest true match rate at which at most that share of two people's pairs match."""
        allowed = self.true_match[self.false_match <= false_match]
        return float(allowed.max()) if allowed.size else float("nan")


class SortedScores:
    """Scores of pairs, sorted once, for curves under any weights.

    Args:
        scores: similarity [T] of each pair.
        same: whether it is of one person [T].

    Raises:
        ValueError: a score is NaN.
    """

    def __init__(self, scores: NDArray[np.floating], same: Truths) -> None:
        if np.isnan(scores).any():
            raise ValueError("a pair without a score cannot be ranked: leave it out and count it")
        self._order = np.argsort(-scores, kind="stable")
        falling = scores[self._order].astype(np.float64)
        self._ends = np.flatnonzero(np.diff(falling, append=-np.inf))
        self._thresholds = np.concatenate([[np.inf], falling[self._ends]])
        self._same = same[self._order]

    def curve(self, weights: Floats | None = None) -> RocCurve:
        """The curve, each pair counting once or by `weights` [D, T]."""
        counts = np.ones(len(self._order)) if weights is None else weights[..., self._order]
        true_match = self._shares(counts * self._same)
        return RocCurve(self._thresholds, self._shares(counts * ~self._same), true_match)

    def _shares(self, counts: Floats) -> Floats:
        """Share [..., K + 1] of the counts [..., T] at or above each threshold."""
        running = np.cumsum(counts, axis=-1)
        total = running[..., -1:] if running.shape[-1] else np.zeros((*running.shape[:-1], 1))
        with np.errstate(invalid="ignore"):
            shares = running[..., self._ends] / total
        nothing = np.where(total > 0, 0.0, np.nan)
        return np.concatenate([nothing, shares], axis=-1)


def roc_curve(scores: NDArray[np.floating], same: Truths) -> RocCurve:
    """The curve of T pairs: similarity [T], and whether both pictures are of one person [T].

    Raises:
        ValueError: a score is NaN.
    """
    return SortedScores(scores, same).curve()
