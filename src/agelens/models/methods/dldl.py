"""A normal distribution around the age is the label: DLDL (TIP 2017), DLDL-v2 (IJCAI 2018)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from agelens.inference.answers import Point
from agelens.models.losses import gaussian_labels, kl_divergence, posterior_mean
from agelens.models.methods.base import (
    AgeClassification,
    AgeTargets,
    Departure,
    above_zero,
    not_negative,
)


class DLDL(AgeClassification):
    """Deep label distribution learning: KL from a normal label around each age.

    Args:
        ages: such as ``"0-100"``; the authors' are 1-85.
        point: how the posterior becomes one age: ``expected``, ``median``, ``argmax``; the authors
            print both the expected age and the argmax.
        sigma: standard deviation of a label in years; 2 for MORPH in the paper.
        sigma_from_votes: take the standard deviation of an image's votes (`age_std`) where it
            is known, as the paper does on ChaLearn LAP; `sigma` elsewhere.
        smallest_sigma: floor in years under those: 29 images of LAP 2016 have votes that
            all agree. At 0.1 the nearest class takes all of a label on a yearly scale.
        normalise: False leaves labels near the ends of the scale as the density has them, see
            `gaussian_labels`; by default each sums to 1.

    Raises:
        ValueError: a sigma is not above 0, `ages` is no age scale, or `point` no such word.
    """

    name: ClassVar[str] = "dldl"
    paper: ClassVar[str] = (
        "Gao et al., Deep Label Distribution Learning with Label Ambiguity, IEEE TIP 26, 2017"
    )
    departures: ClassVar[tuple[Departure, ...]] = (
        Departure(
            "PyTorch ports take the density at each year, which does not sum to 1 near the ends",
            "each label is normalised over the scale",
            "the paper's definition; at ages 0 to 3 the loss differs by up to 0.9",
            "--method.normalise false",
        ),
    )

    def __init__(
        self,
        ages: str = "0-100",
        *,
        point: Point = "expected",
        sigma: float = 2.0,
        sigma_from_votes: bool = False,
        smallest_sigma: float = 0.1,
        normalise: bool | None = None,
    ) -> None:
        super().__init__(ages, point=point)
        above_zero(sigma=sigma, smallest_sigma=smallest_sigma)
        self.sigma = sigma
        self.sigma_from_votes = sigma_from_votes
        self.smallest_sigma = smallest_sigma
        self.normalise = normalise is not False

    def loss(self, outputs: Tensor, targets: AgeTargets) -> Tensor:
        """KL(label || softmax of logits [B, K]), batch mean."""
        log_posterior = self.log_posterior(outputs)
        return kl_divergence(self.labels(targets, log_posterior), log_posterior)

    def labels(self, targets: AgeTargets, like: Tensor) -> Tensor:
        """Label distributions [B, K] with the dtype and device of `like`."""
        ages = targets.age_years.to(like)
        sigma = torch.full_like(ages, self.sigma)
        if self.sigma_from_votes:
            votes = targets.age_std.to(like)
            sigma = torch.where(votes.isnan(), sigma, votes.clamp(min=self.smallest_sigma))
        return gaussian_labels(ages, sigma, self.years(like), normalise=self.normalise)


class DLDLv2(DLDL):
    """KL from a normal label, plus the absolute error of the expected age.

    The authors' repository trains in two stages: 60 epochs of KL alone, then the joint loss
    from those weights. A loss knows no epochs, so here these are two runs: one with
    ``mean_weight=0``, and one with ``mean_weight=1`` whose starting weights are the first
    run's. Optimiser and schedule start afresh in the second, as they do in the original.

    Args:
        ages: such as ``"0-100"``, which are the paper's.
        point: how the posterior becomes one age: ``expected``, ``median``, ``argmax``; the
            paper's is the expected age, which the second term
            trains.
        sigma: standard deviation of a label in years.
        sigma_from_votes: take the standard deviation of an image's votes (`age_std`) where it
            is known; `sigma` elsewhere.
        smallest_sigma: standard deviation of a label in years.
        normalise: False leaves labels near the ends of the scale as the density has them; by
            default each sums to 1.
        mean_weight: lambda, of the absolute error in years; 1 in the paper.

    Raises:
        ValueError: `mean_weight` is negative, a sigma is not above 0, `ages` is no age scale, or
            `point` no such word.
    """

    name: ClassVar[str] = "dldl-v2"
    paper: ClassVar[str] = (
        "Gao et al., Age Estimation Using Expectation of Label Distribution Learning, IJCAI 2018"
    )
    departures: ClassVar[tuple[Departure, ...]] = (
        *DLDL.departures,
        Departure(
            "60 epochs of the divergence alone, then of both terms from those weights",
            "both terms from the start",
            "a loss knows no epochs",
            "two runs: --method.mean_weight 0, then --backbone.weights of the first",
        ),
    )

    def __init__(
        self,
        ages: str = "0-100",
        *,
        point: Point = "expected",
        sigma: float = 2.0,
        sigma_from_votes: bool = False,
        smallest_sigma: float = 0.1,
        normalise: bool | None = None,
        mean_weight: float = 1.0,
    ) -> None:
        super().__init__(
            ages,
            point=point,
            sigma=sigma,
            sigma_from_votes=sigma_from_votes,
            smallest_sigma=smallest_sigma,
            normalise=normalise,
        )
        not_negative(mean_weight=mean_weight)
        self.mean_weight = mean_weight

    def loss(self, outputs: Tensor, targets: AgeTargets) -> Tensor:
        """KL(label || softmax of logits [B, K]) + lambda |m - y|, each a batch mean."""
        log_posterior = self.log_posterior(outputs)
        mean = posterior_mean(log_posterior.exp(), self.years(log_posterior))
        divergence = kl_divergence(self.labels(targets, log_posterior), log_posterior)
        return divergence + self.mean_weight * functional.l1_loss(mean, targets.age_years.to(mean))
