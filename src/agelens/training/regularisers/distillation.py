"""Distillation: a student is held to what a teacher answers, so that it forgets less."""

from __future__ import annotations

from functools import cache
from typing import ClassVar, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from agelens.ages import AgeScale
from agelens.errors import UsageError
from agelens.models.age_model import AgeModel, ModelOutputs
from agelens.models.methods.base import SpreadHead
from agelens.records import Floats
from agelens.training.regularisers.base import Regulariser
from agelens.training.regularisers.teachers import Teacher, teacher_named


def rebin_matrix(source: AgeScale, target: AgeScale) -> Floats:
    """Weights [K source, K target], rows of sum 1, that carry mass from scale to scale.

    The mass of a class counts as spread evenly over its cell of the age axis, as quantiles
    count it; what lies outside of `target` goes to its end classes. Equal scales give the
    identity. From 0-100 to 0-10, the row of age 50 is 1 in the last column.
    """
    if source == target:
        return np.eye(len(source))
    low, high = source.edges_years[:-1, None], source.edges_years[1:, None]
    edges = target.edges_years.copy()
    edges[[0, -1]] = -np.inf, np.inf
    inside = np.minimum(high, edges[1:]) - np.maximum(low, edges[:-1])
    return np.asarray(np.clip(inside, 0, None) / (high - low))


_LEAST: Final = 1e-30  # its inverse, which the gradient holds, is still far from infinite


def softened(posterior: Tensor, temperature: float) -> Tensor:
    """Log probabilities [B, K] of ``p ** (1 / temperature)``, normalised.

    For a softmax that is the softmax of logits over the temperature (Hinton et al., 2015),
    and it exists for methods without a softmax as well (Li and Hoiem, ECCV 2016).
    """
    return (posterior.clamp_min(_LEAST).log() / temperature).log_softmax(dim=1)


def categorical_divergence(teacher: Tensor, student: Tensor, temperature: float) -> Tensor:
    """Mean over the batch of KL(teacher || student), posteriors [B, K], softened.

    Times the squared temperature, so that gradients keep their size (Hinton et al., 2015).
    """
    divergence = functional.kl_div(
        softened(student, temperature),
        softened(teacher, temperature),
        reduction="batchmean",
        log_target=True,
    )
    return divergence * temperature**2


def gaussian_divergence(
    teacher: Tensor, student: Tensor, *, learned_spread: bool = True, least_years: float = 1.0
) -> Tensor:
    """Mean of KL(teacher || student) between normal distributions, mean and spread [B, 2].

    Args:
        teacher: means and standard deviations in years.
        student: likewise.
        learned_spread: whether the student's spread is of this image. A spread measured on
            validation samples is not: the teacher's stands in for it, and what is left is the
            squared distance of the means in units of that.
        least_years: no spread counts as less, lest one teacher's answer be all of the loss.
    """
    mean, spread = teacher[:, 0], teacher[:, 1].clamp_min(least_years)
    own = student[:, 1].clamp_min(least_years) if learned_spread else spread
    apart = spread.square() + (mean - student[:, 0]).square()
    return ((own / spread).log() + apart / (2 * own.square()) - 0.5).mean()


def moments(posterior: Tensor, years: Tensor) -> Tensor:
    """Mean and standard deviation [B, 2] in years of `posterior` [B, K] over ages [K]."""
    mean = posterior @ years
    variance = (posterior * (years - mean[:, None]) ** 2).sum(dim=1)
    return torch.stack([mean, variance.sqrt()], dim=1)


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
        answer, scale = self._teacher.predict(images)
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
    return torch.from_numpy(rebin_matrix(source, target))
