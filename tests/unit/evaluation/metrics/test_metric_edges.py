"""What metrics say of none, of one, of missing values, and of the rims of their definitions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agelens.ages import AgeScale
from agelens.errors import UnknownNameError
from agelens.evaluation.metrics import METRICS, named_metric
from agelens.evaluation.metrics.classification import AgeClasses, gender_accuracy
from agelens.evaluation.metrics.errors import (
    aar,
    amae,
    bias,
    ca_at,
    cs_at,
    epsilon_error,
    mae,
    median_absolute_error,
    mmae,
    rmse,
    subject_mae,
)
from agelens.evaluation.metrics.probabilistic import crps_of_each, pit_of_each

ONE: dict[str, Any] = {
    "estimate_years": 33.0,
    "age_years": 30.0,
    "age_std": 3.0,
    "estimate_class": 2,
    "age_class": 3,
    "low_years": 29.0,
    "high_years": 37.0,
    "gender": "female",
    "gender_estimate": "female",
    "ethnicity": "Indian",
    "ethnicity_estimate": "Asian",
    "subject": "a",
    "crps_years": 2.5,
    "pit": 0.2,
}
OF_ONE = {
    **{"mae": 3, "rmse": 3, "median_absolute_error": 3, "bias": 3, "amae": 3, "mmae": 3},
    **{"subject_mae": 3, "cs@3": 1, "cs@5": 1, "cs@7": 1, "ce@10": 0, "ce@20": 0},
    **{"ca_below@3": 0, "ca_below@5": 1, "ca_below@7": 1},
    **{"ca_at_most@3": 1, "ca_at_most@5": 1, "ca_at_most@7": 1},
    **{"epsilon_error": 1 - math.exp(-0.5), "aar": 4 + 3, "gender_accuracy": 1},
    "ethnicity_accuracy": 0,
    **{"class_accuracy": 0, "one_off_accuracy": 1, "coverage": 1, "mean_width": 8},
    **{f"false_adult@{legal}": math.nan for legal in (13, 16, 18, 21)},  # nobody is so young
    **{f"false_minor@{legal}": 0 for legal in (13, 16, 18, 21)},
    **{"crps": 2.5, "calibration_error": (0.3 + 6.8) / 19},
}

years = st.floats(0, 120)
pairs = st.lists(st.tuples(years, years), min_size=1, max_size=30)


@pytest.mark.parametrize("name", METRICS)
def test_one_sample_is_defined(name: str) -> None:
    columns = [np.array([ONE[column]]) for column in METRICS[name].needs]
    assert METRICS[name](*columns) == pytest.approx(OF_ONE[name], abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("name", METRICS)
def test_no_sample_is_not_a_number(name: str) -> None:
    columns = [np.array([ONE[column]])[:0] for column in METRICS[name].needs]
    assert math.isnan(METRICS[name](*columns))


@pytest.mark.parametrize("name", METRICS)
def test_a_missing_value_is_refused_and_never_left_out(name: str) -> None:
    needs = METRICS[name].needs
    for missing in set(needs) - {"subject"}:
        columns = [np.array([ONE[column]] * 3) for column in needs]
        values = columns[needs.index(missing)].astype(object)
        values[1] = np.nan
        columns[needs.index(missing)] = values
        with pytest.raises(ValueError, match=missing):
            METRICS[name](*columns)


@pytest.mark.parametrize("name", [name for name, one in METRICS.items() if len(one.needs) > 1])
def test_columns_of_different_length_are_refused(name: str) -> None:
    needs = METRICS[name].needs
    columns = [np.array([ONE[column]] * (2 + (column == needs[0]))) for column in needs]
    with pytest.raises(ValueError, match=rf"one N, got .*{needs[0]} \[3\]"):
        METRICS[name](*columns)


def test_an_unknown_name_lists_the_valid_ones() -> None:
    assert named_metric("mae") is METRICS["mae"]
    with pytest.raises(UnknownNameError, match=r"'maee'.*Did you mean 'mae'"):
        named_metric("maee")


def test_ca_needs_a_known_convention() -> None:
    with pytest.raises(ValueError, match="below, at_most, got '<'"):
        ca_at([1], [2], 3, convention="<")  # type: ignore[arg-type]


def test_the_limit_holds_where_all_voted_alike() -> None:
    assert epsilon_error([30, 30.5], [30, 30], [0, 0]) == 0.5
    assert epsilon_error([30], [30], [0]) == 0
    assert epsilon_error([31], [30], [1e-200]) == 1
    with pytest.raises(ValueError, match="age_std is negative, first at 1"):
        epsilon_error([3, 3], [3, 3], [1, -1])


def test_balanced_errors_count_every_age_once() -> None:
    estimate, age = [20, 20, 20, 33], [20, 20, 20, 30]
    assert mae(estimate, age) == 0.75
    assert amae(estimate, age) == 1.5
    assert mmae(estimate, age) == 3
    assert amae([24, 26], [24.5, 25.4]) == pytest.approx(0.55)  # both are 25
    assert amae([24, 26], [24.4, 25.4]) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="age_years is negative, first at 0"):
        amae([1], [-1])


def test_regularity_is_lost_where_one_group_is_worse() -> None:
    even = aar([6, 46], [5, 45])
    assert even == pytest.approx(6 + 3)
    assert aar([5, 47], [5, 45]) == pytest.approx(6 + 2)
    assert aar([0, 90], [10, 71]) == 0


def test_a_person_of_many_photos_counts_once() -> None:
    estimate, age, subject = [20, 20, 20, 38], [20, 20, 20, 30], ["a", "a", "a", "b"]
    assert subject_mae(estimate, age, subject) == 4
    assert mae(estimate, age) == 2


def test_gender_is_words() -> None:
    with pytest.raises(ValueError, match="gender is female or male, got 1 at 0"):
        gender_accuracy(["female"], [1])


ADIENCE = AgeClasses(((0, 2), (4, 6), (8, 13), (15, 20), (25, 32), (38, 43), (48, 53), (60, None)))


def test_ages_find_their_class_and_gaps_the_nearer_one() -> None:
    found = ADIENCE.index_of_age([0, 2.9, 3.4, 3.5, 6.9, 14.4, 14.5, 20.9, 23, 59, 99, np.nan])
    np.testing.assert_array_equal(found, [0, 0, 0, 1, 1, 2, 3, 3, 4, 7, 7, np.nan])


def test_bounds_find_their_class() -> None:
    found = ADIENCE.index_of_bounds([0, 8, 60, 60, 3], [2, 13, np.nan, 70, 4])
    np.testing.assert_array_equal(found, [0, 2, 7, np.nan, np.nan])


@pytest.mark.parametrize(
    "bounds", [((0, 2),), ((0, None), (3, 4)), ((0, 4), (4, 8)), ((5, 3), (6, 7))]
)
def test_classes_that_are_none_are_refused(bounds: tuple[tuple[float, float | None], ...]) -> None:
    with pytest.raises(ValueError, match="ascend and do not overlap"):
        AgeClasses(bounds)


def test_crps_reaches_beyond_the_scale() -> None:
    scale = AgeScale((20, 30))
    found = crps_of_each([[1, 0], [0, 1], [0.5, 0.5]], [15, 37, 20], scale)
    np.testing.assert_allclose(found, [5, 7, 2.5])
    with pytest.raises(ValueError, match="1 distributions stand beside 2 ages"):
        crps_of_each([[1, 0]], [15, 37], scale)
    with pytest.raises(ValueError, match="1 distributions stand beside 2 ages"):
        pit_of_each([[1, 0]], [15, 37], scale)


@given(pairs)
def test_errors_are_ordered_as_they_must_be(values: list[tuple[float, float]]) -> None:
    estimate, age = np.array(values).T
    slack = 1e-9
    assert abs(bias(estimate, age)) <= mae(estimate, age) + slack
    assert mae(estimate, age) <= rmse(estimate, age) + slack
    assert amae(estimate, age) <= mmae(estimate, age) + slack
    largest = np.abs(estimate - age).max()
    assert mmae(estimate, age) <= largest + slack
    assert median_absolute_error(estimate, age) <= largest
    assert ca_at(estimate, age, 5, convention="below") <= cs_at(estimate, age, 5)
    assert 0 <= aar(estimate, age) <= 10


@given(pairs, st.randoms(use_true_random=False))
def test_the_order_of_samples_does_not_matter(
    values: list[tuple[float, float]], random: Any
) -> None:
    shuffled = list(values)
    random.shuffle(shuffled)
    for name in ("mae", "rmse", "median_absolute_error", "amae", "aar", "cs@5"):
        first = METRICS[name](*np.array(values).T)
        assert METRICS[name](*np.array(shuffled).T) == pytest.approx(first, abs=1e-9)


@given(st.lists(years, min_size=1, max_size=9), st.integers(0, 10))
def test_all_mass_on_one_age_makes_crps_the_absolute_error(ages: list[float], place: int) -> None:
    scale = AgeScale.yearly(0, 10)
    rows = np.zeros((len(ages), 11))
    rows[:, place] = 1
    np.testing.assert_allclose(
        crps_of_each(rows, ages, scale), np.abs(np.array(ages) - place), atol=1e-9
    )
