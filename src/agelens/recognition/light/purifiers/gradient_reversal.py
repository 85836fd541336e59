"""Gradient reversal: nobody is to tell the age group from the identity embedding."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from agelens.recognition.light.purifiers.base import AgeAdversary, SeenBatch
from agelens.recognition.purification.gradient_reversal import AgeDiscriminator


class ReversedGradient(AgeAdversary):
    """An age discriminator behind a gradient reversal, as in MTLFace (Huang et al., CVPR 2021).

    The paper's weight is 0.002, beside a network that is trained whole.
    """

    name: ClassVar[str] = "gradient-reversal"
    summary: ClassVar[str] = "an age discriminator whose gradient is reversed"
    paper: ClassVar[str] = "Huang et al., CVPR 2021; Ganin and Lempitsky, ICML 2015"
    weights: ClassVar[tuple[float, ...]] = (0.3, 1.0, 3.0)

    def __init__(self, features: int, groups: int) -> None:
        super().__init__(features, groups)
        self.discriminator = AgeDiscriminator(features, groups)

    def adversary_loss(self, batch: SeenBatch) -> Tensor:
        """The discriminator's cross-entropy."""
        loss: Tensor = self.discriminator(batch.purified, batch.groups)
        return loss

    def penalty(self, batch: SeenBatch, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        """The same cross-entropy, whose gradient makes it larger."""
        loss: Tensor = self.discriminator(batch.purified, batch.groups, reverse=True)
        return loss
