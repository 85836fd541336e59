"""Distillation: a student is held to what a teacher answers, so that it forgets less."""

from __future__ import annotations

from functools import cache
from typing import ClassVar

import torch
from torch import Tensor

from agelens.ages import AgeScale
from agelens.errors import UsageError
from agelens.models.age_model import AgeModel, ModelOutputs
from agelens.models.methods.base import SpreadHead
from agelens.training.regularisers.base import Regulariser
from agelens.training.regularisers.posterior_distance import (
    categorical_divergence,
    gaussian_divergence,
    moments,
)
from agelens.training.regularisers.shared_scale import rebinning
from agelens.training.regularisers.teacher_choice import teacher_named
from agelens.training.regularisers.teachers import Teacher


class Distillation(Regulariser):
    """Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015.

    On new data alone, as Li and Hoiem, "Learning without Forgetting", ECCV 2016.

    ``weight * T^2 * KL(teacher || student)`` of posteriors softened by the temperature T, on
    the images of the training batch. A teacher with other ages is carried over to the
    student's scale; between methods that answer a mean and a spread, normal distributions
    are compared and the temperature does not matter. A student equal to its teacher gives 0.

    Args:
        teacher: ``start`` for a copy of the start point; a run folder; a packaged model or
            a card; or a `Teacher`.
        weight: of the term.
        temperature: 1 compares the answers as they are; the papers take 2.

    Raises:
        UsageError: a negative weight, or a temperature that is not above 0.
        UnknownNameError: (in `setup`) there is no such teacher.
    """

    name: ClassVar[str] = "distillation"

    def __init__(
        self, teacher: str | Teacher = "start", weight: float = 1.0, temperature: float = 2.0
    ) -> None:
        if weight < 0 or temperature <= 0:
            raise UsageError(
                f"distillation needs a weight of at least 0 and a temperature above 0, got "
                f"{weight} and {temperature}"
            )
        self.teacher = teacher
        self.weight = weight
        self.temperature = temperature
        self._teacher: Teacher | None = None

    def setup(self, model: AgeModel) -> None:
        """Load the teacher."""
        teacher = self.teacher
        self._teacher = teacher_named(teacher, model) if isinstance(teacher, str) else teacher

    def __call__(self, model: AgeModel, images: Tensor, outputs: ModelOutputs, /) -> Tensor:
        """The weighted divergence."""
        if self._teacher is None:
            raise RuntimeError("Distillation.setup(model) comes before the first batch")
        answer, scale = self._teacher.lesson(images)
        student = model.method.posterior(outputs.age)
        own = None if model.method.spec.kind == "mean-spread" else model.method.scale
        if own is None:
            return self.weight * gaussian_divergence(
                answer if scale is None else moments(answer, _years(scale, answer)),
                student,
                learned_spread=not isinstance(model.head, SpreadHead),
            )
        if scale is None:
            return self.weight * gaussian_divergence(answer, moments(student, _years(own, student)))
        answer = answer @ _carried(scale, own).to(answer)
        return self.weight * categorical_divergence(answer, student, self.temperature)


def _years(scale: AgeScale, like: Tensor) -> Tensor:
    return torch.as_tensor(scale.years, dtype=like.dtype, device=like.device)


@cache
def _carried(source: AgeScale, target: AgeScale) -> Tensor:
    return torch.from_numpy(rebinning(source, target))
