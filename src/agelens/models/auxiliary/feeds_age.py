"""Heads on early features, whose logits the age head sees as well."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from agelens.models.auxiliary.base import AuxiliaryHeads, AuxiliaryTask


class FeedsAgeHeads(AuxiliaryHeads):
    """Linear heads on pooled early features; their logits join the features of the age layer.

    As in the multi-task network of ``yjl450/age-estimation-ldl-pytorch``: gender (2) and
    ethnicity (5) from the 512 pooled channels of the second of four stages of SE-ResNeXt-50,
    then age from 2048 + 2 + 5 numbers, and all losses of weight 1. A table without gender
    still trains the age: logits are fed, never labels.
    """

    def __init__(self, tasks: Sequence[AuxiliaryTask], features: int, early_features: int) -> None:
        super().__init__(tasks, features, early_features)
        self.fed = sum(len(task.classes) for task in tasks)

    @staticmethod
    def input_width(features: int, early_features: int) -> int:  # noqa: ARG004
        """That of the early features."""
        return early_features

    def forward(self, features: Tensor, early: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Features and logits side by side, and the logits."""
        logits = self.logits(early)
        fed = torch.cat([features, *(each.to(features) for each in logits.values())], dim=1)
        return fed, logits
