"""Accuracy in folds: the threshold of each is chosen on all the others."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from agelens.recognition.protocols.mates import Codes
from agelens.recognition.protocols.roc import Truths
from agelens.records import Floats

IEFP_THRESHOLDS: Final = tuple(step / 100 for step in range(-100, 101))
"""-1 to 1 in steps of 0.01, as IEFP's own figures."""


def fold_thresholds(
    scores: NDArray[np.floating],
    same: Truths,
    fold: Codes,
    candidates: Floats | None = None,
) -> dict[int, float]:
    """The threshold for each fold: that with the highest accuracy on all other folds.

    A pair matches where its score is at least the threshold; of equally good thresholds the
    lowest is taken.

    Args:
        scores: similarity [T] of each pair.
        same: whether it is of one person [T].
        fold: of each pair [T].
        candidates: thresholds to choose from, ascending; by default all that decide differently,
            each half way between two neighbouring scores.

    Raises:
        ValueError: there is one fold only, which leaves no other to choose on.
    """
    folds = np.unique(fold)
    if len(folds) < 2:
        raise ValueError(f"a threshold is chosen on other folds, got {len(folds)} in all")
    found = {}
    for one in folds:
        others = fold != one
        choice = between(scores[others]) if candidates is None else candidates
        accuracy = _hits(scores[others], same[others], choice)
        found[int(one)] = float(choice[np.argmax(accuracy)])
    return found


def between(scores: NDArray[np.floating]) -> Floats:
    """All thresholds [K + 1] that decide differently on K distinct scores, ascending."""
    distinct = np.unique(scores).astype(np.float64)
    middle = (distinct[:-1] + distinct[1:]) / 2
    return np.concatenate([distinct[:1], middle, [np.nextafter(distinct[-1], np.inf)]])


def _hits(scores: NDArray[np.floating], same: Truths, thresholds: Floats) -> Codes:
    """How many pairs are decided rightly at each threshold [K]."""
    of_one, of_two = np.sort(scores[same]), np.sort(scores[~same])
    matched = len(of_one) - np.searchsorted(of_one, thresholds, side="left")
    return np.asarray(matched + np.searchsorted(of_two, thresholds, side="left"))
