"""How far apart two ages are, as an object that a soft label receives."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Final, Literal, TypeAlias

from torch import Tensor

from agelens.errors import UnknownNameError

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
