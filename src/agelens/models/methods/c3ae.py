"""C3AE: an age between two neighbouring bins, and from the bins the age."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from agelens.inference.answers import OutputSpec
from agelens.models.losses import at_least_float32, kl_divergence
from agelens.models.methods.base import (
    AgeMethod,
    AgeTargets,
    Departure,
    SpreadHead,
    above_zero,
    not_negative,
)


def two_point(age_years: Tensor, bins: int, bin_years: float) -> Tensor:
    """Weights [B, bins] on the bins at 0, `bin_years`, 2 `bin_years`, ..., whose mean is the age.

    Age 32 with bins of 10 years has 0.8 at 30 and 0.2 at 40. Ages outside take the end bin.
    """
    places = torch.arange(bins, dtype=age_years.dtype, device=age_years.device)
    at = (age_years / bin_years).clamp(0, bins - 1)
    return (1 - (at[:, None] - places).abs()).clamp_min(0)


def focal_bin_loss(targets: Tensor, log_probabilities: Tensor, gamma: float) -> Tensor:
    """Mean over the batch of sum over the target's bins of |t - p|^gamma * -log p.

    What a public re-implementation trains instead of the divergence, without its weights of
    classes. `gamma` is at least 1, lest the gradient be infinite at t = p.
    """
    apart = (targets - log_probabilities.exp()).abs() ** gamma
    costs = -apart * log_probabilities
    return costs.where(targets > 0, 0.0).sum(dim=1).mean()


class C3AEOutputs(NamedTuple):
    """`age_spread` [B, 2] in years, and log probabilities `log_bins` [B, bins]."""

    age_spread: Tensor
    log_bins: Tensor


class C3AEHead(SpreadHead):
    """W1 from features to a softmax over bins, W2 from that to the age.

    W2 starts at the bins' own ages, where it answers with their mean.

    Args:
        features: width of the input.
        bins: how many.
        bin_years: the years between two.
        start_spread: in years, until a validation has measured one.
    """

    def __init__(self, features: int, bins: int, bin_years: float, start_spread: float) -> None:
        super().__init__()
        self.spread_years.fill_(start_spread)
        self.w1 = nn.Linear(features, bins)
        self.w2 = nn.Linear(bins, 1)
        nn.init.zeros_(self.w2.bias)
        with torch.no_grad():
            self.w2.weight.copy_(bin_years * torch.arange(bins))

    def forward(self, features: Tensor) -> C3AEOutputs:
        """Outputs for features [B, F]."""
        log_bins = at_least_float32(self.w1(features)).log_softmax(dim=1)
        # Not a matrix product: autocast would turn years into bfloat16.
        age = (log_bins.exp() * self.w2.weight).sum(dim=1) + self.w2.bias
        spread = self.spread_years.to(age).expand_as(age)
        return C3AEOutputs(torch.stack([age, spread], dim=1), log_bins)


class C3AE(AgeMethod):
    """Compact and cascaded: an age is a two-point distribution over coarse bins.

    The three crops of the paper are the backbone's affair; any features do.

    Args:
        ages: the scale, for the answer alone.
        bins: how many; the paper has 12, at 0, 10, ..., 110 years.
        bin_years: years between two bins.
        alpha: weight of the bins' loss beside the mean absolute error.
        focal_gamma: take the focal loss of a public re-implementation for the bins, with this
            exponent (2 there), in place of the paper's divergence.
        start_spread: standard deviation in years that is answered until a validation has
            measured one.

    Raises:
        ValueError: `ages` is no age scale, or a number makes no sense.
    """

    name: ClassVar[str] = "c3ae"
    paper: ClassVar[str] = (
        "Zhang et al., C3AE: Exploring the Limits of Compact Model for Age Estimation, CVPR 2019"
    )
    departures: ClassVar[tuple[Departure, ...]] = (
        Departure(
            "three crops of the photo about the detector's box, of sizes that are not given",
            "from the chip: its whole, three quarters and half of its side, by the backbone c3ae",
            "stores hold chips",
            "none",
        ),
        Departure(
            "the last layer, from bins to the age, begins at random",
            "it begins at the ages of its bins",
            "training then starts at the bins' own mean",
            "none",
        ),
    )

    def __init__(
        self,
        ages: str = "0-100",
        *,
        bins: int = 12,
        bin_years: float = 10.0,
        alpha: float = 10.0,
        focal_gamma: float | None = None,
        start_spread: float = 15.0,
    ) -> None:
        super().__init__(ages)
        above_zero(bins_after_the_first=bins - 1, bin_years=bin_years, start_spread=start_spread)
        not_negative(alpha=alpha)
        if focal_gamma is not None and focal_gamma < 1:
            raise ValueError(f"focal_gamma must be at least 1, got {focal_gamma}")
        self.bins, self.bin_years = bins, bin_years
        self.alpha, self.focal_gamma, self.start_spread = alpha, focal_gamma, start_spread

    @property
    def spec(self) -> OutputSpec:
        """An age, and the error on validation samples as its standard deviation."""
        return OutputSpec(self.scale, "mean-spread")

    def head(self, features: int) -> nn.Module:
        """A `C3AEHead`."""
        return C3AEHead(features, self.bins, self.bin_years, self.start_spread)

    def loss(self, outputs: C3AEOutputs, targets: AgeTargets) -> Tensor:
        """Mean absolute error in years plus `alpha` times the loss of the bins."""
        ages = targets.age_years.to(outputs.age_spread)
        error = functional.l1_loss(outputs.age_spread[:, 0], ages)
        wanted = two_point(ages, self.bins, self.bin_years)
        if self.focal_gamma is None:
            return error + self.alpha * kl_divergence(wanted, outputs.log_bins)
        return error + self.alpha * focal_bin_loss(wanted, outputs.log_bins, self.focal_gamma)

    def posterior(self, outputs: C3AEOutputs) -> Tensor:
        """Age and spread [B, 2]."""
        return outputs.age_spread
