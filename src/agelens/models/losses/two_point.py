"""An age as two neighbouring bins, and what a distribution over bins loses to that.

Zhang et al., "C3AE: Exploring the Limits of Compact Model for Age Estimation", CVPR 2019.
"""

from __future__ import annotations

import torch
from torch import Tensor


def two_point(age_years: Tensor, bins: int, bin_years: float) -> Tensor:
    """Weights [B, bins] on the bins at 0, `bin_years`, 2 `bin_years`, ..., whose mean is the age.

    Age 32 with bins of 10 years has 0.8 at 30 and 0.2 at 40. Ages outside take the end bin.
    """
    places = torch.arange(bins, dtype=age_years.dtype, device=age_years.device)
    at = (age_years / bin_years).clamp(0, bins - 1)
    return (1 - (at[:, None] - places).abs()).clamp_min(0)


def focal_bin_loss(targets: Tensor, log_probabilities: Tensor, gamma: float) -> Tensor:
    """Mean over the batch of sum over the target's bins of |t - p|^gamma * -log p.

    What a public re-implementation trains instead of the divergence, without its weights of
    classes. `gamma` is at least 1, lest the gradient be infinite at t = p.
    """
    apart = (targets - log_probabilities.exp()).abs() ** gamma
    costs = -apart * log_probabilities
    return costs.where(targets > 0, 0.0).sum(dim=1).mean()
