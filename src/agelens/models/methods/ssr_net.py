"""SSR-Net: an age in three digits of base three, with digits and base that bend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from agelens.inference.answers import OutputSpec
from agelens.models.losses import at_least_float32
from agelens.models.methods.base import (
    AgeMethod,
    AgeTargets,
    Departure,
    SpreadHead,
    above_zero,
    not_negative,
)

_LEAST_STRETCH = 1e-2


class SSRStage(nn.Module):
    """One digit: weights and shifts [B, bins] of its bins, and the stretch [B, 1] of its base.

    Args:
        width: of the input.
        bins: s_k.
        dropout: of the input, for the bins.
    """

    def __init__(self, width: int, bins: int, dropout: float) -> None:
        super().__init__()
        self.hidden = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(width, 2 * bins), nn.ReLU(inplace=True)
        )
        self.weights = nn.Linear(2 * bins, bins)
        self.shifts = nn.Linear(2 * bins, bins)
        self.stretch = nn.Linear(width, 1)
        # All bins alike and no range stretched at first, so that the answer is mid-scale: a digit
        # whose ReLUs all start at 0 never learns, and a stretch of -0.99 multiplies by 100.
        for layer in (self.weights, self.shifts, self.stretch):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)
        nn.init.constant_(self.weights.bias, 1 / bins)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Weights, shifts and stretch for features [B, width]."""
        hidden = self.hidden(features)
        stretch = self.stretch(features).tanh()
        return self.weights(hidden).relu(), self.shifts(hidden).tanh(), stretch


