"""Error rates with intervals that hold for few errors and for several photos a person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import beta

from agelens.errors import UsageError


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of `samples`, and the interval in which the true rate lies with `level`.

    Of no samples at all, the share is NaN and the interval 0 to 1: nothing is known.
    `effective` is how many independent samples the interval counts for.
    """

    errors: int
    samples: int
    effective: float
    low: float
    high: float
    level: float

    @property
    def share(self) -> float:
        """Errors over samples."""
        return self.errors / self.samples if self.samples else float("nan")


def rate(wrong: ArrayLike, clusters: ArrayLike | None = None, *, level: float = 0.95) -> Rate:
    """The share of `wrong` [N] with its two-sided interval.

    Clopper and Pearson's exact binomial interval. Where photos share a person, it is taken
    for the effective number of samples, N over the design effect, as Korn and Graubard did
    for surveys (Survey Methodology 24, 1998): many photos of few people promise less.

    For 0 wrong of 299 the 90 % interval ends at 0.00997: what it takes to promise 1 % with 95 %.

    Args:
        wrong: bool [N].
        clusters: [N] whom each sample shows; None where every sample is somebody else.
        level: of the interval.

    Raises:
        UsageError: `level` is not strictly between 0 and 1, or the lengths differ.
    """
    if not 0 < level < 1:
        raise UsageError(f"a level is strictly between 0 and 1, got {level}")
    errors = np.asarray(wrong, dtype=bool)
    count, total = int(errors.sum()), len(errors)
    if not total:
        return Rate(0, 0, 0.0, 0.0, 1.0, level)
    effective = _effective(errors, clusters)
    tail, share = (1 - level) / 2, count / total
    hits = share * effective
    low = beta.ppf(tail, hits, effective - hits + 1) if count else 0.0
    high = beta.ppf(1 - tail, hits + 1, effective - hits) if count < total else 1.0
    return Rate(count, total, effective, float(low), float(high), level)


def samples_needed(limit: float, *, level: float = 0.95) -> int:
    """How many independent samples without one error bound a rate by `limit`, one-sided.

    299 for 1 % at 95 %.
    """
    if not 0 < limit < 1:
        raise UsageError(f"a rate is strictly between 0 and 1, got {limit}")
    return int(np.ceil(np.log(1 - level) / np.log1p(-limit)))


def _effective(errors: np.ndarray, clusters: ArrayLike | None) -> float:
    """N over the design effect; never above N."""
    total = len(errors)
    if clusters is None:
        return float(total)
    names = np.asarray(clusters)
    if len(names) != total:
        raise UsageError(f"{total} samples, but {len(names)} clusters")
    place = names if _is_small(names) else np.unique(names, return_inverse=True)[1]
    counted = np.bincount(place)
    sizes = counted[counted > 0]
    people, share = len(sizes), errors.mean()
    if people == total:
        return float(total)
    if share in (0.0, 1.0) or people == 1:
        # No error to see how they cluster by: a person counts once.
        return float(people)
    residual = np.bincount(place, weights=errors - share)[counted > 0]
    # Taylor linearised variance of the ratio mean between clusters, over the binomial one.
    between = people / (people - 1) * np.sum(residual**2) / total**2
    effect = between / (share * (1 - share) / total)
    return float(np.clip(total / effect, min(people, total), total)) if effect > 0 else total


def _is_small(names: np.ndarray) -> bool:
    """Whether they are numbers to count by: sorting a million of them takes ten times as long."""
    return bool(names.dtype.kind in "iu" and names.min() >= 0 and names.max() < 10 * len(names))
