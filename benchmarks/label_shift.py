"""When the ages of new people are mixed differently from those that a network learned.

A posterior holds the training ages' mix as its prior. Where faces of an age look the same in
both crowds and only the mix differs, the posterior can be moved to another prior exactly; and
that prior can be estimated from the new crowd's posteriors alone, without a label (Saerens,
Latinne and Decaestecker, "Adjusting the outputs of a classifier to new a priori
probabilities", Neural Computation 14, 2002).

An estimated prior looks at all the new photos before it answers for one: say so beside every
figure made with it. Where the new faces also look different, it mends that as well or as
badly as a prior can.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import gaussian_filter1d

from agelens.errors import UsageError
from agelens.records import Floats

_LEAST: Final = 1e-8


def moved_to_prior(posterior: ArrayLike, old: ArrayLike, new: ArrayLike) -> Floats:
    """`posterior` [N, K] under the prior `new` [K] in place of `old` [K].

    Raises:
        UsageError: the shapes differ, a number is negative, or a prior sums to nothing.
    """
    rows, before, after = np.asarray(posterior, np.float64), _prior(old), _prior(new)
    if rows.ndim != 2 or not rows.shape[1] == len(before) == len(after):
        raise UsageError(
            f"a posterior {list(rows.shape)} needs priors of as many ages, got {len(before)} "
            f"and {len(after)}"
        )
    moved = rows * (after / before)
    return np.asarray(moved / moved.sum(axis=1, keepdims=True), dtype=np.float64)


def estimated_prior(
    posterior: ArrayLike,
    old: ArrayLike,
    *,
    iterations: int = 50,
    sigma: float = 2.0,
) -> Floats:
    """The mix of ages [K] behind unlabelled posteriors, by expectation maximisation.

    Args:
        posterior: [N, K] of the new crowd.
        old: [K] the prior that the posteriors hold: best the network's own mean posterior
            on people like those it learned from, since the labels' histogram ignores how
            the network smooths.
        iterations: of expectation and maximisation.
        sigma: classes over which the prior is smoothed at each turn; without, the prior of a
            few hundred photos breaks up into spikes.

    Raises:
        UsageError: as `moved_to_prior`.
    """
    prior = _prior(old)
    for _ in range(iterations):
        prior = moved_to_prior(posterior, old, prior).mean(axis=0)
        if sigma > 0:
            prior = gaussian_filter1d(prior, sigma, mode="nearest")
        prior = _prior(prior)
    return prior


def _prior(weights: ArrayLike) -> Floats:
    known = np.asarray(weights, dtype=np.float64)
    if known.ndim != 1 or not np.isfinite(known).all() or (known < 0).any() or known.sum() <= 0:
        raise UsageError("a prior is one finite number of 0 or more for each age, not all 0")
    # An age that the old crowd never had would otherwise be divided by nothing.
    known = np.maximum(known / known.sum(), _LEAST)
    return np.asarray(known / known.sum(), dtype=np.float64)
