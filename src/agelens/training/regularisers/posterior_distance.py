"""How far a student's posterior lies from a teacher's: Kullback-Leibler divergences.

Both are kinds of posterior that `AgeMethod` knows: probabilities over a scale, and a mean
with a spread.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

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
