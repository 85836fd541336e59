"""Averages of answers are those of the distributions behind them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from agelens.ages import AgeScale
from agelens.inference.answers import OutputSpec, read_answers, survival_probabilities
from agelens.inference.network import answer_of, averageable, logits
from agelens.records import Floats

SCALE = AgeScale.yearly(0, 9)
POSTERIOR = OutputSpec(SCALE)
SPREAD = OutputSpec(SCALE, "mean-spread")
APART = OutputSpec(SCALE, "ordinal-logits", point="rank")
CHAINED = OutputSpec(SCALE, "ordinal-logits", link="conditional")
ORDINAL = pytest.mark.parametrize("spec", [APART, CHAINED], ids=["independent", "conditional"])

LOGITS = hnp.arrays(np.float64, (3, 9), elements=st.floats(-8, 8))


@given(hnp.arrays(np.float64, (3, 10), elements=st.floats(1e-3, 1)))
def test_a_posterior_is_its_own_form(rows: Floats) -> None:
    rows = rows / rows.sum(axis=1, keepdims=True)
    np.testing.assert_array_equal(answer_of(averageable(rows, POSTERIOR), POSTERIOR), rows)


@given(hnp.arrays(np.float64, (3, 2), elements=st.floats(0.5, 90)))
def test_an_age_and_its_spread_come_back(rows: Floats) -> None:
    back = answer_of(averageable(rows, SPREAD), SPREAD)
    np.testing.assert_allclose(back, rows, rtol=1e-7, atol=1e-5)


@ORDINAL
@given(rows=LOGITS)
def test_logits_come_back(spec: OutputSpec, rows: Floats) -> None:
    back = answer_of(averageable(rows, spec), spec)
    np.testing.assert_allclose(
        survival_probabilities(back, spec.link), survival_probabilities(rows, spec.link), atol=1e-9
    )
    np.testing.assert_allclose(back[:, 0], rows[:, 0], atol=1e-6)


@ORDINAL
@given(one=LOGITS, other=LOGITS)
def test_ordinal_answers_average_as_probabilities(
    spec: OutputSpec, one: Floats, other: Floats
) -> None:
    mean = answer_of((averageable(one, spec) + averageable(other, spec)) / 2, spec)
    expected = (
        survival_probabilities(one, spec.link) + survival_probabilities(other, spec.link)
    ) / 2
    np.testing.assert_allclose(survival_probabilities(mean, spec.link), expected, atol=1e-9)
    # The sum of "older than" probabilities is the expected age on a yearly scale.
    ages = read_answers(mean, OutputSpec(SCALE, "ordinal-logits", link=spec.link)).estimate_years
    np.testing.assert_allclose(ages, expected.sum(axis=1), atol=1e-8)


def test_the_mean_logit_would_be_another_answer() -> None:
    sure, unsure = np.full((1, 9), 8.0), np.full((1, 9), -1.0)
    mean = answer_of((averageable(sure, APART) + averageable(unsure, APART)) / 2, APART)
    assert mean[0, 0] == pytest.approx(float(np.log(0.6343 / 0.3657)), abs=1e-3)
    assert mean[0, 0] < (8.0 - 1.0) / 2


def test_two_ages_that_disagree_are_a_mixture() -> None:
    one, other = np.array([[20.0, 3.0]]), np.array([[30.0, 4.0]])
    mean = answer_of((averageable(one, SPREAD) + averageable(other, SPREAD)) / 2, SPREAD)
    rng = np.random.default_rng(1)
    drawn = np.concatenate([rng.normal(20, 3, 200_000), rng.normal(30, 4, 200_000)])
    np.testing.assert_allclose(mean[0], [drawn.mean(), drawn.std()], atol=0.03)
    assert mean[0, 1] == pytest.approx(np.sqrt((9 + 16) / 2 + 25))


@ORDINAL
def test_answers_sure_beyond_measure_stay_finite(spec: OutputSpec) -> None:
    extreme = np.array([[1e4] * 5 + [-1e4] * 4, [-1e4] * 9, [1e4] * 9])
    back = answer_of(averageable(extreme, spec), spec)
    assert np.isfinite(back).all()
    np.testing.assert_allclose(
        read_answers(back, spec).distribution, read_answers(extreme, spec).distribution, atol=1e-9
    )


@given(st.floats(1e-6, 1 - 1e-6))
def test_a_logit_undoes_the_logistic_function(probability: float) -> None:
    assert 1 / (1 + np.exp(-logits(np.array(probability)))) == pytest.approx(probability)
