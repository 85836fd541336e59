"""Loss terms as pure functions of tensors: ages in years, posteriors [B, K], scalars out.

A method composes them; nothing here knows a network, an epoch or a configuration.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Final, Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from agelens.errors import UnknownNameError


def at_least_float32(values: Tensor) -> Tensor:
    """`values` in float32, or in float64 where they come in that.

    Autocast leaves outputs in bfloat16, whose 8 bits put ages above 32 on a grid of a
    quarter year.
    """
    return values.to(torch.promote_types(values.dtype, torch.float32))


def levels(classes: Tensor, tasks: int) -> Tensor:
    """Truth bool [B, tasks] of "class above k" for `classes` int64 [B], k from 0.

    Class 2 of 5 has levels ``1 1 0 0``.
    """
    return classes[:, None] > torch.arange(tasks, device=classes.device)


def ordinal_cross_entropy(
    logits: Tensor, classes: Tensor, task_weights: Tensor | None = None
) -> Tensor:
    """Binary cross entropy of each task, summed over tasks, mean over the batch.

    The loss of OR-CNN in its single-logit form (Niu et al., CVPR 2016) and of CORAL (Cao et
    al., Pattern Recognition Letters 2020). Logits of zero cost ``(K - 1) * log(2)``.

    Args:
        logits: [B, K - 1] of "older than age k".
        classes: int64 [B], 0 to K - 1.
        task_weights: [K - 1]; all 1 by default.
    """
    logits = at_least_float32(logits)
    truth = levels(classes, logits.shape[1]).to(logits.dtype)
    weights = None if task_weights is None else task_weights.to(logits)
    costs = functional.binary_cross_entropy_with_logits(
        logits, truth, weight=weights, reduction="none"
    )
    return costs.sum(dim=1).mean()


def two_way_cross_entropy(
    logits: Tensor, classes: Tensor, task_weights: Tensor | None = None
) -> Tensor:
    """The same for tasks that are two-way softmaxes: `logits` [B, K - 1, 2], "no" before "yes"."""
    logits = at_least_float32(logits)
    truth = levels(classes, logits.shape[1]).long()
    costs = functional.cross_entropy(logits.transpose(1, 2), truth, reduction="none")
    if task_weights is not None:
        costs = costs * task_weights.to(logits)
    return costs.sum(dim=1).mean()


def conditional_cross_entropy(logits: Tensor, classes: Tensor) -> Tensor:
    """Loss of CORN (Shi, Cao and Raschka, Pattern Analysis and Applications 2023).

    Task k learns from the samples that are above class k - 1 alone; all questions so asked
    count the same, so the sum is divided by their number. Logits of zero cost ``log(2)``.

    Args:
        logits: [B, K - 1] of "older than age k, given older than age k - 1".
        classes: int64 [B], 0 to K - 1.
    """
    logits, tasks = at_least_float32(logits), logits.shape[1]
    asked = (classes[:, None] >= torch.arange(tasks, device=classes.device)).to(logits.dtype)
    costs = functional.binary_cross_entropy_with_logits(
        logits, levels(classes, tasks).to(logits.dtype), weight=asked, reduction="sum"
    )
    return costs / asked.sum()


def share_weights(classes: Tensor, tasks: int) -> Tensor:
    """OR-CNN's weights float64 [tasks] of training labels [N]: they sum to 1.

    ``sqrt(N_k) / sum_i sqrt(N_i)``, N_k the samples of class k (Niu et al., CVPR 2016), and 1
    where there are none: a task of weight 0 would stay as it was drawn, and its answer still
    counts in the rank.
    """
    counts = torch.bincount(classes, minlength=tasks + 1)[:tasks]
    roots = counts.clamp_min(1).double().sqrt()
    return roots / roots.sum()


def importance_weights(classes: Tensor, tasks: int) -> Tensor:
    """CORAL's weights float64 [tasks] of training labels [N]: the largest is 1.

    The root of the larger side of each question, divided by the largest root, as in the
    authors' code (Cao et al., 2020). A question that splits the samples in half weighs
    ``sqrt(1 / 2)`` of one that all answer alike.
    """
    counts = torch.bincount(classes, minlength=tasks + 1)
    above = len(classes) - counts.cumsum(0)[:tasks]
    roots = torch.maximum(above, len(classes) - above).double().sqrt()
    return roots / roots.max()


def normal_nll(mean_years: Tensor, variance_years2: Tensor, age_years: Tensor) -> Tensor:
    """Batch mean of (log v + (m - y)^2 / v) / 2; the constant log(2 pi) / 2 is left out.

    An error of 3 years at a variance of 9 costs (log 9 + 1) / 2 = 1.599.

    ``torch.nn.functional.gaussian_nll_loss`` gives the same, but asks the device at every
    step whether a variance is negative, and clamps behind the gradient's back.

    Args:
        mean_years: float [B].
        variance_years2: float [B], above 0.
        age_years: float [B].
    """
    squared = (mean_years - age_years).square()
    return (variance_years2.log() + squared / variance_years2).mean() / 2


def posterior_mean(posterior: Tensor, years: Tensor) -> Tensor:
    """Expected age [B] in years of `posterior` [B, K] over the ages `years` [K]."""
    # Not a matrix product: autocast would turn that, and only that, into bfloat16.
    return (posterior * years).sum(dim=1)


def posterior_variance(posterior: Tensor, years: Tensor) -> Tensor:
    """Variance [B] in square years of `posterior` [B, K] over the ages `years` [K].

    About the mean, never as a difference of two large squares, so that it is not negative.
    """
    deviation = years - posterior_mean(posterior, years)[:, None]
    return (posterior * deviation.square()).sum(dim=1)


def kl_divergence(labels: Tensor, log_posterior: Tensor) -> Tensor:
    """KL(labels || posterior): summed over classes, averaged over the batch; 0 is a perfect fit.

    The direction and the reduction of DLDL (Gao et al., TIP 2017). Cross entropy with the
    same soft labels is larger by the labels' entropy and has the same gradient. Averaging over
    classes too, as KLDivLoss does unless told otherwise, would make the term K times weaker.

    Args:
        labels: probabilities [B, K]; zeros are allowed.
        log_posterior: natural logarithms of probabilities [B, K].
    """
    return functional.kl_div(log_posterior, labels, reduction="batchmean")


DistanceName: TypeAlias = Literal["absolute", "squared"]


class AgeDistance(ABC):
    """A distance between ages, without a unit: a class e times less likely is 1 further away."""

    @abstractmethod
    def __call__(self, first_years: Tensor, second_years: Tensor) -> Tensor:
        """Distance >= 0 of two tensors of ages in years that broadcast."""


class AbsoluteDistance(AgeDistance):
    """alpha |a - b|: labels fall like a Laplace density.

    Args:
        alpha: per year; the larger, the narrower the label.

    Raises:
        ValueError: `alpha` is not above 0.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = _above_zero(alpha)

    def __call__(self, first_years: Tensor, second_years: Tensor) -> Tensor:
        """Broadcast alpha |a - b|."""
        return self.alpha * (first_years - second_years).abs()


