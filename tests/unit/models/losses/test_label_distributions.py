"""Label distributions against loops, dlordinal, and what a distribution must obey."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from dlordinal.soft_labelling import get_exponential_soft_labels
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from agelens.models.losses import (
    AbsoluteDistance,
    AgeDistance,
    SquaredDistance,
    distance_labels,
    gaussian_labels,
)

YEARS = torch.arange(101, dtype=torch.float64)
UNEVEN = torch.tensor([0.25, 1, 2, 5, 10, 40], dtype=torch.float64)


def gaussian(age: float, sigma: float, years: Tensor = YEARS) -> Tensor:
    one = torch.tensor([age], dtype=years.dtype)
    return gaussian_labels(one, torch.full_like(one, sigma), years)[0]


def soft(age: float, distance: AgeDistance, years: Tensor = YEARS) -> Tensor:
    return distance_labels(torch.tensor([age], dtype=years.dtype), years, distance)[0]


@pytest.mark.parametrize("years", [YEARS, UNEVEN], ids=["yearly", "uneven"])
@pytest.mark.parametrize(("age", "sigma"), [(0, 2), (30, 2), (30.5, 0.7), (40, 9), (3, 1.5)])
def test_gaussian_labels_match_plain_loops(age: float, sigma: float, years: Tensor) -> None:
    density = [math.exp(-((a - age) ** 2) / (2 * sigma**2)) for a in years.tolist()]
    expected = [d / math.fsum(density) for d in density]
    np.testing.assert_allclose(gaussian(age, sigma, years), expected, rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("years", [YEARS, UNEVEN], ids=["yearly", "uneven"])
@pytest.mark.parametrize("alpha", [0.3, 1, 2])
def test_distance_labels_match_plain_loops(alpha: float, years: Tensor) -> None:
    for power, distance in ((1, AbsoluteDistance(alpha)), (2, SquaredDistance(alpha))):
        weights = [math.exp(-alpha * abs(a - 7.5) ** power) for a in years.tolist()]
        expected = [w / math.fsum(weights) for w in weights]
        np.testing.assert_allclose(soft(7.5, distance, years), expected, rtol=1e-10, atol=1e-15)


def test_all_three_are_the_exponential_labels_of_dlordinal() -> None:
    ages, years = YEARS[:30], YEARS[:30]
    laplace = distance_labels(ages, years, AbsoluteDistance())
    squared = distance_labels(ages, years, SquaredDistance(0.5))
    normal = gaussian_labels(ages, torch.full_like(ages, 2.0), years)
    np.testing.assert_allclose(laplace, get_exponential_soft_labels(30, p=1, tau=1), atol=1e-12)
    np.testing.assert_allclose(squared, get_exponential_soft_labels(30, p=2, tau=2), atol=1e-12)
    np.testing.assert_allclose(normal, get_exponential_soft_labels(30, p=2, tau=8), atol=1e-12)


def test_the_figures_of_the_docstrings() -> None:
    assert gaussian(30, 2)[30] == pytest.approx(0.1995, abs=5e-5)
    assert soft(30, AbsoluteDistance())[30] == pytest.approx(0.462, abs=5e-4)


def test_a_batch_has_a_sigma_for_each_age() -> None:
    ages, sigmas = torch.tensor([20.0, 20, 60]), torch.tensor([1.0, 4, 2])
    rows = gaussian_labels(ages, sigmas, YEARS.float())
    for row, age, sigma in zip(rows, ages, sigmas, strict=True):
        torch.testing.assert_close(row, gaussian(age.item(), sigma.item(), YEARS.float()))


AGES = st.floats(-20, 140)


@given(AGES, st.floats(0.1, 30))
def test_gaussian_labels_are_distributions_with_their_peak_at_the_age(
    age: float, sigma: float
) -> None:
    labels = gaussian(age, sigma)
    check_distribution(labels, age)
    mirrored = gaussian(100 - age, sigma)
    torch.testing.assert_close(labels.flip(0), mirrored, rtol=1e-8, atol=1e-12)


@given(AGES, st.floats(0.05, 5), st.sampled_from([AbsoluteDistance, SquaredDistance]))
def test_distance_labels_are_distributions_with_their_peak_at_the_age(
    age: float, alpha: float, distance: type[AbsoluteDistance | SquaredDistance]
) -> None:
    check_distribution(soft(age, distance(alpha)), age)


def check_distribution(labels: Tensor, age: float) -> None:
    assert labels.sum().item() == pytest.approx(1, abs=1e-12)
    assert labels.min() >= 0
    nearest = (YEARS - age).abs()
    peak = int(labels.argmax())
    assert nearest[peak] <= nearest.min() + 1e-6
    assert (labels[: peak + 1].diff() >= -1e-12).all()
    assert (labels[peak:].diff() <= 1e-12).all()


@given(st.floats(15, 85), st.floats(0.8, 3))
def test_away_from_the_ends_a_label_has_the_moments_of_its_normal(age: float, sigma: float) -> None:
    labels = gaussian(age, sigma)
    mean = float((labels * YEARS).sum())
    deviation = math.sqrt(float((labels * (YEARS - mean) ** 2).sum()))
    assert mean == pytest.approx(age, abs=1e-3)
    assert deviation == pytest.approx(sigma, rel=1e-2)


def test_an_age_far_beyond_the_scale_is_the_end_and_not_nothing() -> None:
    assert gaussian(500.0, 2.0, YEARS.float())[-1] > 0.99
    assert soft(500.0, SquaredDistance(), YEARS.float())[-1] > 0.99


@pytest.mark.parametrize("age", [0, 2, 50, 99, 100])
def test_labels_that_are_not_normalised_are_the_density(age: float) -> None:
    # As yjl450/age-estimation-ldl-pytorch has them in dataset.py: of years, 1e-15 at least.
    root = math.sqrt(2 * math.pi) * 2
    expected = [max(math.exp(-((a - age) ** 2) / 8) / root, 1e-15) for a in range(101)]
    ages = torch.tensor([age], dtype=torch.float64)
    found = gaussian_labels(ages, torch.full_like(ages, 2.0), YEARS, normalise=False)[0]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))
    whole = found.sum().item()
    assert whole == pytest.approx(1 if age == 50 else sum(expected), abs=1e-6)
