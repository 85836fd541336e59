"""CORAL: one score for all ages, and one bias an age, so that the answers agree."""

from __future__ import annotations

import warnings
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from agelens.inference.answers import Point
from agelens.models.losses import importance_weights, ordinal_cross_entropy
from agelens.models.methods.base import AgeTargets, Departure
from agelens.models.methods.ordinal import WeighedOrdinalMethod


class RankInconsistencyWarning(UserWarning):
    """P(older than an age) rises with that age: the biases of CORAL are out of order."""


class CORALHead(nn.Module):
    """Logits [B, tasks]: a linear score without bias, plus the bias of each task.

    The paper's theorem orders the biases at the optimum; nothing orders them on the way.
    The head therefore looks at them whenever it goes from training to evaluation.

    Args:
        features: width of the input.
        tasks: K - 1.
        descending: start the biases at ``(K-1)/(K-1), ..., 1/(K-1)``; otherwise at 0.
    """

    def __init__(self, features: int, tasks: int, *, descending: bool) -> None:
        super().__init__()
        self.score = nn.Linear(features, 1, bias=False)
        start = torch.arange(tasks, 0, -1) / tasks if descending else torch.zeros(tasks)
        self.bias = nn.Parameter(start)

    def forward(self, features: Tensor) -> Tensor:
        """Logits [B, tasks] of features [B, F]."""
        logits: Tensor = self.score(features) + self.bias
        return logits

    def rising(self) -> Tensor:
        """Places int64 [M] of the biases that are above the one before them."""
        return (self.bias.detach().diff() > 0).nonzero()[:, 0] + 1

    def train(self, mode: bool = True) -> Self:
        """As every module; warns once where an evaluation begins with biases out of order."""
        if self.training and not mode and len(rising := self.rising()):
            warnings.warn(
                f"{len(rising)} of {len(self.bias)} biases of CORAL are above the one before "
                f"(first: bias {int(rising[0])}), so P(older) rises with age there and ranks "
                "may contradict each other; train longer, or start with descending_biases",
                RankInconsistencyWarning,
                stacklevel=2,
            )
        return super().train(mode)


class CORAL(WeighedOrdinalMethod):
    """Consistent rank logits.

    Args:
        ages: the K ages, such as ``"0-100"`` or ``"16-77"``.
        threshold: the probability above which a face counts as older, for the rank.
        point: how the probabilities become one age; the papers count ranks.
        descending_biases: start them in order, as the authors' later package does, rather
            than all at 0, as in the experiments of the paper.
        task_weights: weigh each task by the larger side of its question among the
            training samples, divided by the largest; the paper's tables have equal weights.

    Raises:
        ValueError: `ages` is no age scale, `threshold` is outside (0, 1), or `point` no such word.
    """

    name: ClassVar[str] = "coral"
    paper: ClassVar[str] = (
        "Cao, Mirjalili and Raschka, Rank consistent ordinal regression for neural networks "
        "with application to age estimation, Pattern Recognition Letters 140, 2020"
    )
    departures: ClassVar[tuple[Departure, ...]] = (
        Departure(
            "biases of the paper's experiments begin at 0",
            "they begin in descending order",
            "as in the authors' later package: ranks then seldom contradict each other",
            "--method.descending_biases false",
        ),
    )

    def __init__(
        self,
        ages: str = "0-100",
        *,
        threshold: float = 0.5,
        point: Point = "rank",
        descending_biases: bool = True,
        task_weights: bool = False,
    ) -> None:
        super().__init__(ages, threshold=threshold, point=point, task_weights=task_weights)
        self.descending_biases = descending_biases

    @staticmethod
    def weigh(classes: Tensor, tasks: int) -> Tensor:
        """See `importance_weights`."""
        return importance_weights(classes, tasks)

    def head(self, features: int) -> nn.Module:
        """Logits [B, K - 1]."""
        return CORALHead(features, self.tasks, descending=self.descending_biases)

    def loss(self, outputs: Tensor, targets: AgeTargets) -> Tensor:
        """Binary cross entropy of each task, weighted, summed over tasks, mean over the batch."""
        return ordinal_cross_entropy(outputs, self.classes(targets.age_years), self.task_weights)

    def answer(self, outputs: Tensor) -> Tensor:
        """Logits [B, K - 1]."""
        return outputs
