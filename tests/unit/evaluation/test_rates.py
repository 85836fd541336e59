import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from agelens.errors import UsageError
from agelens.evaluation.rates import rate, samples_needed


@pytest.mark.parametrize(("errors", "samples"), [(0, 20), (1, 20), (7, 31), (31, 31)])
def test_the_interval_is_the_exact_binomial_one(errors: int, samples: int) -> None:
    wrong = np.arange(samples) < errors
    found = rate(wrong, level=0.9)
    exact = binomtest(errors, samples).proportion_ci(0.9, method="exact")
    assert found.share == errors / samples
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=1e-9)


def test_no_sample_says_nothing() -> None:
    nothing = rate([])
    assert math.isnan(nothing.share)
    assert (nothing.low, nothing.high, nothing.samples) == (0.0, 1.0, 0)


def test_people_of_one_photo_each_change_nothing() -> None:
    wrong = [True, False, False, True, False]
    assert rate(wrong, ["a", "b", "c", "d", "e"]) == rate(wrong)


def test_copies_of_every_photo_promise_no_more() -> None:
    wrong = np.random.default_rng(0).random(200) < 0.1
    once = rate(wrong)
    tenfold = rate(np.repeat(wrong, 10), np.repeat(np.arange(200), 10))
    assert tenfold.samples == 2000
    assert tenfold.effective == pytest.approx(200, rel=0.01)
    assert (tenfold.low, tenfold.high) == pytest.approx((once.low, once.high), abs=2e-3)


def test_without_errors_a_person_counts_once() -> None:
    found = rate(np.zeros(300, dtype=bool), np.arange(300) // 10)
    assert found.effective == 30
    assert found.high == pytest.approx(rate(np.zeros(30, dtype=bool)).high)


@given(
    errors=st.lists(st.booleans(), min_size=1, max_size=40),
    people=st.lists(st.integers(0, 5), min_size=40, max_size=40),
)
def test_the_interval_holds_the_share(errors: list[bool], people: list[int]) -> None:
    found = rate(errors, people[: len(errors)])
    assert 0 <= found.low <= found.share + 1e-12
    assert found.share - 1e-12 <= found.high <= 1
    assert len(set(people[: len(errors)])) <= found.effective <= len(errors)


@pytest.mark.parametrize(("limit", "needed"), [(0.01, 299), (0.05, 59), (0.001, 2995)])
def test_how_many_samples_a_promise_needs(limit: float, needed: int) -> None:
    assert samples_needed(limit) == needed
    assert rate(np.zeros(needed, dtype=bool), level=0.9).high <= limit
    assert rate(np.zeros(needed - 1, dtype=bool), level=0.9).high > limit


def test_bad_numbers_are_refused() -> None:
    with pytest.raises(UsageError, match="level"):
        rate([True], level=1)
    with pytest.raises(UsageError, match="2 samples, but 1 clusters"):
        rate([True, False], ["a"])
    with pytest.raises(UsageError, match="strictly between 0 and 1"):
        samples_needed(0)
