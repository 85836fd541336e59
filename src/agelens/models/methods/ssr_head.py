"""The head of SSR-Net: stages of bins that shift and ranges that stretch (Yang et al., 2018)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from agelens.models.losses.precision import at_least_float32
from agelens.models.methods.base import SpreadHead

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
        dropout: see `SSRStage`.
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
