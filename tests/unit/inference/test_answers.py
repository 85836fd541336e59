"""Answers of every kind against plain loops, and answers that are none."""

from __future__ import annotations

import itertools
import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agelens.ages import AgeScale
from agelens.inference.answers import (
    OUTPUT_KINDS,
    Link,
    OutputSpec,
    Point,
    pmf_from_survival,
    read_answers,
    survival_probabilities,
)
from agelens.records import Floats

SCALE = AgeScale.parse("0.25,1-5")
EVEN = AgeScale.yearly(10, 15)
POSTERIOR = np.array([[0.1, 0.1, 0.25, 0.35, 0.1, 0.1], [0.6, 0.1, 0.1, 0.1, 0.05, 0.05]])


def loop_older(logits: list[float], link: Link) -> list[float]:
    single = [1 / (1 + math.exp(-z)) for z in logits]
    return (
        list(itertools.accumulate(single, lambda a, b: a * b)) if link != "independent" else single
    )


ROWS = st.lists(st.floats(-20, 20), min_size=5, max_size=5)


@pytest.mark.parametrize(
    ("point", "ages"),
    [
        # Cells end at 0.625, 1.5, 2.5, 3.5, ...; one half lies 0.05/0.35 into the fourth.
        ("median", [2.5 + 0.05 / 0.35, 0.625 * 0.5 / 0.6]),
        ("argmax", [3.0, 0.25]),
        ("rank", [3.0, 0.25]),
        ("expected", [2.575, 1.2]),
    ],
)
def test_a_posterior_becomes_the_point_of_its_spec(point: Point, ages: list[float]) -> None:
    answers = read_answers(POSTERIOR, OutputSpec(SCALE, point=point))
    np.testing.assert_allclose(answers.estimate_years, ages)
    np.testing.assert_allclose(answers.median_years, [2.5 + 0.05 / 0.35, 0.625 * 0.5 / 0.6])
    np.testing.assert_allclose(answers.distribution, POSTERIOR)
    assert answers.spread_years is None


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_the_interval_of_a_posterior_is_that_of_its_scale(level: float) -> None:
    answers = read_answers(POSTERIOR, OutputSpec(SCALE))
    np.testing.assert_array_equal(answers.interval(level), SCALE.interval(POSTERIOR, level))


@given(ROWS, st.floats(0.05, 0.95))
def test_the_rank_counts_probabilities_above_the_threshold(
    logits: list[float], threshold: float
) -> None:
    for link in ("independent", "conditional"):
        spec = OutputSpec(SCALE, "ordinal-logits", "rank", link, threshold)
        older = loop_older(logits, link)
        if min(abs(p - threshold) for p in older) < 1e-9:
            return  # rounding decides
        count = sum(p > threshold for p in older)
        assert read_answers([logits], spec).estimate_years[0] == SCALE.years[count]


@given(ROWS)
def test_ordinal_logits_become_a_posterior_with_their_probabilities(logits: list[float]) -> None:
    for link in ("independent", "conditional"):
        answers = read_answers([logits], OutputSpec(EVEN, "ordinal-logits", link=link))
        assert answers.distribution is not None
        posterior = answers.distribution[0]
        assert posterior.min() >= 0
        assert posterior.sum() == pytest.approx(1, abs=1e-12)
        older = sorted(loop_older(logits, link), reverse=True)
        tail = [math.fsum(posterior[k + 1 :]) for k in range(5)]
        np.testing.assert_allclose(tail, older, atol=1e-12)
        # On an even scale the expected age is the first plus the sum of the probabilities.
        assert answers.estimate_years[0] == pytest.approx(10 + math.fsum(older), abs=1e-9)


def test_conditional_probabilities_multiply_and_need_no_sorting() -> None:
    logits = np.array([[2.0, -1.0, 3.0, 0.0, -2.0]])
    older = survival_probabilities(logits, "conditional")
    np.testing.assert_allclose(older[0], loop_older(logits[0].tolist(), "conditional"))
    assert (np.diff(older) <= 0).all()
    bounds = [1, *older[0], 0]
    np.testing.assert_allclose(
        pmf_from_survival(older)[0], [a - b for a, b in itertools.pairwise(bounds)]
    )


def test_huge_logits_are_certain() -> None:
    logits = np.array([[1e5, 1e5, -1e5, -1e5, -1e5]])
    with np.errstate(all="raise"):
        answers = read_answers(logits, OutputSpec(SCALE, "ordinal-logits", "argmax"))
    np.testing.assert_array_equal(answers.distribution, [[0, 0, 1, 0, 0, 0]])
    assert answers.estimate_years[0] == 2.0


