"""Gradient reversal: a network learns to tell age, and what it reads learns to prevent that."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class _Reversed(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, values: Tensor, factor: float) -> Tensor:
        context.factor = factor
        return values.view_as(values)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -context.factor * gradients[0], None


def reverse_gradient(values: Tensor, factor: float = 1.0) -> Tensor:
    """`values` as they are, whose gradient is multiplied by `-factor` on its way back.

    From Ganin and Lempitsky (ICML 2015).
    """
    reversed_: Tensor = _Reversed.apply(values, factor)
    return reversed_


class AgeDiscriminator(nn.Module):
    """Tells the age group from an identity embedding, as MTLFace's adversary does.

    From Huang et al. (CVPR 2021), who put it behind a gradient reversal. An embedding that holds
    no age leaves it at the entropy of the groups: ln 8, 2.079 nats, where 8 are equally many.

    Args:
        features: width of the identity embedding, and of the hidden layer.
        groups: of age.
    """

    def __init__(self, features: int, groups: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.BatchNorm1d(features),
            nn.Linear(features, features),
            nn.ReLU(),
            nn.Linear(features, groups),
        )

    def forward(self, identity: Tensor, groups: Tensor, *, reverse: bool = False) -> Tensor:
        """The cross-entropy, in nats, of the groups told from `identity`: a scalar.

        Args:
            identity: [B, features].
            groups: int64 [B] from 0; -1 where an age is unknown, which is left out.
            reverse: what comes back to `identity` makes the groups harder to tell.
        """
        seen = reverse_gradient(identity) if reverse else identity
        return nn.functional.cross_entropy(self.layers(seen), groups, ignore_index=-1)
