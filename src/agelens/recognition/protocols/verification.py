"""Verification in folds, as of LFW, CALFW and CACD-VS: are both pictures of one person?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from agelens.data.datasets.pairs import PairTable
from agelens.errors import DatasetError, TableError
from agelens.evaluation.bootstrap.groupings import drawn_weights
from agelens.evaluation.metrics.base import ratio
from agelens.evaluation.reports.page import Section
from agelens.recognition.embedding_table import EmbeddingModel, EmbeddingTable
from agelens.recognition.protocols.identification import GAP_NAMES, by_gap
from agelens.recognition.protocols.pair_scores import (
    GridCurve,
    RocCurve,
    ScoredPairs,
    SortedScores,
    Truths,
    fold_thresholds,
    roc_curve,
    score_pairs,
)
from agelens.recognition.protocols.rates import Rate, Resampling, age_kinds
from agelens.recognition.protocols.report import SUBJECTS_UNKNOWN, ProtocolResult, drawing
from agelens.records import Floats

_BYTES_AT_A_TIME: Final = 20_000_000


@dataclass(frozen=True, slots=True)
class GapRates:
    """What happened in a band of age gaps: of pairs of one person, and of two."""

    accuracy: Rate
    true_match: Rate
    false_match: Rate


class PairRates:
    """Rates of scored pairs, and of the same pairs in draws of people.

    Args:
        pairs: scored.
        matched: whether each [T] was taken for one person.
        resampling: of the intervals.
        thresholds: [K], of which area and equal error rate are made as IEFP's code makes them;
            by default they are those of all pairs together and every threshold.
    """

    def __init__(
        self,
        pairs: ScoredPairs,
        matched: Truths,
        resampling: Resampling,
        thresholds: Floats | None = None,
    ) -> None:
        self._pairs, self._how = pairs, resampling
        self._matched, self._right = matched, matched == pairs.same
        self._curves: SortedScores | GridCurve = SortedScores(pairs.score, pairs.same)
        if thresholds is not None:
            self._curves = GridCurve(pairs.score, pairs.same, pairs.fold, thresholds)
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
        return self._rate(lambda weights: self._curves.curve(weights).area, self._everything)

    def equal_error(self) -> Rate:
        """Equal error rate."""
        return self._rate(lambda weights: self._curves.curve(weights).equal_error, self._everything)

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
        ends = self._how.ends(np.concatenate([[np.nan], *drawn]), value)
        known = people if self._pairs.subjects_known else None
        return Rate(value, *ends, int(inside.sum()), known)

    def _drawn(self) -> Iterator[Floats]:
        """Weights [D, T] of the pairs, a part of the draws at a time; the same in each call."""
        at_a_time = max(1, _BYTES_AT_A_TIME // (8 * len(self._pairs)))
        how = self._how
        for people in drawn_weights(self._people, how.draws, how.seed, at_a_time):
            drawn = people.astype(np.float64)
            of_a = drawn[:, self._a]
            yield np.where(self._a == self._b, of_a, of_a * drawn[:, self._b])


@dataclass(frozen=True, slots=True)
class Fold:
    """One fold: its threshold, chosen on the others, and the accuracy it has there."""

    fold: int
    threshold: float
    accuracy: float
    pairs: int


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Verification(ProtocolResult):
    """The figures of one list of pairs.

    `accuracy` is the mean of the folds' accuracies and `accuracy_std` their standard deviation (of
    the folds, as published, not of the mean). `area` and `equal_error` are those of all pairs
    together. `expected_pairs` counts the pairs listed; those not in `pairs` are named there.
    """

    protocol: str
    model: EmbeddingModel
    pairs: ScoredPairs
    expected_pairs: int
    folds: Sequence[Fold]
    accuracy: Rate
    accuracy_std: float
    area: Rate
    equal_error: Rate
    true_match_at: Mapping[float, float]
    by_gap: Mapping[str, GapRates]
    roc: RocCurve
    age_kinds: Mapping[str, int]
    resampling: Resampling

    @property
    def left_out(self) -> pd.DataFrame:
        """The pairs that were not measured, and why."""
        return self.pairs.left_out

    @property
    def accuracy_missing_as_wrong(self) -> float:
        """Accuracy over all listed pairs if every pair that was not measured were wrong."""
        right = sum(fold.accuracy * fold.pairs for fold in self.folds)
        return right / self.expected_pairs

    def document(self) -> dict[str, Any]:
        """Everything but single pairs."""
        return {
            "protocol": self.protocol,
            "model": self.model,
            "accuracy": self.accuracy,
            "accuracy_std_of_folds": self.accuracy_std,
            "accuracy_missing_as_wrong": self.accuracy_missing_as_wrong,
            "auc": self.area,
            "eer": self.equal_error,
            "true_match_at_false_match": {f"{k:g}": v for k, v in self.true_match_at.items()},
            "folds": self.folds,
            "by_age_gap": self.by_gap,
            "pairs": len(self.pairs),
            "expected_pairs": self.expected_pairs,
            "same": int(self.pairs.same.sum()),
            "age_gap_unknown": int(np.isnan(self.pairs.gap_years).sum()),
            "left_out": self.left_out["why"].value_counts().to_dict(),
            "subjects_known": self.pairs.subjects_known,
            "contradicted_by_subjects": self.pairs.contradictions,
            "age_kinds": self.age_kinds,
            "bootstrap": self.resampling,
        }

    def rows(self) -> dict[str, Rate]:
        """Accuracy, area, equal error rate, and true matches at few false ones."""
        people = self.accuracy.people
        wrong = Rate.plain(self.accuracy_missing_as_wrong, self.expected_pairs, people)
        return {
            "accuracy, mean of folds": self.accuracy,
            "accuracy, missing as wrong": wrong,
            "area under the ROC": self.area,
            "equal error rate": self.equal_error,
            **{
                f"true matches at {100 * rate:g} % false": Rate.plain(
                    value, len(self.pairs), people
                )
                for rate, value in self.true_match_at.items()
            },
        }

    def gap_rows(self) -> dict[str, dict[str, Rate]]:
        """True match rate, accuracy and false match rate by band of age gaps."""
        return {
            gap: {
                "true match rate": rates.true_match,
                "accuracy": rates.accuracy,
                "false match rate": rates.false_match,
            }
            for gap, rates in self.by_gap.items()
        }

    def counts(self) -> dict[str, int]:
        """Pairs of either kind."""
        same = int(self.pairs.same.sum())
        return {
            "pairs listed": self.expected_pairs,
            "pairs measured": len(self.pairs),
            "of one person": same,
            "of two people": len(self.pairs) - same,
            "pairs that the table's subjects contradict": self.pairs.contradictions,
        }

    def how(self) -> str:
        """When a pair matches."""
        return (
            "A pair matches where its cosine is at least the threshold, which is chosen for each "
            "fold on all other folds."
        )

    def cautions(self) -> list[str]:
        """Also where the table does not say who is on every picture."""
        unknown = [] if self.pairs.subjects_known else [SUBJECTS_UNKNOWN]
        return [*ProtocolResult.cautions(self), *unknown]

    def charts(self) -> Iterator[Section]:
        """Folds and ROC."""
        others = len(self.pairs) - int(self.pairs.same.sum())
        roc = drawing("roc_figure", self.roc, self.equal_error.value, self.area.value, others)
        yield Section("Folds", tables=[("", pd.DataFrame(self.folds))])
        yield Section("ROC", figures={"roc": roc})

    def frames(self) -> dict[str, pd.DataFrame]:
        """Also the folds."""
        return {**ProtocolResult.frames(self), "folds": pd.DataFrame(self.folds)}

    def missing(self) -> pd.DataFrame:
        """See `left_out`."""
        return self.left_out


FALSE_MATCH_RATES = (0.1, 0.01, 0.001)
"""At which the true match rate is stated."""


def verification(
    table: EmbeddingTable,
    pairs: PairTable,
    *,
    protocol: str = "verification",
    thresholds: Sequence[float] | None = None,
    resampling: Resampling | None = None,
) -> Verification:
    """Accuracy at the threshold chosen on the other folds, area under the ROC, equal error rate.

    A pair matches where its cosine is at least the threshold (Huang et al., LFW, 2007, View 2).
    Intervals resample people: a pair of two counts as often as both are drawn together, the
    product of their draws (Owen, Annals of Applied Statistics 1, 2007); thresholds stay as they
    are. A pair without both embeddings is left out, counted and named.

    Args:
        table: with the pictures' paths.
        pairs: listed, in folds.
        protocol: what the result is called.
        thresholds: to choose from, ascending; by default all that decide differently
            (`IEFP_THRESHOLDS` are those of IEFP's own figures). Area and equal error rate are
            then made of the mean over folds of the rates at these, as IEFP's code does.
        resampling: of the intervals.

    Raises:
        TableError: see `score_pairs`; or all pairs with embeddings are of one kind.
        DatasetError: the list is of one fold.
    """
    scored = score_pairs(table, pairs)
    if scored.same.all() or not scored.same.any():
        kind = "one person" if scored.same.all() else "two people"
        raise TableError(
            f"all {len(scored):,} pairs with embeddings are of {kind}: nothing to tell"
        )
    if len(np.unique(scored.fold)) < 2:
        raise DatasetError(
            "the pairs are one fold, as View 1 of LFW: a threshold is chosen on other folds. Take "
            "a list of several, as pairs.txt"
        )
    candidates = None if thresholds is None else np.asarray(thresholds, dtype=np.float64)
    chosen = fold_thresholds(scored.score, scored.same, scored.fold, candidates)
    limits = np.array([chosen[int(fold)] for fold in scored.fold])
    matched = scored.score >= limits
    how = resampling or Resampling()
    rates = PairRates(scored, matched, how, candidates)
    folds = [
        _fold(fold, limit, matched == scored.same, scored.fold == fold)
        for fold, limit in chosen.items()
    ]
    curve = roc_curve(scored.score, scored.same)
    return Verification(
        protocol=protocol,
        model=table.model,
        pairs=scored,
        expected_pairs=len(pairs),
        folds=folds,
        accuracy=rates.accuracy(),
        accuracy_std=float(np.std([fold.accuracy for fold in folds])),
        area=rates.area(),
        equal_error=rates.equal_error(),
        true_match_at={rate: curve.true_match_at(rate) for rate in FALSE_MATCH_RATES},
        by_gap=rates.by_gap(),
        roc=curve,
        age_kinds=age_kinds([table]),
        resampling=how,
    )


def _fold(fold: int, threshold: float, right: np.ndarray, inside: np.ndarray) -> Fold:
    return Fold(fold, threshold, float(right[inside].mean()), int(inside.sum()))
