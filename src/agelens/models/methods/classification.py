"""What the methods share that classify ages: one linear layer, a softmax, a point of it."""

from __future__ import annotations

from torch import Tensor, nn

from agelens.inference.answers import OutputSpec, Point
from agelens.models.losses import at_least_float32
from agelens.models.methods.base import AgeMethod


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
