"""Heads beside the age head, on the same features."""

from __future__ import annotations

from torch import Tensor

from agelens.models.auxiliary.base import AuxiliaryHeads


class ParallelHeads(AuxiliaryHeads):
    """Linear heads on the features that the age sees; the age learns of them by the backbone.

    As in RAPL (Amirullaeva and Han, IEEE Access 2024), which weighs gender 1.
    """

    fed = 0

    @staticmethod
    def input_width(features: int, early_features: int) -> int:  # noqa: ARG004
        """That of the features."""
        return features

    def forward(self, features: Tensor, early: Tensor) -> tuple[Tensor, dict[str, Tensor]]:  # noqa: ARG002
        """The features as they came, and the logits."""
        return features, self.logits(features)
