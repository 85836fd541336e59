"""Normal likelihood against torch's own and against loops."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from agelens.models.losses import normal_nll


def test_value_and_gradient_are_those_of_torch() -> None:
    generator = torch.Generator().manual_seed(3)
    ages = torch.rand(9, generator=generator, dtype=torch.float64) * 100
    results = []
    for loss in (normal_nll, lambda m, v, y: functional.gaussian_nll_loss(m, y, v, eps=1e-12)):
        mean = (ages + 3).requires_grad_()
        variance = torch.linspace(0.1, 90, 9, dtype=torch.float64).requires_grad_()
        value = loss(mean, variance, ages)
        results.append((value, *torch.autograd.grad(value, (mean, variance))))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


def test_is_the_density_of_the_normal_distribution_without_its_constant() -> None:
    mean, variance, age = torch.tensor([30.0]), torch.tensor([16.0]), torch.tensor([37.0])
    density = torch.distributions.Normal(30, 4).log_prob(age).item()
    expected = -density - math.log(2 * math.pi) / 2
    assert normal_nll(mean, variance, age).item() == pytest.approx(expected, rel=1e-6)


def test_the_figure_of_the_docstring() -> None:
    three, nine = torch.tensor([33.0]), torch.tensor([9.0])
    assert normal_nll(three, nine, torch.tensor([30.0])).item() == pytest.approx(1.599, abs=5e-4)
