"""The contract of an age method: a head, a loss, a posterior, and nothing else.

A method is configured by its constructor and holds no weights; the head that it makes does.
Training, evaluation, export and use know methods by this contract alone.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Final, NamedTuple

import torch
from torch import Tensor, nn

from agelens.ages import AgeScale
from agelens.inference.answers import OutputSpec, Point
from agelens.models.losses import at_least_float32
from agelens.recorded import Recorded


def above_zero(**options: float) -> None:
    """Refuse options that are not finite numbers above 0.

    Raises:
        ValueError: one is not; the message names it.
    """
    for name, value in options.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name} must be above 0 and finite, got {value}")


def not_negative(**options: float) -> None:
    """Refuse options that are not finite numbers from 0 up.

    Raises:
        ValueError: one is not; the message names it.
    """
    for name, value in options.items():
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} must be at least 0 and finite, got {value}")


class AgeTargets(NamedTuple):
    """Labels of a batch: `age_years` float32 [B], `age_std` float32 [B], NaN where unknown."""

    age_years: Tensor
    age_std: Tensor


class Departure(NamedTuple):
    """A difference from the authors' code: what theirs does, what ours does, why.

    `get_theirs` says which option does as theirs does, or that none does.
    """

    theirs: str
    ours: str
    why: str
    get_theirs: str

    def __str__(self) -> str:
        return f"theirs: {self.theirs}; here: {self.ours}; to get theirs: {self.get_theirs}"


class AgeMethod(Recorded, ABC):
    """One published way to learn an age.

    Args:
        ages: the age scale, as `AgeScale.parse` reads it: ``"0-100"``, ``"0.25,1-80"``.

    Raises:
        ValueError: `ages` is no age scale.
    """

    name: ClassVar[str]
    """Key in `METHODS`; the class's own name where it states none."""
    paper: ClassVar[str] = "not stated"
    """Authors, venue, year."""
    departures: ClassVar[tuple[Departure, ...]] = ()
    """Where this is not as the authors' code has it."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "name" not in vars(cls):
            cls.name = cls.__name__

    def __init__(self, ages: str = "0-100") -> None:
        self.stated_scale: Final = AgeScale.parse(ages)  # labels lie in it
        self.scale = self.stated_scale  # what is answered, which `fit_ages` may narrow

    @property
    def spec(self) -> OutputSpec:
        """What `answer` holds, for the card. K probabilities and their mean, unless overridden."""
        return OutputSpec(self.scale)

    def fit_ages(self, age_years: Tensor) -> None:
        """The training ages [N] in years, shown once, before `head`; the default is blind.

        For what a method takes from its training labels: weights of tasks, first leaves, the
        ages that occur. Every process must be shown the same ages, and a run that is resumed or
        loaded those that it began with: they may narrow `scale`, and with it the head.
        """

    @abstractmethod
    def head(self, features: int) -> nn.Module:
        """A module from features float32 [B, features] to the outputs of this method."""

    @abstractmethod
    def loss(self, outputs: Any, targets: AgeTargets) -> Tensor:
        """The scalar to minimise: a mean over the batch."""

    @abstractmethod
    def posterior(self, outputs: Any) -> Tensor:
        """Probabilities [B, K] over the scale; or mean and standard deviation [B, 2] in years."""

    def loss_parts(self, outputs: Any, targets: AgeTargets) -> dict[str, Tensor]:
        """The terms of `loss` by the names that curves have: ``age`` alone, unless overridden."""
        return {"age": self.loss(outputs, targets)}

    def answer(self, outputs: Any) -> Tensor:
        """What the exported network answers [B, spec.width]; see `spec`."""
        return self.posterior(outputs)

    def years(self, like: Tensor) -> Tensor:
        """The scale's ages [K] with the dtype and device of `like`."""
        return torch.as_tensor(self.scale.years, dtype=like.dtype, device=like.device)

    def classes(self, age_years: Tensor) -> Tensor:
        """Index int64 [B] of the class whose cell holds each age; ages outside take the end."""
        inner = torch.as_tensor(
            self.scale.edges_years[1:-1], dtype=torch.float64, device=age_years.device
        )
        return torch.bucketize(age_years.double(), inner, right=True)


class LearningHead(nn.Module):
    """A head with state that gradients do not move: leaves of a forest, reference features.

    The trainer calls both hooks without gradients; the state lies in buffers, so that it is
    saved, resumed and exported with the weights.
    """

    def clear_training_features(self) -> None:
        """Let go of what is kept of single training faces, which no answer needs.

        What is left is what is handed on; checkpoints keep all, for learning goes on by it.
        """

    def after_step(self, outputs: Any, targets: AgeTargets) -> None:
        """A training batch has been seen; `outputs` are those from before the update.

        In a run of many processes they hold the rows of all, so that the state is the same
        everywhere; tensors of outputs are therefore [B, ...], one row a sample.
        """

    def after_epoch(self, errors_years: Tensor, *, best: bool) -> None:
        """An epoch has been validated.

        Args:
            errors_years: estimate minus truth [M] of the validation samples.
            best: whether this epoch is the best so far.
        """


class SpreadHead(LearningHead):
    """A head that answers one age; its spread is what it erred by on validation samples."""

    spread_years: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("spread_years", torch.tensor(0.0))

    def after_epoch(self, errors_years: Tensor, *, best: bool) -> None:
        """Root mean square of the errors."""
        super().after_epoch(errors_years, best=best)
        if len(errors_years):
            self.spread_years.copy_(errors_years.square().mean().sqrt())


class AgeClassification(AgeMethod):
    """Logits [B, K], one for each age of the scale; their softmax is the posterior.

    Args:
        ages: the K ages, such as ``"0-100"`` or ``"16-77"``.
        point: how the posterior becomes one age: ``expected``, ``median``, ``argmax``.

    Raises:
        ValueError: `ages` is no age scale, or `point` is no word of `OutputSpec`.
    """

    def __init__(self, ages: str = "0-100", *, point: Point = "expected") -> None:
        super().__init__(ages)
        OutputSpec(self.scale, point=point)  # refuses an unknown point now, not at the first answer
        self.point = point

    @property
    def spec(self) -> OutputSpec:
        """K probabilities, and the point that the constructor was told."""
        return OutputSpec(self.scale, point=self.point)

    def head(self, features: int) -> nn.Module:
        """A linear layer from features [B, features] to logits [B, K]."""
        return nn.Linear(features, len(self.scale))

    def posterior(self, outputs: Tensor) -> Tensor:
        """Softmax [B, K] of logits [B, K], in float32 or better."""
        return at_least_float32(outputs).softmax(dim=1)

    def log_posterior(self, outputs: Tensor) -> Tensor:
        """Its logarithm [B, K], finite for any finite logits."""
        return at_least_float32(outputs).log_softmax(dim=1)
