"""Heads of regression: an age that starts near the mean, and how far it may be off."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from agelens.models.losses.precision import at_least_float32
from agelens.models.methods.base import SpreadHead


class RegressionHead(SpreadHead):
    """Features [B, D] to age and spread [B, 2] in years; the spread is no function of the face.

    The age is start_age + unit_years (w f + b) with b = 0 at first. An offset of its own, and not
    a bias that begins at 35: weight decay leaves it alone, and autocast, which computes
    w f + b in bfloat16, rounds 35 to a quarter year but a deviation of 2 to a hundredth.

    `start_age` and `unit_years` are buffers, since the weights mean nothing without them.
    """

    start_age: Tensor
    unit_years: Tensor

    def __init__(
        self, features: int, start_age: float, unit_years: float, start_spread: float
    ) -> None:
        super().__init__()
        self.linear = _small_linear(features, 1)
        self.register_buffer("start_age", torch.tensor(start_age))
        self.register_buffer("unit_years", torch.tensor(unit_years))
        self.spread_years.fill_(start_spread)

    def forward(self, features: Tensor) -> Tensor:
        """Age and spread [B, 2]."""
        deviation = at_least_float32(self.linear(features))
        age = self.start_age + self.unit_years * deviation
        return torch.cat([age, self.spread_years.to(age).expand_as(age)], dim=1)


class GaussianHead(nn.Module):
    """Features [B, D] to mean and standard deviation [B, 2] in years, both functions of the face.

    The deviation is a softplus above a floor; both begin where the constructor says. Offset
    and unit are buffers, as in `RegressionHead`.
    """

    start_age: Tensor
    unit_years: Tensor
    smallest_spread: Tensor
    raw_start_spread: Tensor

    def __init__(
        self,
        features: int,
        start_age: float,
        unit_years: float,
        start_spread: float,
        smallest_spread: float,
    ) -> None:
        super().__init__()
        self.linear = _small_linear(features, 2)
        above_floor = (start_spread - smallest_spread) / unit_years
        self.register_buffer("start_age", torch.tensor(start_age))
        self.register_buffer("unit_years", torch.tensor(unit_years))
        self.register_buffer("smallest_spread", torch.tensor(smallest_spread))
        self.register_buffer("raw_start_spread", torch.tensor(_inverse_softplus(above_floor)))

    def forward(self, features: Tensor) -> Tensor:
        """Mean and standard deviation [B, 2]."""
        deviation, raw = at_least_float32(self.linear(features)).chunk(2, dim=1)
        mean = self.start_age + self.unit_years * deviation
        spread = self.smallest_spread + self.unit_years * functional.softplus(
            self.raw_start_spread + raw
        )
        return torch.cat([mean, spread], dim=1)


def _small_linear(features: int, outputs: int) -> nn.Linear:
    """A layer that answers about 0 at first, so that training starts at the stated age."""
    layer = nn.Linear(features, outputs)
    nn.init.normal_(layer.weight, std=0.01)
    nn.init.zeros_(layer.bias)
    return layer


def _inverse_softplus(value: float) -> float:
    """The x > -inf with log(1 + exp(x)) = `value` > 0."""
    return value + math.log(-math.expm1(-value))
