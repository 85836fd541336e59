"""Each statistic against SciPy or a plain loop."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from agelens.evaluation.comparison.compare_tables import holm, sign_flip_test
from agelens.evaluation.comparison.ranks import block_ranks, drawn_ranks

RNG = np.random.default_rng(3)


def test_few_people_are_counted_whole_as_by_scipy() -> None:
    differences = RNG.normal(0.5, 1, (9, 2))
    found = sign_flip_test(differences, np.arange(9))
    for column, p_value in zip(differences.T, found, strict=True):
        reference = stats.permutation_test(
            (column,), np.mean, permutation_type="samples", n_resamples=np.inf
        )
        assert p_value == pytest.approx(reference.pvalue)


def test_all_pictures_of_a_person_change_sign_together() -> None:
    differences = RNG.normal(0.3, 1, 12)
    people = np.array([0, 0, 0, 1, 2, 2, 3, 3, 3, 3, 4, 5])
    as_large = [
        abs(sum(sign[who] * d for who, d in zip(people, differences, strict=True)))
        >= abs(differences.sum()) - 1e-9
        for sign in product((1, -1), repeat=6)
    ]
    found = sign_flip_test(differences[:, np.newaxis], people)
    assert found[0] == pytest.approx(np.mean(as_large))


def test_many_people_are_drawn_and_the_answer_is_near_a_t_test() -> None:
    differences = RNG.normal(0.12, 1, (400, 1))
    people = np.arange(400)
    found = sign_flip_test(differences, people, flips=4000, seed=1)
    assert found[0] == pytest.approx(stats.ttest_1samp(differences[:, 0], 0).pvalue, abs=0.02)
    assert found[0] == sign_flip_test(differences, people, flips=4000, seed=1)[0]
    assert sign_flip_test(differences + 9, people, flips=999)[0] == pytest.approx(1 / 1000)


def test_one_person_or_no_difference_proves_nothing() -> None:
    assert sign_flip_test(np.ones((5, 1)), np.zeros(5, dtype=int))[0] == 1
    assert sign_flip_test(np.zeros((40, 1)), np.arange(40), flips=50)[0] == 1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_its_definition(p_values: list[float]) -> None:
    found = holm(p_values)
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    most = 0.0
    for step, place in enumerate(order):
        most = max(most, (len(p_values) - step) * p_values[place])
        assert found[place] == pytest.approx(min(1.0, most))


def test_ranks_over_blocks_are_those_of_demsar() -> None:
    errors = RNG.normal(0, 1, (12, 4)) + np.array([0, 0.1, 9.0, 9.1])
    found = block_ranks(errors, list("abcd"), [f"b{n}" for n in range(12)])
    ranks = np.array([[1 + sum(other < one for other in row) for one in row] for row in errors])
    assert list(found.mean.values()) == pytest.approx(ranks.mean(axis=0))
    assert list(found.spread.values()) == pytest.approx(ranks.std(axis=0, ddof=1))
    # Friedman's statistic by its formula.
    chi = 12 * 12 / (4 * 5) * (np.square(ranks.mean(axis=0)).sum() - 4 * 25 / 4)
    assert found.p_value == pytest.approx(stats.chi2.sf(chi, 3))
    # Demsar's table 5(a): q of four models at 0.05 is 2.569.
    assert found.critical_distance == pytest.approx(2.569 * np.sqrt(20 / 72), abs=1e-3)
    assert set(map(frozenset, found.alike)) == {frozenset("ab"), frozenset("cd")}


def test_ties_share_ranks_and_too_few_have_no_test() -> None:
    tied = block_ranks(np.ones((3, 3)), list("abc"), list("xyz"))
    assert set(tied.mean.values()) == {2.0}
    assert tied.p_value == 1
    assert tied.alike == (("a", "b", "c"),)
    two = block_ranks(np.array([[1, 2.0], [1, 3]]), ["a", "b"], ["x", "y"])
    assert (two.mean, two.p_value, two.critical_distance) == ({"a": 1, "b": 2}, None, None)
    one = block_ranks(np.array([[1, 2.0, 3]]), list("abc"), ["x"])
    assert one.p_value is None
    assert np.isnan(one.spread["a"])


def test_ranks_of_draws_share_the_win_of_a_tie() -> None:
    draws = {"a": np.array([1.0, 1, 3, 1]), "b": np.array([2.0, 1, 2, 2])}
    found = drawn_ranks(draws, 0.95)
    assert found["a"].mean == pytest.approx(np.mean([1, 1.5, 2, 1]))
    assert found["a"].best_share == pytest.approx((1 + 0.5 + 0 + 1) / 4)
    assert found["a"].best_share + found["b"].best_share == pytest.approx(1)
    assert found["a"].low == pytest.approx(1)