class SSRHead(SpreadHead):
    """Soft stagewise regression: age and spread [B, 2] in years.

    Args:
        widths: of each stage's features, in the order in which they lie in the input; one
            stage's width three times over where `shared`.
        bins: of each stage.
        shared: every stage sees the whole input.
        first_year: the age that all digits at 0 stand for.
        span_years: V.
        local_weight: lambda_local, of the shifts.
        range_weight: lambda_d, of the stretches.
        dropout: of each stage's input, for the bins.
        start_spread: in years, until a validation has measured one.
    """

    def __init__(
        self,
        widths: Sequence[int],
        bins: Sequence[int],
        *,
        shared: bool,
        first_year: float,
        span_years: float,
        local_weight: float,
        range_weight: float,
        dropout: float,
        start_spread: float,
    ) -> None:
        super().__init__()
        self.spread_years.fill_(start_spread)
        self.widths, self.shared = list(widths), shared
        self.first_year, self.span_years = first_year, span_years
        self.local_weight, self.range_weight = local_weight, range_weight
        self.digits = nn.ModuleList(
            SSRStage(width, count, dropout) for width, count in zip(widths, bins, strict=True)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Age and spread [B, 2] of features [B, F]."""
        parts = (
            [features] * len(self.widths)
            if self.shared
            else features.split_with_sizes(self.widths, dim=1)
        )
        stages = [digit(part) for digit, part in zip(self.digits, parts, strict=True)]
        share = soft_stagewise(stages, self.local_weight, self.range_weight)
        age = self.first_year + self.span_years * share
        return torch.stack([age, self.spread_years.to(age).expand_as(age)], dim=1)


def soft_stagewise(
    stages: Sequence[tuple[Tensor, Tensor, Tensor]], local_weight: float, range_weight: float
) -> Tensor:
    """The share [B] of the whole range that the stages add up to.

    ``sum_k [sum_i p_i (i + local_weight eta_i)] / prod_{j<=k} s_j (1 + range_weight delta_j)``.

    Args:
        stages: weights p [B, s_k], shifts eta [B, s_k] and stretch delta [B, 1] of each.
        local_weight: lambda_local.
        range_weight: lambda_d.
    """
    total, width = torch.zeros(()), torch.ones(())
    for each in stages:
        weights, shifts, stretch = (at_least_float32(part) for part in each)
        places = torch.arange(weights.shape[1], dtype=weights.dtype, device=weights.device)
        # A tanh of exactly -1 would divide by 0.
        stretched = (1 + range_weight * stretch[:, 0]).clamp_min(_LEAST_STRETCH)
        width = width.to(weights) / (weights.shape[1] * stretched)
        total = total.to(weights) + (weights * (places + local_weight * shifts)).sum(1) * width
    return total


class SSRNet(AgeMethod):
    """Soft stagewise regression network: coarse to fine, each stage refining the one before.

    Weights of bins are rectified and not normalised, as in the authors' code.

    Args:
        ages: the range V = last - first + 1 that the stages divide.
        bins: s_k of each stage.
        stage_features: widths of the features of each stage, in their order, for the SSR-Net
            backbone; by default every stage sees all features.
        local_weight: lambda_local, of the shifts of bins.
        range_weight: lambda_d, of the stretching of ranges; 0 took MORPH from 3.16 to 9.29.
        dropout: of the features, in training.
        start_spread: standard deviation in years that is answered until a validation has
            measured one.

    Raises:
        ValueError: `ages` is no age scale, a number makes no sense, or `stage_features` has
            another number of stages than `bins`.
    """

    name: ClassVar[str] = "ssr-net"
    paper: ClassVar[str] = (
        "Yang et al., SSR-Net: A Compact Soft Stagewise Regression Network for Age Estimation, "
        "IJCAI 2018"
    )
    departures: ClassVar[tuple[Departure, ...]] = (
        Departure(
            "a stage's bins are the product of two ReLU layers with as many units as bins",
            "they are made of the stage's features",
            "such products often begin dead and stay so",
            "none does so",
        ),
    )

    def __init__(
        self,
        ages: str = "0-100",
        *,
        bins: Sequence[int] = (3, 3, 3),
        stage_features: Sequence[int] | None = None,
        local_weight: float = 1.0,
        range_weight: float = 1.0,
        dropout: float = 0.2,
        start_spread: float = 15.0,
    ) -> None:
        super().__init__(ages)
        not_negative(local_weight=local_weight, range_weight=range_weight, dropout=dropout)
        above_zero(stages=len(bins), fewest_bins=min(bins, default=0), kept=1 - dropout)
        above_zero(start_spread=start_spread)
        if stage_features is not None and len(stage_features) != len(bins):
            raise ValueError(
                f"stage_features has {len(stage_features)} stages and bins {len(bins)}; "
                "they belong to the same stages"
            )
        self.bins, self.stage_features = bins, stage_features
        self.local_weight, self.range_weight, self.dropout = local_weight, range_weight, dropout
        self.start_spread = start_spread

    @property
    def spec(self) -> OutputSpec:
        """An age, and the error on validation samples as its standard deviation."""
        return OutputSpec(self.scale, "mean-spread")

    def head(self, features: int) -> nn.Module:
        """An `SSRHead`.

        Raises:
            ValueError: `stage_features` do not add up to `features`.
        """
        widths = self.stage_features or [features] * len(self.bins)
        if self.stage_features is not None and sum(widths) != features:
            raise ValueError(
                f"stage_features {list(widths)} add up to {sum(widths)}, and the features to "
                f"{features}; leave stage_features out for a backbone without stages of its own"
            )
        years = self.scale.years
        return SSRHead(
            widths,
            self.bins,
            shared=self.stage_features is None,
            first_year=years[0],
            span_years=years[-1] - years[0] + 1,
            local_weight=self.local_weight,
            range_weight=self.range_weight,
            dropout=self.dropout,
            start_spread=self.start_spread,
        )

    def loss(self, outputs: Tensor, targets: AgeTargets) -> Tensor:
        """Mean absolute error in years."""
        return functional.l1_loss(outputs[:, 0], targets.age_years.to(outputs))

    def posterior(self, outputs: Tensor) -> Tensor:
        """Age and spread [B, 2]."""
        return outputs
