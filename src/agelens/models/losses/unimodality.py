"""How much a posterior falls before the true class or rises after it (Li et al., CVPR 2022)."""

from __future__ import annotations

import torch
from torch import Tensor


def unimodality(posterior: Tensor, classes: Tensor) -> Tensor:
    """Wrong steps between neighbouring classes, summed over them, averaged over the batch.

    Step j goes from class j to class j + 1. Steps j < t, up to the true class t, must not
    fall; steps j >= t, from it on, must not rise. So the true class is the peak: the other
    reading, which leaves step t out because the sign of j - t is 0 there, lets class t + 1 be
    as high as it likes. A flat posterior costs 0.

    Args:
        posterior: probabilities [B, K].
        classes: index of the true class, int64 [B].
    """
    steps = posterior.diff(dim=1)
    before = torch.arange(steps.shape[1], device=steps.device) < classes[:, None]
    return torch.where(before, -steps, steps).relu().sum(dim=1).mean()
