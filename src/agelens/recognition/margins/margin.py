"""What margins have in common: the right identity's cosine is made worse than it is."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from agelens.errors import UsageError


class Margin(nn.Module, ABC):
    """From cosines to logits, in which the right identity has to win by a margin.

    Args:
        scale: every cosine is multiplied by it, since a softmax over numbers of at most 1
            could never be sure.
        margin: how much; 0 is a plain softmax over scaled cosines.

    Raises:
        UsageError: a scale of 0 or less, or a negative margin.
    """

    def __init__(self, scale: float, margin: float) -> None:
        super().__init__()
        if scale <= 0 or margin < 0:
            raise UsageError(
                f"a margin loss needs a scale above 0 and a margin of 0 or more, got {scale} and "
                f"{margin}"
            )
        self.scale = scale
        self.margin = margin

    def forward(self, cosines: Tensor, targets: Tensor) -> Tensor:
        """Logits [B, C].

        Args:
            cosines: of each embedding with each identity's centre [B, C], -1 to 1.
            targets: place of the right identity in each row [B], -1 where it is not among the C.
        """
        rows = torch.nonzero(targets >= 0).squeeze(1)
        places = (rows, targets[rows])
        return self.scale * cosines.index_put(places, self.moved(cosines[places]))

    @abstractmethod
    def moved(self, cosines: Tensor) -> Tensor:
        """The cosines [N] of right identities, made smaller by the margin."""
