"""Canonical correlation between two embeddings, sought by one side and fled by the other."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

_LEAST_VARIANCE: Final = 1e-8


class CanonicalCorrelation(nn.Module):
    """How far one direction of an age embedding and one of an identity embedding correlate.

    DAL, decorrelated adversarial learning (Wang et al., CVPR 2019): this module's two directions
    learn to make the correlation large, whoever makes the identity embedding to make it small.
    For two Gaussians with one pair of coordinates correlated by r, the largest is r.

    Args:
        age_features: width of the age embedding.
        identity_features: width of the identity embedding.
    """

    def __init__(self, age_features: int, identity_features: int) -> None:
        super().__init__()
        self.of_age = nn.Linear(age_features, 1, bias=False)
        self.of_identity = nn.Linear(identity_features, 1, bias=False)

    def forward(self, age: Tensor, identity: Tensor) -> Tensor:
        """The magnitude of the correlation over the batch, a scalar from 0 to 1.

        Args:
            age: [B, age_features].
            identity: [B, identity_features].
        """
        first, second = self.of_age(age).squeeze(1), self.of_identity(identity).squeeze(1)
        first, second = first - first.mean(), second - second.mean()
        # A direction in which nothing varies correlates with nothing.
        variances = (first.square().mean() * second.square().mean()).clamp_min(_LEAST_VARIANCE**2)
        correlation: Tensor = (first * second).mean() / torch.sqrt(variances)
        return correlation.abs()
