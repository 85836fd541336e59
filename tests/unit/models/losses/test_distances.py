"""Distances between ages."""

from __future__ import annotations

import math

import pytest
import torch

from agelens.errors import UnknownNameError
from agelens.models.losses import (
    DISTANCES,
    AbsoluteDistance,
    AgeDistance,
    SquaredDistance,
    distance_named,
)


def test_values() -> None:
    first, second = torch.tensor([[3.0], [10.0]]), torch.tensor([1.0, 10.0])
    torch.testing.assert_close(
        AbsoluteDistance()(first, second), torch.tensor([[2.0, 7.0], [9.0, 0.0]])
    )
    torch.testing.assert_close(
        SquaredDistance(0.5)(first, second), torch.tensor([[2.0, 24.5], [40.5, 0.0]])
    )


@pytest.mark.parametrize("name", DISTANCES)
def test_a_name_is_its_distance(name: str) -> None:
    distance = distance_named(name)
    assert isinstance(distance, AgeDistance)
    assert type(distance) is DISTANCES[name]


def test_an_unknown_name_lists_the_valid_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"Did you mean 'squared'.*absolute, squared"):
        distance_named("square")


@pytest.mark.parametrize("alpha", [0, -1, math.nan, math.inf])
@pytest.mark.parametrize("distance", [AbsoluteDistance, SquaredDistance])
def test_an_alpha_must_be_above_zero(
    distance: type[AbsoluteDistance | SquaredDistance], alpha: float
) -> None:
    with pytest.raises(ValueError, match="alpha must be above 0"):
        distance(alpha)
