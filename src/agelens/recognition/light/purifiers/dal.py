"""DAL: what is taken out tells age, and does not correlate with what stays."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from agelens.recognition.light.purifiers.base import AgeAdversary, SeenBatch
from agelens.recognition.purification.correlation import CanonicalCorrelation


class DAL(AgeAdversary):
    """Wang et al. (CVPR 2019): x = identity + age, decorrelated by an adversary.

    The age part is what the identity branch takes out. It needs no age branch: a linear layer
    tells age groups from that part, and its cross-entropy stands beside the correlation.
    """

    name: ClassVar[str] = "dal"
    summary: ClassVar[str] = "what is taken out tells age and is uncorrelated with what stays"
    paper: ClassVar[str] = "Wang et al., CVPR 2019"
    weights: ClassVar[tuple[float, ...]] = (0.3, 1.0, 3.0)

    def __init__(self, features: int, groups: int) -> None:
        super().__init__(features, groups)
        self.correlation = CanonicalCorrelation(features, features)
        self.to_groups = nn.Linear(features, groups)

    def adversary_loss(self, batch: SeenBatch) -> Tensor:
        """The correlation, to be made large, and the groups' cross-entropy."""
        return self._groups(batch) - self._correlated(batch)

    def penalty(self, batch: SeenBatch, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        """The correlation, to be made small, and the groups' cross-entropy."""
        return self._groups(batch) + self._correlated(batch)

    def _correlated(self, batch: SeenBatch) -> Tensor:
        correlation: Tensor = self.correlation(batch.removed, batch.purified)
        return correlation

    def _groups(self, batch: SeenBatch) -> Tensor:
        return nn.functional.cross_entropy(self.to_groups(batch.removed), batch.groups)
