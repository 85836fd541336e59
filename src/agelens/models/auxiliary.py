"""Ways to learn more than an age; `AUXILIARY` names them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from agelens.errors import UsageError
from agelens.models.losses import at_least_float32

UNLABELLED = -1
"""Code of a sample whose label is unknown; the tasks do not learn from it."""


@dataclass(frozen=True, slots=True)
class AuxiliaryTask:
    """One column to learn.

    Args:
        column: of the sample table, such as ``gender``.
        classes: its words in the order of their codes, as the training data have them. Codes
            are places in this order alone: datasets disagree on any other.
        weight: of its cross entropy beside the loss of the age.

    Raises:
        ValueError: fewer than two classes, one twice, or a weight below 0.
    """

    column: str
    classes: tuple[str, ...]
    weight: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(self.classes))
        if len(self.classes) < 2 or len(set(self.classes)) < len(self.classes):
            raise ValueError(
                f"column {self.column!r} needs at least two different classes to tell apart, "
                f"got {list(self.classes)}"
            )
        if not self.weight >= 0:
            raise ValueError(f"the weight of {self.column!r} is at least 0, got {self.weight}")


class AuxiliaryHeads(nn.Module, ABC):
    """One linear head for each task; where they look, and what the age sees of it, is the way's.

    Args:
        tasks: at least one.
        features: width of the backbone's features.
        early_features: width of its early features.

    Raises:
        UsageError: no task, or two of one column.
    """

    fed: int
    """How many numbers this adds to the input of the age head."""

    def __init__(self, tasks: Sequence[AuxiliaryTask], features: int, early_features: int) -> None:
        super().__init__()
        columns = [task.column for task in tasks]
        if not tasks or len(set(columns)) < len(columns):
            raise UsageError(f"auxiliary tasks are one or more columns, each once, got {columns}")
        self.tasks = tuple(tasks)
        width = self.input_width(features, early_features)
        # By place and not by column: a module cannot have a part called, say, "type".
        self.heads = nn.ModuleList(nn.Linear(width, len(task.classes)) for task in tasks)

    @staticmethod
    @abstractmethod
    def input_width(features: int, early_features: int) -> int:
        """Width of what the heads look at."""

    @abstractmethod
    def forward(self, features: Tensor, early: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """What the age head sees [B, features + fed], and logits [B, classes] by column.

        Args:
            features: [B, features].
            early: [B, early_features].
        """

    def logits(self, seen: Tensor) -> dict[str, Tensor]:
        """Logits [B, classes] of every task by column, from what the heads look at."""
        pairs = zip(self.tasks, self.heads, strict=True)
        return {task.column: head(seen) for task, head in pairs}

    def loss(self, logits: dict[str, Tensor], labels: dict[str, Tensor]) -> Tensor:
        """The sum of `losses`: what the age's loss gains."""
        return torch.stack([*self.losses(logits, labels).values()]).sum()

    def losses(self, logits: dict[str, Tensor], labels: dict[str, Tensor]) -> dict[str, Tensor]:
        """Cross entropy of each column times its weight.

        A mean over the samples that have a label. A batch without any costs 0, and every
        weight still has a gradient, which runs of many processes need.

        Args:
            logits: as `forward` gave them.
            labels: int64 [B] by column, `UNLABELLED` where unknown.

        Raises:
            UsageError: a column is not among `labels`.
        """
        return {task.column: task.weight * _cost(task, logits, labels) for task in self.tasks}


def _cost(task: AuxiliaryTask, logits: dict[str, Tensor], labels: dict[str, Tensor]) -> Tensor:
    if task.column not in labels:
        raise UsageError(
            f"the batch has no labels of {task.column!r}, only of {sorted(labels)}; name the "
            "column among the labels of the dataset"
        )
    codes = labels[task.column]
    total = functional.cross_entropy(
        at_least_float32(logits[task.column]), codes, ignore_index=UNLABELLED, reduction="sum"
    )
    return total / (codes != UNLABELLED).sum().clamp_min(1)


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


AUXILIARY: Final[dict[str, type[AuxiliaryHeads]]] = {
    "parallel": ParallelHeads,
    "feeds-age": FeedsAgeHeads,
}
