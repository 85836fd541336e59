"""Regression: one number in years, learned by L1, L2, Huber, or normal likelihood.

The baselines of the unified benchmark (Paplham & Franc, CVPR 2024), and with `unit_years`
the normalised target of MiVOLO (Kuprashevich & Tolstykh, 2023).
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from agelens.inference.answers import OutputSpec
from agelens.models.losses import at_least_float32, normal_nll
from agelens.models.methods.base import AgeMethod, AgeTargets, Departure, SpreadHead, above_zero


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


_START_AGE = 35.0
_START_SPREAD = 15.0


class AgeRegression(AgeMethod):
    """One age in years; its spread is what the network erred by on validation samples.

    Args:
        ages: such as ``"0-100"``. Answers are kept within them; training ages are not.
        start_age: answer of the untrained network in years: about the mean of the training ages.
        unit_years: years in one unit of the network's output and of the loss. MiVOLO's target
            (y - mean) / (max - min) is that mean as `start_age` and max - min as `unit_years`.
        start_spread: standard deviation in years that is answered until a validation
            has measured one: about that of the training ages.

    Raises:
        ValueError: a number is not above 0, or `ages` is no age scale.
    """

    def __init__(
        self,
        ages: str = "0-100",
        *,
        start_age: float = _START_AGE,
        unit_years: float = 1.0,
        start_spread: float = _START_SPREAD,
    ) -> None:
        super().__init__(ages)
        above_zero(start_age=start_age, unit_years=unit_years, start_spread=start_spread)
        self.start_age = start_age
        self.unit_years = unit_years
        self.start_spread = start_spread

    @property
    def spec(self) -> OutputSpec:
        """An age and its standard deviation."""
        return OutputSpec(self.scale, kind="mean-spread")

    def head(self, features: int) -> nn.Module:
        """A `RegressionHead`."""
        return RegressionHead(features, self.start_age, self.unit_years, self.start_spread)

    def loss(self, outputs: Tensor, targets: AgeTargets) -> Tensor:
        """The error of ages outputs[:, 0], counted in units; batch mean."""
        ages = at_least_float32(outputs[:, 0]) / self.unit_years
        return self._error(ages, targets.age_years.to(ages) / self.unit_years)

    @abstractmethod
    def _error(self, estimates: Tensor, ages: Tensor) -> Tensor:
        """The scalar error of two tensors [B]."""

    def posterior(self, outputs: Tensor) -> Tensor:
        """The outputs themselves: mean and standard deviation [B, 2] in years."""
        return at_least_float32(outputs)


class L1Regression(AgeRegression):
    """Mean absolute error, which the median minimises; the unified benchmark's regression.

    That benchmark also rounds the answer to a whole year, which agelens leaves to the reader.
    See `AgeRegression` for the arguments.
    """

    name: ClassVar[str] = "l1"
    paper: ClassVar[str] = (
        "baseline; as in Paplham and Franc, A Call to Reflect on Evaluation Practices for Age "
        "Estimation, CVPR 2024"
    )
    departures: ClassVar[tuple[Departure, ...]] = (
        Departure(
            "the unified benchmark rounds the answer to a whole year",
            "it stays as it is",
            "metrics should count what a network said",
            "the column estimate_years, rounded",
        ),
    )

    def _error(self, estimates: Tensor, ages: Tensor) -> Tensor:
        return functional.l1_loss(estimates, ages)


class L2Regression(AgeRegression):
    """Mean squared error, which the mean minimises. See `AgeRegression` for the arguments."""

    name: ClassVar[str] = "l2"
    paper: ClassVar[str] = (
        "baseline; weighted, the loss of Kuprashevich and Tolstykh, MiVOLO: Multi-input "
        "Transformer for Age and Gender Estimation, 2023"
    )
    departures: ClassVar[tuple[Departure, ...]] = (
        Departure(
            "MiVOLO weighs each age by how rare it is in the training labels, smoothed",
            "all samples count alike",
            "which samples count more is the sampler's work, for every method",
            "--data.sampling label-distribution-smoothed draws by the same weights",
        ),
        Departure(
            "MiVOLO learns (age - mean) / (oldest - youngest)",
            "years, from 35 on",
            "a reader knows years",
            "--method.start_age MEAN --method.unit_years RANGE",
        ),
    )

    def _error(self, estimates: Tensor, ages: Tensor) -> Tensor:
        return functional.mse_loss(estimates, ages)


class HuberRegression(AgeRegression):
    """Half the squared error up to `delta_years`, linear beyond (Huber, 1964).

    Args:
        ages: such as ``"0-100"``. Answers are kept within them; training ages are not.
        start_age: answer of the untrained network in years: about the mean of the training ages.
        unit_years: years in one unit of the network's output and of the loss.
        start_spread: standard deviation in years that is answered until a validation has
            measured one.
        delta_years: error in years from which on only its size counts.

    Raises:
        ValueError: a number is not above 0, or `ages` is no age scale.
    """

    name: ClassVar[str] = "huber"
    paper: ClassVar[str] = (
        "baseline; Huber, Robust Estimation of a Location Parameter, Ann. Math. Statist. 35, 1964"
    )

    def __init__(
        self,
        ages: str = "0-100",
        *,
        start_age: float = _START_AGE,
        unit_years: float = 1.0,
        start_spread: float = _START_SPREAD,
        delta_years: float = 1.0,
    ) -> None:
        super().__init__(
            ages, start_age=start_age, unit_years=unit_years, start_spread=start_spread
        )
        above_zero(delta_years=delta_years)
        self.delta_years = delta_years

    def _error(self, estimates: Tensor, ages: Tensor) -> Tensor:
        return functional.huber_loss(estimates, ages, delta=self.delta_years / self.unit_years)


class GaussianRegression(AgeMethod):
    """Normal likelihood: the network predicts its age and how far it may be off.

    Args:
        ages: such as ``"0-100"``. Answers are kept within them; training ages are not.
        start_age: answer of the untrained network in years: about the mean of the training ages.
        unit_years: years in one unit of the network's two outputs; the loss stays in years.
        start_spread: standard deviation in years that the untrained network answers.
        smallest_spread: floor in years under the spread. Without one, a few labels met exactly
            would make the likelihood grow without bound.

    Raises:
        ValueError: a number is not above 0, `start_spread` is not above `smallest_spread`, or
            `ages` is no age scale.
    """

    name: ClassVar[str] = "gaussian"
    paper: ClassVar[str] = (
        "baseline; Nix and Weigend, Estimating the Mean and Variance of the Target Probability "
        "Distribution, ICNN 1994"
    )

    def __init__(
        self,
        ages: str = "0-100",
        *,
        start_age: float = _START_AGE,
        unit_years: float = 1.0,
        start_spread: float = _START_SPREAD,
        smallest_spread: float = 0.5,
    ) -> None:
        super().__init__(ages)
        above_zero(start_age=start_age, unit_years=unit_years, smallest_spread=smallest_spread)
        if not smallest_spread < start_spread < math.inf:
            raise ValueError(
                f"start_spread must be finite and above smallest_spread {smallest_spread}, "
                f"got {start_spread}"
            )
        self.start_age = start_age
        self.unit_years = unit_years
        self.start_spread = start_spread
        self.smallest_spread = smallest_spread

    @property
    def spec(self) -> OutputSpec:
        """An age and its standard deviation."""
        return OutputSpec(self.scale, kind="mean-spread")

    def head(self, features: int) -> nn.Module:
        """A `GaussianHead`."""
        return GaussianHead(
            features, self.start_age, self.unit_years, self.start_spread, self.smallest_spread
        )

    def loss(self, outputs: Tensor, targets: AgeTargets) -> Tensor:
        """Negative log likelihood of the ages under the outputs [B, 2], batch mean."""
        mean, spread = at_least_float32(outputs).unbind(dim=1)
        return normal_nll(mean, spread.square(), targets.age_years.to(mean))

    def posterior(self, outputs: Tensor) -> Tensor:
        """The outputs themselves: mean and standard deviation [B, 2] in years."""
        return at_least_float32(outputs)
