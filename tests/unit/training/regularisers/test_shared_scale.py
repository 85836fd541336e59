"""Mass carried from one age scale to another."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agelens.ages import AgeScale
from agelens.training.regularisers.distillation import rebin_matrix

scales = (
    st.lists(st.integers(0, 400), min_size=2, max_size=20, unique=True)
    .map(sorted)
    .map(lambda quarters: AgeScale(tuple(quarter / 4 for quarter in quarters)))
)


@given(scales, scales)
def test_no_mass_is_lost_or_made(source: AgeScale, target: AgeScale) -> None:
    weights = rebin_matrix(source, target)
    assert weights.shape == (len(source), len(target))
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1)


@given(scales)
def test_a_scale_is_carried_to_itself_unchanged(scale: AgeScale) -> None:
    other = AgeScale(tuple(scale.years))
    np.testing.assert_array_equal(rebin_matrix(scale, other), np.eye(len(scale)))


def test_ages_beyond_the_target_go_to_its_ends() -> None:
    weights = rebin_matrix(AgeScale.yearly(0, 100), AgeScale.yearly(10, 20))
    assert weights[50, -1] == 1
    assert weights[0, 0] == 1
    assert weights[15, 5] == 1


def test_a_wide_class_is_spread_over_the_narrow_ones_in_it() -> None:
    decades = AgeScale((5.0, 15.0, 25.0))  # cells 0-10, 10-20, 20-30
    weights = rebin_matrix(decades, AgeScale.yearly(0, 40))
    # From 10 to 20: half of the cell of 10 (9.5 to 10.5), all of 11 to 19, half of that of 20.
    np.testing.assert_allclose(weights[1, 10:21], [0.05, *[0.1] * 9, 0.05])
    assert weights[1].sum() == pytest.approx(1)
