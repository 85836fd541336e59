"""The move to another mix of ages, which a benchmark makes."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.label_shift import estimated_prior, moved_to_prior
from numpy.typing import NDArray

from agelens.errors import UsageError

YEARS = np.arange(40)


def gaussian(mean: float, sd: float) -> NDArray[np.float64]:
    weights = np.exp(-0.5 * ((YEARS - mean) / sd) ** 2)
    return weights / weights.sum()


def crowd(prior: NDArray[np.float64], count: int, seed: int) -> tuple[NDArray, NDArray]:
    """Ages drawn from `prior`, and what of each is seen: the age with noise of 3 years."""
    rng = np.random.default_rng(seed)
    ages = rng.choice(YEARS, count, p=prior)
    likelihood = np.exp(-0.5 * ((YEARS[None] - (ages + rng.normal(0, 3, count))[:, None]) / 3) ** 2)
    return ages, likelihood


def posterior(likelihood: NDArray, prior: NDArray) -> NDArray:
    joint = likelihood * prior
    return joint / joint.sum(axis=1, keepdims=True)


def test_moving_a_prior_is_bayes_rule() -> None:
    old, new = gaussian(28, 6), gaussian(10, 6)
    _, seen = crowd(new, 50, seed=0)
    assert moved_to_prior(posterior(seen, old), old, new) == pytest.approx(
        posterior(seen, new), abs=1e-6
    )


def test_moving_there_and_back_changes_nothing() -> None:
    old, new = gaussian(20, 8), gaussian(15, 9)
    rows = posterior(crowd(old, 30, seed=1)[1], old)
    assert moved_to_prior(moved_to_prior(rows, old, new), new, old) == pytest.approx(rows)


def test_the_new_mix_is_found_without_labels() -> None:
    old, new = gaussian(28, 6), gaussian(10, 5)
    ages, seen = crowd(new, 2000, seed=2)
    rows = posterior(seen, old)
    found = estimated_prior(rows, old)
    assert found.sum() == pytest.approx(1)
    assert found @ YEARS == pytest.approx(ages.mean(), abs=0.7)
    before = np.abs(rows @ YEARS - ages).mean()
    after = np.abs(moved_to_prior(rows, old, found) @ YEARS - ages).mean()
    assert after < 0.8 * before


def test_a_crowd_of_the_same_mix_stays_where_it_is() -> None:
    old = gaussian(20, 7)
    _, seen = crowd(old, 3000, seed=3)
    assert estimated_prior(posterior(seen, old), old) @ YEARS == pytest.approx(old @ YEARS, abs=0.4)


@pytest.mark.parametrize("bad", [[1.0, -1.0], [0.0, 0.0], [[1.0, 1.0]], [1.0, float("nan")]])
def test_what_is_no_prior_is_refused(bad: object) -> None:
    with pytest.raises(UsageError, match="a prior is"):
        moved_to_prior([[0.5, 0.5]], [1, 1], bad)  # type: ignore[arg-type]


def test_other_ages_are_refused() -> None:
    with pytest.raises(UsageError, match="as many ages"):
        moved_to_prior([[0.5, 0.5]], [1, 1, 1], [1, 1, 1])