class SquaredDistance(AgeDistance):
    """alpha (a - b)^2: labels fall like a normal density; DLDL with a sigma of 2 is alpha 1/8.

    Args:
        alpha: per square year; the larger, the narrower the label.

    Raises:
        ValueError: `alpha` is not above 0.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = _above_zero(alpha)

    def __call__(self, first_years: Tensor, second_years: Tensor) -> Tensor:
        """Broadcast alpha (a - b)^2."""
        return self.alpha * (first_years - second_years).square()


DISTANCES: Final[dict[str, type[AgeDistance]]] = {
    "absolute": AbsoluteDistance,
    "squared": SquaredDistance,
}


def distance_named(name: str) -> AgeDistance:
    """The distance called `name`, with its default alpha.

    Raises:
        UnknownNameError: no distance has that name; the message lists those that exist.
    """
    if name not in DISTANCES:
        raise UnknownNameError("distance", name, DISTANCES)
    return DISTANCES[name]()


def _above_zero(alpha: float) -> float:
    if not 0 < alpha < math.inf:
        raise ValueError(f"a distance's alpha must be above 0 and finite, got {alpha}")
    return alpha


_LEAST_DENSITY: Final = 1e-15


def gaussian_labels(
    age_years: Tensor, sigma_years: Tensor, years: Tensor, *, normalise: bool = True
) -> Tensor:
    """Normal density at each class, normalised over the scale (Gao et al., DLDL, TIP 2017).

    An age of 30 with a sigma of 2 on a yearly scale gives class 30 a probability of 0.1995.
    Without `normalise` it is the density itself, 1e-15 at least, as PyTorch ports of DLDL-v2
    have it: of an age of 0 a label then sums to 0.6, for its other half is below the scale.

    Args:
        age_years: float [B].
        sigma_years: float [B], above 0.
        years: the scale's ages, float [K].
        normalise: let each label sum to 1.

    Returns:
        float [B, K].
    """
    standardised = (years - age_years[:, None]) / sigma_years[:, None]
    if normalise:
        return (-standardised.square() / 2).softmax(dim=1)
    density = (-standardised.square() / 2).exp() / (math.sqrt(2 * math.pi) * sigma_years[:, None])
    return density.clamp_min(_LEAST_DENSITY)


def distance_labels(age_years: Tensor, years: Tensor, distance: AgeDistance) -> Tensor:
    """Probability exp(-distance), normalised (Diaz & Marathe, SORD, CVPR 2019).

    An age of 30 under |.| on a yearly scale gives class 30 a probability of 0.462.

    Args:
        age_years: float [B].
        years: the scale's ages, float [K].
        distance: how far each class is from the age.

    Returns:
        float [B, K].
    """
    return (-distance(age_years[:, None], years)).softmax(dim=1)
