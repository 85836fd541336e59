"""Both branches, the margin and the bound between them: the losses of a step."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from agelens.recognition.margins import MarginLoss
from agelens.recognition.purification import SampledCLUB
from agelens.recognition.purification.branch import PurifiedBranch


class TwoBranches(nn.Module):
    """IEFP (Xie, Pun and Lam, IEEE TIFS 17, 2022): identity branch, frozen age branch, CLUB.

    The age branch stays in evaluation mode and gets no gradients. Without one this is plain
    recognition with a self-purification unit.

    Args:
        identity: the branch that learns.
        margin: the loss over identities.
        age: a trained branch, which this freezes.
    """

    def __init__(
        self, identity: PurifiedBranch, margin: MarginLoss, age: PurifiedBranch | None = None
    ) -> None:
        super().__init__()
        self.identity = identity
        self.margin = margin
        self.age = age.requires_grad_(False).eval() if age is not None else None
        self.club = SampledCLUB(age.features, identity.features) if age is not None else None

    def train(self, mode: bool = True) -> Self:
        """Training mode for all but the age branch."""
        super().train(mode)
        if self.age is not None:
            self.age.eval()
        return self

    @torch.no_grad()
    def age_embeddings(self, images: Tensor) -> Tensor:
        """Of the frozen branch [B, features], in 32 bits."""
        assert self.age is not None  # noqa: S101 - asked for only where there is a bound
        embeddings: Tensor = self.age(images)
        return embeddings.float()

    def likelihood(self, x_age: Tensor, y_identity: Tensor) -> Tensor:
        """See `SampledCLUB.likelihood`; only the likelihood network gets gradients."""
        assert self.club is not None  # noqa: S101
        with torch.autocast(x_age.device.type, enabled=False):
            return self.club.likelihood(x_age, y_identity.detach())

    def bound(self, x_age: Tensor, y_identity: Tensor) -> Tensor:
        """See `SampledCLUB.bound`; only the identity embedding gets gradients."""
        assert self.club is not None  # noqa: S101
        self.club.requires_grad_(False)
        try:
            with torch.autocast(x_age.device.type, enabled=False):
                return self.club.bound(x_age, y_identity)
        finally:
            self.club.requires_grad_(True)
