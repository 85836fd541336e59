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
    weights_within,
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


def _mean_ages(ages, groups, weights):
    return {g: np.average(ages[groups == g], weights=weights[groups == g]) for g in set(groups)}


def test_within_groups_all_are_drawn_with_one_mix_of_ages():
    chance = np.random.default_rng(0)
    ages = np.concatenate([chance.uniform(0, 60, 4000), chance.triangular(0, 60, 60, 4000)])
    groups = np.repeat(["flat", "old"], 4000)
    flat = uniform_weights(ages)
    before, after = (
        _mean_ages(ages, groups, w) for w in (flat, weights_within(ages, groups, flat))
    )
    assert before["old"] - before["flat"] > 8
    assert abs(after["old"] - after["flat"]) < 1.5


@given(ages=ages_lists, words=st.data(), scheme=st.sampled_from(sorted(AGE_WEIGHTS)))
def test_within_groups_weights_are_positive_with_mean_one_and_at_most_so_many_medians(
    ages, words, scheme
):
    groups = words.draw(st.lists(st.sampled_from("abc"), min_size=len(ages), max_size=len(ages)))
    weights = weights_within(ages, groups, AGE_WEIGHTS[scheme](ages), at_most=4)
    assert (weights > 0).all()
    assert np.isclose(weights.mean(), 1)
    assert weights.max() <= 4 * np.median(weights) * (1 + 1e-9)


def test_one_group_alone_keeps_its_mix():
    ages = np.random.default_rng(0).uniform(0, 80, 3000)
    weights = lds_weights(ages)
    within = weights_within(ages, ["a"] * 3000, weights)
    assert abs(np.average(ages, weights=within) - np.average(ages, weights=weights)) < 0.7


def test_within_groups_wants_one_group_an_age():
    with pytest.raises(UsageError, match="3 ages, 2 groups"):
        weights_within([1, 2, 3], ["a", "b"], np.ones(3))
