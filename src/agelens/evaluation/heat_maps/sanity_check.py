"""The randomisation check: a map that explains a network changes with its weights.

Adebayo et al., Sanity Checks for Saliency Maps, NeurIPS 2018: some methods draw much the same
map for a network of no meaning, and so show the picture rather than the network.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr

from agelens.evaluation.heat_maps.explained_faces import RandomizationResult
from agelens.evaluation.heat_maps.heat_map import Explainer
from agelens.records import RGB, Floats

# Wang et al., Image Quality Assessment: From Error Visibility to Structural Similarity, TIP 2004.
_SIGMA_PX: Final = 1.5
_TRUNCATED: Final = 3.5
_EDGE_PX: Final = 5
_K1, _K2, _RANGE = 0.01, 0.03, 2.0


def rank_correlation(first: Floats, second: Floats) -> float:
    """Spearman's correlation of two maps [S, S]; NaN where one is the same everywhere."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(spearmanr(first.ravel(), second.ravel()).statistic)


def structural_similarity(first: Floats, second: Floats) -> float:
    """SSIM (Wang et al., TIP 2004) of two maps [S, S], each scaled to -1..1 by its extreme.

    Gaussian windows of 1.5 pixels; the 5 pixels at the border are left out of the mean. 1 for
    equal maps, about 0 for unlike ones; NaN where a map is zero everywhere.
    """
    if not (np.any(first) and np.any(second)):
        return float("nan")
    x, y = (values / np.abs(values).max() for values in (first, second))
    mean_x, mean_y, xx, yy, xy = (_windowed(values) for values in (x, y, x * x, y * y, x * y))
    c1, c2 = (_K1 * _RANGE) ** 2, (_K2 * _RANGE) ** 2
    mixed = (2 * mean_x * mean_y + c1) * (2 * (xy - mean_x * mean_y) + c2)
    own = (mean_x**2 + mean_y**2 + c1) * (xx - mean_x**2 + yy - mean_y**2 + c2)
    edge = min(_EDGE_PX, (min(first.shape) - 1) // 2)
    inner = slice(edge, -edge or None)
    return float((mixed / own)[inner, inner].mean())


def _windowed(values: Floats) -> Floats:
    return np.asarray(gaussian_filter(values, _SIGMA_PX, truncate=_TRUNCATED))


SHARES: Final = (0.25, 0.5, 1.0)


def sanity_check(
    explain: Explainer, chips: Sequence[RGB], *, shares: Sequence[float] = SHARES, seed: int = 0
) -> list[RandomizationResult]:
    """Maps of `chips` against those of the same network, shuffled ever further down.

    Args:
        explain: the method under test, on the network as it is.
        chips: at least one, uint8 [S, S, 3].
        shares: of the layers to shuffle, in (0, 1].
        seed: of the shuffling.
    """
    before = [explain(chip).values for chip in chips]
    found = []
    for share in shares:
        other = explain.with_shuffled_weights(share, seed)
        pairs = [(map_, other(chip).values) for map_, chip in zip(before, chips, strict=True)]
        found.append(
            RandomizationResult(
                share,
                len(pairs),
                _mean([rank_correlation(a, b) for a, b in pairs]),
                _mean([rank_correlation(np.abs(a), np.abs(b)) for a, b in pairs]),
                _mean([structural_similarity(a, b) for a, b in pairs]),
            )
        )
    return found


def _mean(values: Sequence[float]) -> float:
    defined = [value for value in values if not math.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")
