"""Mean-variance loss: the posterior's mean is pulled to the age, its variance kept small."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from agelens.inference.answers import Point
from agelens.models.losses import posterior_mean, posterior_variance
from agelens.models.methods.base import AgeClassification, AgeTargets, Departure, not_negative


class MeanVariance(AgeClassification):
    """Cross entropy + lambda_1 (m - y)^2 / 2 + lambda_2 v (Pan et al., CVPR 2018).

    The half stands on the mean term only.

    Args:
        ages: the K ages, such as ``"0-100"`` or ``"16-77"``.
        point: how the posterior becomes one age: ``expected``, ``median``, ``argmax``.
        mean_weight: lambda_1, per square year; 0.2 in the paper.
        variance_weight: lambda_2, per square year; 0.05 in the paper.

    Raises:
        ValueError: a weight is negative, `ages` is no age scale, or `point` no such word.
    """

    name: ClassVar[str] = "mean-variance"
    paper: ClassVar[str] = (
        "Pan et al., Mean-Variance Loss for Deep Age Estimation from a Face, CVPR 2018"
    )
    departures: ClassVar[tuple[Departure, ...]] = (
        Departure(
            "public re-implementations round the answer to a whole year",
            "it stays as it is",
            "metrics should count what a network said",
            "the column estimate_years, rounded",
        ),
    )

    def __init__(
        self,
        ages: str = "0-100",
        *,
        point: Point = "expected",
        mean_weight: float = 0.2,
        variance_weight: float = 0.05,
    ) -> None:
        super().__init__(ages, point=point)
        not_negative(mean_weight=mean_weight, variance_weight=variance_weight)
        self.mean_weight = mean_weight
        self.variance_weight = variance_weight

    def loss(self, outputs: Tensor, targets: AgeTargets) -> Tensor:
        """The three terms of logits [B, K], each a batch mean."""
        log_posterior = self.log_posterior(outputs)
        posterior, years = log_posterior.exp(), self.years(log_posterior)
        mean = posterior_mean(posterior, years)
        cross_entropy = functional.nll_loss(log_posterior, self.classes(targets.age_years))
        mean_loss = functional.mse_loss(mean, targets.age_years.to(mean)) / 2
        variance_loss = posterior_variance(posterior, years).mean()
        return cross_entropy + self.mean_weight * mean_loss + self.variance_weight * variance_loss
