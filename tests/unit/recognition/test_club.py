"""CLUB on Gaussians whose bound is known, and against plain loops."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from agelens.recognition.purification import SampledCLUB

DIMENSIONS = 2


def _pair(samples: int, correlation: float) -> tuple[Tensor, Tensor]:
    x = torch.randn(samples, DIMENSIONS)
    noise = torch.randn(samples, DIMENSIONS)
    return x, correlation * x + math.sqrt(1 - correlation**2) * noise


def _learned_bound(correlation: float) -> float:
    """The bound once q has learned from fresh pairs."""
    torch.manual_seed(1)
    club = SampledCLUB(DIMENSIONS, DIMENSIONS)
    optimizer = torch.optim.Adam(club.parameters(), lr=1e-2)
    for _ in range(200):
        optimizer.zero_grad()
        (-club.likelihood(*_pair(512, correlation))).backward()
        optimizer.step()
    with torch.no_grad():
        return float(club.bound(*_pair(20_000, correlation)))


def test_independent_variables_have_a_bound_near_zero() -> None:
    assert abs(_learned_bound(0.0)) < 0.05


@pytest.mark.parametrize("correlation", [0.6, 0.75])
def test_dependent_gaussians_have_the_known_bound(correlation: float) -> None:
    known = DIMENSIONS * correlation**2 / (1 - correlation**2)
    assert _learned_bound(correlation) == pytest.approx(known, rel=0.25)


def test_with_the_true_conditional_the_bound_is_the_known_one() -> None:
    """q set by hand: the mean is x / 2, the variance 3 / 4."""
    club = SampledCLUB(DIMENSIONS, DIMENSIONS)
    halved = nn.Linear(DIMENSIONS, DIMENSIONS, bias=False)
    constant = nn.Linear(DIMENSIONS, DIMENSIONS)
    with torch.no_grad():
        halved.weight.copy_(0.5 * torch.eye(DIMENSIONS))
        constant.weight.zero_()
        constant.bias.fill_(math.log(0.75))
    club.mean, club.log_variance = nn.Sequential(halved), nn.Sequential(constant)
    torch.manual_seed(2)
    with torch.no_grad():
        bound = float(club.bound(*_pair(200_000, 0.5)))
    assert bound == pytest.approx(DIMENSIONS * 0.25 / 0.75, rel=0.02)
    assert bound > DIMENSIONS * -0.5 * math.log(0.75)  # the mutual information


def test_both_scalars_are_those_of_plain_loops() -> None:
    torch.manual_seed(0)
    club = SampledCLUB(3, 4).eval()
    x, y = torch.randn(5, 3), torch.randn(5, 4)
    order = torch.randperm(5, generator=torch.Generator().manual_seed(9)).tolist()
    mean, log_variance = club.mean(x).tolist(), club.log_variance(x).tolist()
    y_rows = y.tolist()
    likelihood = bound = 0.0
    for i in range(5):
        for d in range(4):
            variance = math.exp(log_variance[i][d])
            own = (mean[i][d] - y_rows[i][d]) ** 2
            other = (mean[i][d] - y_rows[order[i]][d]) ** 2
            likelihood += (-own / variance - log_variance[i][d]) / 5
            bound += 0.5 * (-own / variance + other / variance) / 5
    assert club.likelihood(x, y).item() == pytest.approx(likelihood, rel=1e-4)
    generator = torch.Generator().manual_seed(9)
    assert club.bound(x, y, generator).item() == pytest.approx(bound, rel=1e-4, abs=1e-5)


def test_the_log_variance_stays_between_minus_one_and_one() -> None:
    club = SampledCLUB(3, 4)
    assert club.log_variance(1e3 * torch.randn(8, 3)).abs().max() <= 1
