"""Regression against loops: units, starting points, spreads."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from agelens.inference.answers import read_answers
from agelens.models.methods.base import AgeMethod, AgeTargets, SpreadHead
from agelens.models.methods.regression import (
    AgeRegression,
    GaussianRegression,
    HuberRegression,
    L1Regression,
    L2Regression,
)

Labelled = Callable[..., AgeTargets]
LABELS = [0.0, 100.0, 30.5, 31.25]
POINT_METHODS = [L1Regression, L2Regression, HuberRegression]


def outputs() -> Tensor:
    return torch.tensor([[3.5, 2.0], [70.0, 9.0], [30.0, 0.5], [31.75, 1.0]], dtype=torch.float64)


def huber(error: float | Tensor, delta: float) -> Tensor:
    size = abs(error)
    return size**2 / 2 if size <= delta else delta * (size - delta / 2)


@pytest.mark.parametrize("unit", [1.0, 80.0])
@pytest.mark.parametrize(
    ("method", "cost"),
    [
        (L1Regression, lambda error, unit: abs(error)),
        (L2Regression, lambda error, unit: error**2),
        (HuberRegression, lambda error, unit: huber(error, 1.0 / unit)),
    ],
)
def test_matches_plain_loops(
    agree: Callable[..., None],
    labelled: Labelled,
    method: type[AgeRegression],
    cost: Callable[[Tensor, float], Tensor],
    unit: float,
) -> None:
    def loops(rows: Tensor) -> Tensor:
        errors = [(row[0] - age) / unit for row, age in zip(rows, LABELS, strict=True)]
        return sum(cost(error, unit) for error in errors) / len(rows)

    made = method(unit_years=unit)
    agree(lambda rows: made.loss(rows, labelled(LABELS)), loops, outputs())


def test_a_huber_delta_is_in_years_whatever_the_unit(labelled: Labelled) -> None:
    """Errors of 3.5, 30, 0.5 and 0.5 years; only 30 lies beyond 10."""
    expected = sum(huber(error, 10.0) for error in (3.5, 30, 0.5, 0.5)) / 4
    for unit in (1.0, 80.0):
        method = HuberRegression(unit_years=unit, delta_years=10.0)
        loss = method.loss(outputs(), labelled(LABELS)).item()
        assert loss * unit**2 == pytest.approx(expected)


def test_gaussian_matches_plain_loops(agree: Callable[..., None], labelled: Labelled) -> None:
    def loops(rows: Tensor) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for row, age in zip(rows, LABELS, strict=True):
            total = total + row[1].log() + (row[0] - age) ** 2 / (2 * row[1] ** 2)
        return total / len(rows)

    agree(lambda rows: GaussianRegression().loss(rows, labelled(LABELS)), loops, outputs())


def test_the_spread_of_a_face_does_not_enter_the_error(labelled: Labelled) -> None:
    wider = outputs() * torch.tensor([1.0, 7.0])
    for method in POINT_METHODS:
        assert method().loss(outputs(), labelled(LABELS)) == method().loss(wider, labelled(LABELS))


@pytest.mark.parametrize("method", [*POINT_METHODS, GaussianRegression])
@pytest.mark.parametrize("unit", [1.0, 20.0])
def test_training_starts_at_the_stated_age_and_spread(
    method: type[AgeRegression | GaussianRegression], unit: float
) -> None:
    made = method(start_age=41.0, start_spread=12.0, unit_years=unit)
    torch.manual_seed(0)
    head = made.head(64)
    answers = read_answers(made.answer(head(torch.rand(32, 64))).detach(), made.spec)
    np.testing.assert_allclose(answers.estimate_years, 41.0, atol=0.3 * unit)
    assert answers.spread_years is not None
    np.testing.assert_allclose(answers.spread_years, 12.0, atol=0.3 * unit)
    nothing = made.answer(head(torch.zeros(1, 64)))
    torch.testing.assert_close(nothing, torch.tensor([[41.0, 12.0]]))


@pytest.mark.parametrize("method", POINT_METHODS)
def test_the_spread_is_what_the_network_erred_by_on_validation(
    method: type[AgeRegression],
) -> None:
    made = method()
    head = made.head(8)
    assert isinstance(head, SpreadHead)
    with torch.no_grad():
        head.after_epoch(torch.tensor([3.0, -4.0]), best=True)
    answer = made.answer(head(torch.rand(2, 8)))
    torch.testing.assert_close(answer[:, 1], torch.full((2,), math.sqrt(12.5)))
    reloaded = method(start_age=20.0, start_spread=3.0, unit_years=2.0).head(8)
    reloaded.load_state_dict(head.state_dict())
    features = torch.rand(3, 8)
    torch.testing.assert_close(reloaded(features), head(features))


def test_a_predicted_spread_never_falls_below_its_floor() -> None:
    head = GaussianRegression(smallest_spread=0.75).head(4)
    with torch.no_grad():
        head.linear.weight.fill_(-1e4)
    spread = head(torch.ones(3, 4))[:, 1]
    torch.testing.assert_close(spread, torch.full((3,), 0.75))


def test_autocast_keeps_the_fraction_of_an_age() -> None:
    head = L1Regression(start_age=70.0).head(8)
    with torch.no_grad():
        head.linear.weight.fill_(0.01)
    features = torch.rand(16, 8, generator=torch.Generator().manual_seed(1))
    exact = head(features)[:, 0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = head(features)[:, 0]
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, exact, rtol=0, atol=1e-3)  # bfloat16 steps 0.5 there


@pytest.mark.parametrize(
    ("method", "options", "complaint"),
    [
        (L1Regression, {"start_age": 0.0}, "start_age must be above 0"),
        (L2Regression, {"unit_years": -1.0}, "unit_years must be above 0"),
        (L1Regression, {"start_spread": math.nan}, "start_spread must be above 0"),
        (HuberRegression, {"delta_years": 0.0}, "delta_years must be above 0"),
        (GaussianRegression, {"smallest_spread": 0.0}, "smallest_spread must be above 0"),
        (GaussianRegression, {"start_spread": 0.5}, "above smallest_spread 0.5, got 0.5"),
        (GaussianRegression, {"start_spread": math.inf}, "start_spread must be finite"),
    ],
)
def test_impossible_options_are_refused(
    method: type[AgeMethod], options: dict[str, float], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        method(**options)
