"""IMDB-WIKI's ages against the plain calendar loop of the custom."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agelens.data.datasets.imdb_wiki import mid_year_ages


def by_calendar(dob: float, photo_taken: int) -> int:
    birth = date.fromordinal(max(int(dob) - 366, 1))
    return photo_taken - birth.year - (0 if birth.month < 7 else 1)


@given(st.floats(0, 3_652_424), st.integers(1900, 2100))
def test_any_day_agrees_with_the_loop(dob: float, photo_taken: int) -> None:
    found = mid_year_ages(np.array([dob]), np.array([float(photo_taken)]))
    assert found.tolist() == [by_calendar(dob, photo_taken)]


@pytest.mark.parametrize(
    ("day", "year", "age"), [((1981, 5, 5), 2009, 28), ((1948, 7, 3), 2008, 59)]
)
def test_the_examples(day: tuple[int, int, int], year: int, age: int) -> None:
    dob = date(*day).toordinal() + 366
    assert mid_year_ages(np.array([float(dob)]), np.array([float(year)])).tolist() == [age]


@pytest.mark.parametrize("dob", [np.nan, np.inf, 9e6])
def test_days_outside_the_calendar_are_unknown(dob: float) -> None:
    assert np.isnan(mid_year_ages(np.array([dob]), np.array([2000.0]))).all()
    assert np.isnan(mid_year_ages(np.array([7e5]), np.array([np.nan]))).all()
