"""IEFP: less mutual information between the age branch's embedding and the identity's."""

from __future__ import annotations

from typing import ClassVar, Final

import torch
from torch import Tensor

from agelens.recognition.light.purifiers.base import AgeAdversary, SeenBatch
from agelens.recognition.purification import SampledCLUB

_LIKELIHOOD: Final = 0.1
"""IEFP's factor of the likelihood network's loss."""


class IEFP(AgeAdversary):
    """Xie, Pun and Lam (IEEE TIFS 17, 2022): the sampled CLUB bound as penalty.

    The paper's weight is 0.001, beside embeddings of a network that is trained whole.
    """

    name: ClassVar[str] = "iefp"
    summary: ClassVar[str] = "sampled CLUB bound of mutual information with the age branch"
    paper: ClassVar[str] = "Xie, Pun and Lam, IEEE TIFS 17, 2022"
    weights: ClassVar[tuple[float, ...]] = (0.3, 1.0, 3.0)

    def __init__(self, features: int, groups: int) -> None:
        super().__init__(features, groups)
        self.club = SampledCLUB(groups, features)

    def adversary_loss(self, batch: SeenBatch) -> Tensor:
        """The likelihood network's, which tells identity embeddings from age scores."""
        return -_LIKELIHOOD * self.club.likelihood(batch.age, batch.purified)

    def penalty(self, batch: SeenBatch, generator: torch.Generator) -> Tensor:
        """The bound, in nats."""
        return self.club.bound(batch.age, batch.purified, generator)
