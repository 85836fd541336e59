"""Negative log likelihood of ages under normal distributions."""

from __future__ import annotations

from torch import Tensor


def normal_nll(mean_years: Tensor, variance_years2: Tensor, age_years: Tensor) -> Tensor:
    """Batch mean of (log v + (m - y)^2 / v) / 2; the constant log(2 pi) / 2 is left out.

    An error of 3 years at a variance of 9 costs (log 9 + 1) / 2 = 1.599.

    ``torch.nn.functional.gaussian_nll_loss`` gives the same, but asks the device at every
    step whether a variance is negative, and clamps behind the gradient's back.

    Args:
        mean_years: float [B].
        variance_years2: float [B], above 0.
        age_years: float [B].
    """
    squared = (mean_years - age_years).square()
    return (variance_years2.log() + squared / variance_years2).mean() / 2
