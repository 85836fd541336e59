"""Rates of pairs with intervals, people being resampled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from agelens.evaluation.bootstrap.weights import drawn_weights
from agelens.evaluation.metrics.sums import ratio
from agelens.recognition.protocols.age_gaps import GAP_NAMES, by_gap
from agelens.recognition.protocols.pair_scores import ScoredPairs
from agelens.recognition.protocols.rates import Rate, Resampling
from agelens.recognition.protocols.roc import SortedScores, Truths
from agelens.records import Floats

_BYTES_AT_A_TIME: Final = 20_000_000


@dataclass(frozen=True, slots=True)
class GapRates:
    """What happened in a band of age gaps: of pairs of one person, and of two."""

    accuracy: Rate
    true_match: Rate
    false_match: Rate

    def to_json(self) -> dict[str, Any]:
        """Plain types by name."""
        return {
            "accuracy": self.accuracy.to_json(),
            "true_match": self.true_match.to_json(),
            "false_match": self.false_match.to_json(),
        }


class PairRates:
    """Rates of scored pairs, and of the same pairs in draws of people.

    Args:
        pairs: scored.
        matched: whether each [T] was taken for one person.
        resampling: of the intervals.
    """

    def __init__(self, pairs: ScoredPairs, matched: Truths, resampling: Resampling) -> None:
        self._pairs, self._how = pairs, resampling
        self._matched, self._right = matched, matched == pairs.same
        self._sorted = SortedScores(pairs.score, pairs.same)
        both = np.concatenate([pairs.person_a, pairs.person_b])
        people, codes = np.unique(both, return_inverse=True)
        self._people = len(people)
        self._a, self._b = np.split(codes, 2)

    def accuracy(self) -> Rate:
        """The mean of the folds' accuracies."""
        folds, fold = np.unique(self._pairs.fold, return_inverse=True)
        member = np.eye(len(folds))[fold]

        def of(weights: Floats) -> Floats:
            counts = weights @ member
            shares = ratio((weights * self._right) @ member, counts)
            # A fold of which nobody was drawn has no accuracy.
            return ratio(np.nansum(shares, axis=-1), (counts > 0).sum(axis=-1).astype(np.float64))

        return self._rate(of, np.ones(len(fold), dtype=bool))

    def area(self) -> Rate:
        """Area under the ROC."""
        return self._rate(lambda weights: self._sorted.curve(weights).area, self._everything)

    def equal_error(self) -> Rate:
        """Equal error rate."""
        return self._rate(lambda weights: self._sorted.curve(weights).equal_error, self._everything)

    def by_gap(self) -> dict[str, GapRates]:
        """Rates in each band of age gaps."""
        bands, same = by_gap(self._pairs.gap_years).codes, self._pairs.same
        return {
            name: GapRates(
                self._share(self._right, bands == band),
                self._share(self._matched, (bands == band) & same),
                self._share(self._matched, (bands == band) & ~same),
            )
            for band, name in enumerate(GAP_NAMES)
        }

    @property
    def _everything(self) -> Truths:
        return np.ones(len(self._pairs), dtype=bool)

    def _share(self, hits: Truths, inside: Truths) -> Rate:
        def of(weights: Floats) -> Floats:
            counted = weights[..., inside]
            return ratio((counted * hits[inside]).sum(axis=-1), counted.sum(axis=-1))

        return self._rate(of, inside)

    def _rate(self, of: Callable[[Floats], Floats], inside: Truths) -> Rate:
        value = float(of(np.ones((1, len(self._pairs))))[0])
        people = len(np.union1d(self._a[inside], self._b[inside]))
        # One person drawn again and again says nothing about others.
        drawn = [of(weights) for weights in self._drawn()] if people > 1 else []
        ends = self._how.ends(np.concatenate([[np.nan], *drawn]))
        return Rate(value, *ends, int(inside.sum()), people)

    def _drawn(self) -> Iterator[Floats]:
        """Weights [D, T] of the pairs, a part of the draws at a time; the same in each call."""
        at_a_time = max(1, _BYTES_AT_A_TIME // (8 * len(self._pairs)))
        how = self._how
        for people in drawn_weights(self._people, how.draws, how.seed, at_a_time):
            drawn = people.astype(np.float64)
            of_a = drawn[:, self._a]
            yield np.where(self._a == self._b, of_a, of_a * drawn[:, self._b])
