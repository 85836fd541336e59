import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agelens.recognition.age_groups import IEFP_CUTOFFS, age_group_names, age_groups


def test_the_published_groups_by_whole_year():
    ranges = [(0, 12), (13, 18), (19, 25), (26, 35), (36, 45), (46, 55), (56, 65), (66, 120)]
    expected = [group for group, (low, high) in enumerate(ranges) for _ in range(low, high + 1)]
    assert age_groups(np.arange(121)).tolist() == expected


@given(st.lists(st.floats(0, 150), max_size=20))
def test_a_group_is_the_number_of_cutoffs_exceeded(ages):
    assert age_groups(ages).tolist() == [sum(age > cut for cut in IEFP_CUTOFFS) for age in ages]


def test_an_unknown_age_is_in_no_group_and_shapes_are_kept():
    found = age_groups(np.array([[math.nan, 30.0]]))
    assert found.tolist() == [[-1, 3]]
    assert found.dtype == np.int64


def test_names_say_whole_years():
    names = age_group_names()
    assert names == ("0-12", "13-18", "19-25", "26-35", "36-45", "46-55", "56-65", "66+")
    assert age_group_names((18,)) == ("0-18", "19+")


@pytest.mark.parametrize("ages", [[-1], [math.inf]])
def test_an_impossible_age_is_refused(ages):
    with pytest.raises(ValueError, match="from 0"):
        age_groups(ages)


@pytest.mark.parametrize("cutoffs", [(), (18, 12), (12, 12), (math.nan,), (-1, 5)])
def test_cutoffs_that_are_none_are_refused(cutoffs):
    with pytest.raises(ValueError, match="cut-offs"):
        age_groups([1], cutoffs)
