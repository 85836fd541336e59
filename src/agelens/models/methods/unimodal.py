"""Unimodal-concentrated loss: each face gets the label distribution that it deserves."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from agelens.inference.answers import Point
from agelens.models.losses import normal_nll, posterior_mean, posterior_variance
from agelens.models.methods.base import (
    AgeClassification,
    AgeTargets,
    Departure,
    above_zero,
    not_negative,
)


def unimodality(posterior: Tensor, classes: Tensor) -> Tensor:
    """Wrong steps between neighbouring classes, summed over them, averaged over the batch.

    Step j goes from class j to class j + 1. Steps j < t, up to the true class t, must not
    fall; steps j >= t, from it on, must not rise. So the true class is the peak: the other
    reading, which leaves step t out because the sign of j - t is 0 there, lets class t + 1 be
    as high as it likes. A flat posterior costs 0.

    Args:
        posterior: probabilities [B, K].
        classes: index of the true class, int64 [B].
    """
    steps = posterior.diff(dim=1)
    before = torch.arange(steps.shape[1], device=steps.device) < classes[:, None]
    return torch.where(before, -steps, steps).relu().sum(dim=1).mean()


class UnimodalConcentrated(AgeClassification):
    """Likelihood of the age under the posterior's mean and variance, plus lambda times unimodality.

    Li et al., CVPR 2022. Their code is not public; the weight is that of the unified
    benchmark's unofficial version. Which steps must rise and which must fall: see
    `agelens.models.methods.unimodal`.

    Args:
        ages: the K ages, such as ``"0-100"`` or ``"16-77"``.
        point: how the posterior becomes one age: ``expected``, ``median``, ``argmax``.
        unimodal_weight: lambda, of the wrong steps. A flat posterior has none, so that a large
            one holds a network there: on a toy problem, random weights took 5,000 steps to leave
            it at 1000 and 400 at 10. Start at 1000 from trained weights only.
        eps: square years added to the variance, so that a posterior that is sure and wrong
            by 10 years costs 5,000; at the unofficial version's 1e-10 it would cost 5e11.

    Raises:
        ValueError: `eps` is not above 0, or the weight is negative, `ages` is no
            age scale, or `point` no such word.
    """

    name: ClassVar[str] = "unimodal-concentrated"
    paper: ClassVar[str] = (
        "Li et al., Unimodal-Concentrated Loss: Fully Adaptive Label Distribution Learning for "
        "Ordinal Regression, CVPR 2022"
    )
    departures: ClassVar[tuple[Departure, ...]] = (
        Departure(
            "not public; the unified benchmark's unofficial version adds 1e-10 to the variance",
            "0.01 square years",
            "a posterior that is sure and wrong would cost 5e11",
            "--method.eps 1e-10",
        ),
    )

    def __init__(
        self,
        ages: str = "0-100",
        *,
        point: Point = "expected",
        unimodal_weight: float = 1000.0,
        eps: float = 1e-2,
    ) -> None:
        super().__init__(ages, point=point)
        not_negative(unimodal_weight=unimodal_weight)
        above_zero(eps=eps)
        self.unimodal_weight = unimodal_weight
        self.eps = eps

    def loss(self, outputs: Tensor, targets: AgeTargets) -> Tensor:
        """(log v + (m - y)^2 / v) / 2 + lambda wrong steps, batch mean, of logits [B, K]."""
        posterior = self.posterior(outputs)
        years, ages = self.years(posterior), targets.age_years.to(posterior)
        variance = posterior_variance(posterior, years) + self.eps
        concentrated = normal_nll(posterior_mean(posterior, years), variance, ages)
        return concentrated + self.unimodal_weight * unimodality(posterior, self.classes(ages))
