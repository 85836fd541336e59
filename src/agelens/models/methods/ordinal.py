"""What the ordinal methods share: K - 1 questions "older than age k?", and how they are read."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor

from agelens.errors import UsageError
from agelens.inference.answers import Link, OutputSpec, Point
from agelens.models.losses import at_least_float32
from agelens.models.methods.base import AgeMethod


class OrdinalMethod(AgeMethod):
    """K - 1 logits, one for each age but the last: is this face older?

    Args:
        ages: the K ages, such as ``"0-100"`` or ``"16-77"``.
        threshold: the probability above which a face counts as older, for the rank.
        point: how the probabilities become one age; the papers count ranks.

    Raises:
        ValueError: `ages` is no age scale, `threshold` is outside (0, 1), or `point` is no
            such word.
    """

    link: ClassVar[Link] = "independent"

    def __init__(
        self, ages: str = "0-100", *, threshold: float = 0.5, point: Point = "rank"
    ) -> None:
        super().__init__(ages)
        self._spec = OutputSpec(
            self.scale, "ordinal-logits", point=point, link=self.link, threshold=threshold
        )

    @property
    def spec(self) -> OutputSpec:
        """K - 1 logits."""
        return self._spec

    @property
    def tasks(self) -> int:
        """K - 1."""
        return len(self.scale) - 1

    @abstractmethod
    def answer(self, outputs: Any) -> Tensor:
        """Logits [B, K - 1]."""

    def posterior(self, outputs: Any) -> Tensor:
        """Probabilities [B, K], as `read_answers` makes them of the answer."""
        single = at_least_float32(self.answer(outputs)).sigmoid()
        if self.link == "conditional":
            single = single.cumprod(dim=1)
        # Tasks that contradict each other: see `agelens.inference.answers.pmf_from_survival`.
        falling = single.sort(dim=1, descending=True).values
        ones, zeros = torch.ones_like(falling[:, :1]), torch.zeros_like(falling[:, :1])
        return torch.cat([ones, falling], dim=1) - torch.cat([falling, zeros], dim=1)


class WeighedOrdinalMethod(OrdinalMethod):
    """An ordinal method whose tasks can be weighed by how the training ages are spread.

    Args:
        ages: the K ages, such as ``"0-100"`` or ``"16-77"``.
        threshold: the probability above which a face counts as older, for the rank.
        point: how the probabilities become one age; the papers count ranks.
        task_weights: weigh the tasks; otherwise all count 1.

    Raises:
        ValueError: `ages` is no age scale, `threshold` is outside (0, 1), or `point` no such word.
    """

    def __init__(
        self,
        ages: str = "0-100",
        *,
        threshold: float = 0.5,
        point: Point = "rank",
        task_weights: bool = False,
    ) -> None:
        super().__init__(ages, threshold=threshold, point=point)
        self._weighs = task_weights
        self._weights: Tensor | None = None

    @staticmethod
    @abstractmethod
    def weigh(classes: Tensor, tasks: int) -> Tensor:
        """Weights [tasks] of the tasks from training classes int64 [N]."""

    def fit_ages(self, age_years: Tensor) -> None:
        """Take the weights of the tasks from the training ages [N]."""
        if self._weighs:
            self._weights = self.weigh(self.classes(age_years), self.tasks)

    @property
    def task_weights(self) -> Tensor | None:
        """Weights [K - 1], or None where all tasks count 1.

        Raises:
            UsageError: weights are wanted, and no training ages were shown.
        """
        if self._weighs and self._weights is None:
            raise UsageError(
                f"task_weights of {self.name} come from the training ages: call fit_ages "
                "before training, or leave task_weights off"
            )
        return self._weights
