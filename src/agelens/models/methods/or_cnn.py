"""OR-CNN: age as K - 1 separate yes-or-no questions."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from agelens.inference.answers import Point
from agelens.models.losses import (
    ordinal_cross_entropy,
    share_weights,
    two_way_cross_entropy,
)
from agelens.models.methods.base import AgeTargets, Departure
from agelens.models.methods.ordinal import WeighedOrdinalMethod


class ORCNN(WeighedOrdinalMethod):
    """Ordinal regression with one binary task for each age, each with weights of its own.

    Nothing makes the tasks agree: a face may be older than 40 and not older than 39.

    Args:
        ages: the K ages, such as ``"0-100"`` or ``"16-77"``.
        threshold: the probability above which a face counts as older, for the rank.
        point: how the probabilities become one age; the papers count ranks.
        two_way: a softmax over "no" and "yes" for each task, as published; otherwise one logit
            a task, as in later papers' tables.
        task_weights: weigh tasks by the roots of their ages' shares of the training samples,
            as published; otherwise all count 1. MORPH: 3.27 years with, 3.30 without.

    Raises:
        ValueError: `ages` is no age scale, `threshold` is outside (0, 1), or `point` no such word.
    """

    name: ClassVar[str] = "or-cnn"
    paper: ClassVar[str] = (
        "Niu et al., Ordinal Regression with Multiple Output CNN for Age Estimation, CVPR 2016"
    )
    departures: ClassVar[tuple[Departure, ...]] = (
        Departure(
            "each task weighs as the root of its age's share of the training samples",
            "all tasks weigh alike",
            "MORPH: 3.27 years with and 3.30 without, which is within their spread",
            "--method.task_weights true",
        ),
        Departure(
            "three convolutions on faces of 60 by 60 pixels",
            "any backbone",
            "the method is its head and loss",
            "none has that network",
        ),
    )

    def __init__(
        self,
        ages: str = "0-100",
        *,
        threshold: float = 0.5,
        point: Point = "rank",
        two_way: bool = True,
        task_weights: bool = False,
    ) -> None:
        super().__init__(ages, threshold=threshold, point=point, task_weights=task_weights)
        self.two_way = two_way

    @staticmethod
    def weigh(classes: Tensor, tasks: int) -> Tensor:
        """See `share_weights`."""
        return share_weights(classes, tasks)

    def head(self, features: int) -> nn.Module:
        """Logits [B, K - 1, 2], "no" before "yes"; [B, K - 1] where not `two_way`."""
        if not self.two_way:
            return nn.Linear(features, self.tasks)
        return nn.Sequential(nn.Linear(features, 2 * self.tasks), nn.Unflatten(1, (self.tasks, 2)))

    def loss(self, outputs: Tensor, targets: AgeTargets) -> Tensor:
        """Cross entropy of each task, weighted, summed over tasks, mean over the batch."""
        cost = two_way_cross_entropy if self.two_way else ordinal_cross_entropy
        return cost(outputs, self.classes(targets.age_years), self.task_weights)

    def answer(self, outputs: Tensor) -> Tensor:
        """Logits [B, K - 1]: of a two-way softmax, "yes" minus "no"."""
        return outputs[:, :, 1] - outputs[:, :, 0] if self.two_way else outputs
