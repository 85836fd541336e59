"""Verification in folds, as of LFW, CALFW and CACD-VS: are both pictures of one person?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from agelens.data.datasets.pairs import PairTable
from agelens.errors import DatasetError, TableError
from agelens.recognition.embeddings import EmbeddingModel, EmbeddingTable
from agelens.recognition.protocols.fold_thresholds import fold_thresholds
from agelens.recognition.protocols.pair_scores import ScoredPairs, score_pairs
from agelens.recognition.protocols.people import age_kinds
from agelens.recognition.protocols.rates import Rate, Resampling
from agelens.recognition.protocols.roc import RocCurve, roc_curve
from agelens.recognition.protocols.verification_rates import GapRates, PairRates


@dataclass(frozen=True, slots=True)
class Fold:
    """One fold: its threshold, chosen on the others, and the accuracy it has there."""

    fold: int
    threshold: float
    accuracy: float
    pairs: int


@dataclass(frozen=True, slots=True, eq=False)
class Verification:
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

    def to_json(self) -> dict[str, Any]:
        """Everything but single pairs, as plain types."""
        return {
            "protocol": self.protocol,
            "model": self.model.to_json(),
            "accuracy": self.accuracy.to_json(),
            "accuracy_std_of_folds": self.accuracy_std,
            "accuracy_missing_as_wrong": self.accuracy_missing_as_wrong,
            "auc": self.area.to_json(),
            "eer": self.equal_error.to_json(),
            "true_match_at_false_match": {f"{k:g}": v for k, v in self.true_match_at.items()},
            "folds": [
                {
                    "fold": one.fold,
                    "threshold": one.threshold,
                    "accuracy": one.accuracy,
                    "pairs": one.pairs,
                }
                for one in self.folds
            ],
            "by_age_gap": {name: one.to_json() for name, one in self.by_gap.items()},
            "pairs": len(self.pairs),
            "expected_pairs": self.expected_pairs,
            "same": int(self.pairs.same.sum()),
            "age_gap_unknown": int(np.isnan(self.pairs.gap_years).sum()),
            "left_out": self.left_out["why"].value_counts().to_dict(),
            "subjects_known": self.pairs.subjects_known,
            "contradicted_by_subjects": self.pairs.contradictions,
            "age_kinds": dict(self.age_kinds),
            "bootstrap": {
                "draws": self.resampling.draws,
                "level": self.resampling.level,
                "seed": self.resampling.seed,
            },
        }


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
            (`IEFP_THRESHOLDS` are those of IEFP's own figures).
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
    rates = PairRates(scored, matched, how)
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
