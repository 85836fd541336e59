from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agelens.data.training_input.age_weights import (
    AGE_WEIGHTS,
    class_balanced_weights,
    lds_weights,
    uniform_weights,
)
from agelens.errors import UnknownNameError, UsageError

ages_lists = st.lists(st.floats(0, 100, allow_subnormal=False), min_size=1, max_size=60)


@pytest.mark.parametrize("scheme", AGE_WEIGHTS)
@given(ages=ages_lists)
def test_positive_with_mean_one_and_alike_for_equal_years(scheme, ages):
    weights = AGE_WEIGHTS[scheme](ages)
    assert weights.shape == (len(ages),)
    assert (weights > 0).all()
    assert np.isclose(weights.mean(), 1)
    by_year = {}
    for age, weight in zip(ages, weights, strict=True):
        assert by_year.setdefault(math.floor(age), weight) == weight


def test_uniform():
    assert uniform_weights([3, 3, 90]).tolist() == [1, 1, 1]


@given(ages=ages_lists)
def test_class_balanced_gives_every_year_the_same_share(ages):
    weights = class_balanced_weights(ages)
    years = np.floor(ages)
    shares = [weights[years == year].sum() for year in np.unique(years)]
    assert np.allclose(shares, shares[0])


@pytest.mark.parametrize("reweight", ["inverse", "sqrt_inverse"])
@given(ages=ages_lists, sigma=st.floats(0.5, 5), radius=st.integers(1, 4))
def test_lds_by_plain_loops(reweight, ages, sigma, radius):
    kernel = {d: math.exp(-(d**2) / (2 * sigma**2)) for d in range(-radius, radius + 1)}
    counts = {}
    for age in ages:
        counts[math.floor(age)] = counts.get(math.floor(age), 0) + 1
    raw = []
    for age in ages:
        density = 0.0
        for distance, height in kernel.items():
            count = counts.get(math.floor(age) + distance, 0)
            density += height * (math.sqrt(count) if reweight == "sqrt_inverse" else count)
        raw.append(1 / density)
    expected = np.array(raw) / np.mean(raw)
    weights = lds_weights(ages, sigma_years=sigma, radius_years=radius, reweight=reweight)
    assert np.allclose(weights, expected)


def test_number_of_the_docstring():
    weights = lds_weights([20, 20, 20, 20, 21], reweight="inverse")
    assert round(weights[4] / weights[0], 2) == 1.08


def test_wrong_calls():
    with pytest.raises(UsageError, match="must all be known"):
        lds_weights([20, float("nan")])
    with pytest.raises(UsageError, match="0 or above"):
        class_balanced_weights([-1])
    with pytest.raises(UsageError, match="sigma and radius"):
        lds_weights([20], sigma_years=0)
    with pytest.raises(UnknownNameError, match="sqrt_inverse"):
        lds_weights([20], reweight="sqrt")
