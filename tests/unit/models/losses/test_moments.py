"""Mean and variance of posteriors."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agelens.models.losses import posterior_mean, posterior_variance

YEARS = torch.tensor([0.25, 1, 2, 5, 10, 40], dtype=torch.float64)


@given(st.lists(st.floats(0, 1), min_size=6, max_size=6).filter(lambda row: sum(row) > 1e-3))
def test_match_plain_loops(row: list[float]) -> None:
    mass = [p / math.fsum(row) for p in row]
    mean = math.fsum(p * a for p, a in zip(mass, YEARS.tolist(), strict=True))
    variance = math.fsum(p * (a - mean) ** 2 for p, a in zip(mass, YEARS.tolist(), strict=True))
    posterior = torch.tensor([mass], dtype=torch.float64)
    assert posterior_mean(posterior, YEARS).item() == pytest.approx(mean, rel=1e-12)
    assert posterior_variance(posterior, YEARS).item() == pytest.approx(variance, abs=1e-9)
    assert YEARS[0] - 1e-9 <= mean <= YEARS[-1] + 1e-9


def test_gradients_match_finite_differences() -> None:
    z = torch.randn(3, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    z.requires_grad_()
    for moment in (posterior_mean, posterior_variance):
        assert torch.autograd.gradcheck(lambda z, m=moment: m(z.softmax(dim=1), YEARS), (z,))


def test_one_hot_has_its_age_and_no_variance() -> None:
    posterior = torch.eye(6, dtype=torch.float64)
    torch.testing.assert_close(posterior_mean(posterior, YEARS), YEARS)
    np.testing.assert_array_equal(posterior_variance(posterior, YEARS), 0)


def test_autocast_leaves_float32_alone() -> None:
    years = torch.arange(101.0)
    posterior = torch.randn(8, 101, generator=torch.Generator().manual_seed(0)).softmax(dim=1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mean = posterior_mean(posterior, years)
        variance = posterior_variance(posterior, years)
    torch.testing.assert_close(mean, posterior_mean(posterior, years), rtol=0, atol=0)
    torch.testing.assert_close(variance, posterior_variance(posterior, years), rtol=0, atol=0)
