"""What every purifier states: what its adversary learns, and what the identity branch pays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True, eq=False)
class SeenBatch:
    """A batch as purifiers see it.

    `raw` [B, D] is the extractor's embedding at about 1 a dimension, `purified` [B, D] what the
    identity branch makes of it, `age` [B, groups] the frozen age branch's scores, and `groups`
    int64 [B] the age groups.
    """

    raw: Tensor
    purified: Tensor
    age: Tensor
    groups: Tensor

    @property
    def removed(self) -> Tensor:
        """What the identity branch took out [B, D]."""
        return self.raw - self.purified

    def detached(self) -> SeenBatch:
        """The same, from which nothing comes back to the identity branch."""
        return SeenBatch(self.raw, self.purified.detach(), self.age, self.groups)


class AgeAdversary(nn.Module, ABC):
    """An adversary and a penalty, which take turns on every batch.

    Args:
        features: width of the embedding.
        groups: of age.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    paper: ClassVar[str]
    weights: ClassVar[tuple[float, ...]]
    """Of the penalty beside the margin loss: those to choose from on validation people."""

    def __init__(self, features: int, groups: int) -> None:
        super().__init__()
        self.features = features
        self.groups = groups

    @abstractmethod
    def adversary_loss(self, batch: SeenBatch) -> Tensor:
        """What the adversary minimises; `batch` is detached."""

    @abstractmethod
    def penalty(self, batch: SeenBatch, generator: torch.Generator) -> Tensor:
        """What the identity branch minimises beside the margin loss.

        Args:
            batch: with gradients.
            generator: of all chance in it.
        """
