"""How alike two heat maps of one face are."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr

from agelens.records import Floats

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
