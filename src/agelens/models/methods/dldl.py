"""DLDL: a normal distribution around the age is the label (Gao et al., TIP 2017)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from agelens.inference.answers import Point
from agelens.models.losses import gaussian_labels, kl_divergence
from agelens.models.methods.base import AgeTargets, Departure, above_zero
from agelens.models.methods.classification import AgeClassification


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