def test_a_mean_with_a_spread_is_a_normal_distribution() -> None:
    answers = read_answers([[3.0, 0.5], [1.0, 2.0]], OutputSpec(SCALE, "mean-spread"))
    np.testing.assert_array_equal(answers.estimate_years, [3.0, 1.0])
    np.testing.assert_array_equal(answers.median_years, [3.0, 1.0])
    np.testing.assert_array_equal(answers.spread_years, [0.5, 2.0])
    assert answers.distribution is None
    low, high = answers.interval(0.9)
    assert low[0] == pytest.approx(NormalDist(3.0, 0.5).inv_cdf(0.05))
    assert high[0] == pytest.approx(NormalDist(3.0, 0.5).inv_cdf(0.95))
    assert (low[1], high[1]) == (0.0, pytest.approx(NormalDist(1.0, 2.0).inv_cdf(0.95)))


def test_an_age_beyond_the_scale_is_its_end_and_inside_its_interval() -> None:
    answers = read_answers([[-4.0, 1.0], [19.0, 1.0]], OutputSpec(SCALE, "mean-spread"))
    np.testing.assert_array_equal(answers.estimate_years, [0.25, 5.0])
    low, high = answers.interval(0.5)
    assert (low <= answers.estimate_years).all()
    assert (answers.estimate_years <= high).all()


@pytest.mark.parametrize("kind", OUTPUT_KINDS)
def test_no_rows_give_no_answers(kind: str) -> None:
    spec = OutputSpec(SCALE, kind)
    answers = read_answers(np.empty((0, spec.width)), spec)
    assert answers.estimate_years.shape == answers.median_years.shape == (0,)
    assert [bound.shape for bound in answers.interval(0.9)] == [(0,), (0,)]


@pytest.mark.parametrize(
    ("kind", "width"), [("posterior", 6), ("mean-spread", 2), ("ordinal-logits", 5)]
)
def test_other_shapes_are_refused(kind: str, width: int) -> None:
    spec = OutputSpec(SCALE, kind)
    assert spec.width == width
    for shape in ((width,), (2, width + 1), (1, 2, width)):
        with pytest.raises(ValueError, match=rf"a {kind} answer is \[N, {width}\], got"):
            read_answers(np.full(shape, 0.25), spec)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("kind", OUTPUT_KINDS)
def test_numbers_that_are_not_finite_are_refused(kind: str, bad: float) -> None:
    spec = OutputSpec(SCALE, kind)
    answer = np.full((3, spec.width), 1 / spec.width)
    answer[1, 1] = bad
    with pytest.raises(ValueError, match=r"row 1 .*NaN or infinity"):
        read_answers(answer, spec)


def test_a_negative_spread_is_refused() -> None:
    with pytest.raises(ValueError, match=r"row 1 .*spread is negative"):
        read_answers([[30.0, 0.0], [30.0, -1e-3]], OutputSpec(SCALE, "mean-spread"))


def test_logits_in_place_of_a_posterior_are_refused() -> None:
    with pytest.raises(ValueError, match="logits without softmax"):
        read_answers(np.full((1, 6), 2.0), OutputSpec(SCALE))


@pytest.mark.parametrize("level", [0, 1, -0.5, math.nan])
@pytest.mark.parametrize("kind", ["posterior", "mean-spread"])
def test_impossible_levels_are_refused(kind: str, level: float) -> None:
    answers = read_answers(
        POSTERIOR if kind == "posterior" else [[3.0, 1.0]], OutputSpec(SCALE, kind)
    )
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        answers.interval(level)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"kind": "logits"}, "kind must be one of posterior, .*, got 'logits'"),
        ({"point": "mode"}, "point must be one of expected, .*, got 'mode'"),
        ({"link": "joint"}, "link must be one of independent, .*, got 'joint'"),
        ({"kind": "mean-spread", "point": "argmax"}, "has no argmax"),
        ({"kind": "mean-spread", "point": "rank"}, "has no rank"),
        ({"kind": "posterior", "link": "conditional"}, "only ordinal logits"),
        ({"kind": "mean-spread", "link": "conditional"}, "only ordinal logits"),
        ({"threshold": 0.0}, "strictly between 0 and 1"),
        ({"threshold": 1.0}, "strictly between 0 and 1"),
        ({"threshold": math.nan}, "strictly between 0 and 1"),
    ],
)
def test_specs_that_say_nothing_are_refused(
    options: dict[str, str | float], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        OutputSpec(SCALE, **options)


def test_what_is_read_in_float16_is_still_a_posterior() -> None:
    half: Floats = np.random.default_rng(0).dirichlet(np.ones(101), size=200).astype(np.float16)
    answers = read_answers(half, OutputSpec(AgeScale.yearly(0, 100)))
    assert answers.distribution is not None
    np.testing.assert_allclose(answers.distribution.sum(axis=1), 1, atol=1e-12)
