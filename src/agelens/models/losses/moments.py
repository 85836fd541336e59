"""Mean and variance of a posterior over ages."""

from __future__ import annotations

from torch import Tensor


def posterior_mean(posterior: Tensor, years: Tensor) -> Tensor:
    """Expected age [B] in years of `posterior` [B, K] over the ages `years` [K]."""
    # Not a matrix product: autocast would turn that, and only that, into bfloat16.
    return (posterior * years).sum(dim=1)


def posterior_variance(posterior: Tensor, years: Tensor) -> Tensor:
    """Variance [B] in square years of `posterior` [B, K] over the ages `years` [K].

    About the mean, never as a difference of two large squares, so that it is not negative.
    """
    deviation = years - posterior_mean(posterior, years)[:, None]
    return (posterior * deviation.square()).sum(dim=1)
