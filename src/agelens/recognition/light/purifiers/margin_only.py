"""No purification: the same branch and the same margin loss, and nothing against age."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from agelens.recognition.light.purifiers.base import AgeAdversary, SeenBatch


class MarginOnly(AgeAdversary):
    """What any purifier has to beat: it tells what the margin loss does by itself."""

    name: ClassVar[str] = "none"
    summary: ClassVar[str] = "the same branch under the margin loss alone"
    paper: ClassVar[str] = "none"
    weights: ClassVar[tuple[float, ...]] = (0.0,)

    def adversary_loss(self, batch: SeenBatch) -> Tensor:
        """Zero: there is no adversary."""
        return batch.purified.new_zeros(())

    def penalty(self, batch: SeenBatch, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        """Zero."""
        return batch.purified.new_zeros(())
