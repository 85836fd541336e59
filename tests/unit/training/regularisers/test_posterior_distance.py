"""Divergences against plain loops and torch's own."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from agelens.training.regularisers.distillation import (
    categorical_divergence,
    gaussian_divergence,
    moments,
    softened,
)


def _logits(seed: int):
    return torch.randn(6, 9, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_softening_probabilities_is_dividing_logits(temperature: float) -> None:
    logits = _logits(0)
    got = softened(logits.softmax(1), temperature)
    torch.testing.assert_close(got, (logits / temperature).log_softmax(1))


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_divergence_is_hintons_sum(temperature: float) -> None:
    teacher, student = _logits(0), _logits(1)
    got = categorical_divergence(teacher.softmax(1), student.softmax(1), temperature)
    expected = 0.0
    for row in range(6):
        weights = [
            [math.exp(value / temperature) for value in logits[row].tolist()]
            for logits in (teacher, student)
        ]
        p, q = ([value / sum(part) for value in part] for part in weights)
        expected += temperature**2 * sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    assert got.item() == pytest.approx(expected / 6, rel=1e-9)


def test_equal_posteriors_with_zeros_are_no_distance_and_no_nan() -> None:
    sure = torch.eye(4, requires_grad=True)
    distance = categorical_divergence(torch.eye(4), sure, 2.0)
    distance.backward()
    assert distance.item() == pytest.approx(0, abs=1e-6)
    assert sure.grad.isfinite().all()


def test_normal_distributions_are_compared_as_torch_does() -> None:
    teacher = torch.tensor([[30.0, 4.0], [50.0, 9.0]])
    student = torch.tensor([[33.0, 5.0], [40.0, 3.0]])
    expected = kl_divergence(
        Normal(teacher[:, 0], teacher[:, 1]), Normal(student[:, 0], student[:, 1])
    ).mean()
    torch.testing.assert_close(gaussian_divergence(teacher, student), expected)


def test_a_spread_that_is_not_learned_leaves_the_distance_of_the_means() -> None:
    teacher, student = torch.tensor([[30.0, 4.0]]), torch.tensor([[34.0, 0.0]])
    got = gaussian_divergence(teacher, student, learned_spread=False)
    assert got.item() == pytest.approx(0.5)  # 4 years are one spread: 1 / 2


def test_a_teacher_who_is_sure_does_not_drown_the_rest() -> None:
    teacher, student = torch.tensor([[30.0, 0.0]]), torch.tensor([[34.0, 0.0]])
    got = gaussian_divergence(teacher, student, learned_spread=False)
    assert got.item() == pytest.approx(8)  # as of a spread of 1 year


def test_moments_of_two_ages() -> None:
    posterior, years = torch.tensor([[0.25, 0.75]]), torch.tensor([20.0, 40.0])
    mean, spread = moments(posterior, years)[0].tolist()
    assert mean == pytest.approx(35)
    assert spread == pytest.approx(math.sqrt(0.25 * 225 + 0.75 * 25))
