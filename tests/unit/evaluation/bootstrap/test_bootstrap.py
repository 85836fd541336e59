"""Draws of people: their distribution, their repeatability, and the intervals they leave."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from agelens.evaluation.bootstrap.grouped_metrics import GroupedMetrics, bootstrap
from agelens.evaluation.bootstrap.groupings import (
    Grouping,
    drawn_weights,
    percentile_interval,
    person_codes,
)
from agelens.evaluation.metrics import METRICS
from agelens.tables import PredictionsTable

RNG = np.random.default_rng(3)
AGES = RNG.integers(0, 80, 2000).astype(float)
COLUMNS = {"age_years": AGES, "estimate_years": AGES + RNG.normal(0, 6, 2000)}
MAE = {"mae": METRICS["mae"]}


def draws_of(columns: dict[str, np.ndarray], people: np.ndarray, draws: int = 1000) -> np.ndarray:
    measured = GroupedMetrics(MAE, columns, people, [Grouping.everybody(len(people))])
    return bootstrap(measured, draws=draws, seed=5)["everybody"]["mae"][0]


def test_as_many_people_are_drawn_as_there_are() -> None:
    for people in (1, 7, 2**16, 2**16 + 1, 150_000):
        weights = np.concatenate(list(drawn_weights(people, 3, seed=0, at_a_time=2)))
        assert weights.shape == (3, people)
        np.testing.assert_array_equal(weights.sum(axis=1, dtype=np.int64), people)


def test_everybody_is_as_likely_to_be_drawn() -> None:
    # Across the border of two blocks: mean 1 and, as in a multinomial, variance 1 - 1/n.
    weights = np.concatenate(list(drawn_weights(70_000, 400, seed=1, at_a_time=100)))
    for part in (weights[:, :65_536], weights[:, 65_536:]):
        assert part.mean() == pytest.approx(1, abs=4 / np.sqrt(400 * part.shape[1]))
        assert part.var() == pytest.approx(1, abs=0.01)
    # Totals of a part vary as a multinomial's: drawing in blocks must not fix them.
    share = 65_536 / 70_000
    spread = weights[:, :65_536].sum(axis=1, dtype=np.int64).std()
    assert spread == pytest.approx(np.sqrt(70_000 * share * (1 - share)), rel=0.15)


def test_the_seed_decides_and_the_size_of_parts_does_not() -> None:
    one, many = (
        np.concatenate(list(drawn_weights(500, 20, seed=4, at_a_time=size))) for size in (20, 3)
    )
    np.testing.assert_array_equal(one, many)
    assert (one != np.concatenate(list(drawn_weights(500, 20, seed=5, at_a_time=20)))).any()


def test_the_interval_of_a_mean_is_that_of_theory() -> None:
    draws = draws_of(COLUMNS, np.arange(2000))
    errors = np.abs(COLUMNS["estimate_years"] - AGES)
    reach = 1.96 * errors.std() / np.sqrt(2000)
    low, high = percentile_interval(draws, 0.95)
    assert low == pytest.approx(errors.mean() - reach, abs=0.1 * reach)
    assert high == pytest.approx(errors.mean() + reach, abs=0.1 * reach)


def test_photos_of_one_person_are_no_further_evidence() -> None:
    fourfold = {name: np.repeat(values, 4) for name, values in COLUMNS.items()}
    people = np.repeat(np.arange(2000), 4)
    single = draws_of(COLUMNS, np.arange(2000), 50)
    np.testing.assert_allclose(draws_of(fourfold, people, 50), single)
    as_if_apart = draws_of(fourfold, np.arange(8000), 200).std()
    assert as_if_apart == pytest.approx(draws_of(fourfold, people, 200).std() / 2, rel=0.2)


def test_draws_of_two_models_on_the_same_people_are_paired() -> None:
    better = COLUMNS | {"estimate_years": AGES + (COLUMNS["estimate_years"] - AGES) / 2}
    people = np.arange(2000)
    np.testing.assert_allclose(draws_of(COLUMNS, people, 9), 2 * draws_of(better, people, 9))


def test_an_interval_leaves_undefined_draws_out() -> None:
    draws = np.array([np.nan, 1, 2, 3, np.nan])
    assert percentile_interval(draws, 0.5) == (1.5, 2.5)
    assert np.isnan(percentile_interval(np.full(3, np.nan), 0.5)).all()
    with pytest.raises(ValueError, match="strictly between 0 and 1, got 95"):
        percentile_interval(draws, 95)
    measured = GroupedMetrics(MAE, COLUMNS, np.arange(2000), [])
    with pytest.raises(ValueError, match="at least 1 draw, got 0"):
        bootstrap(measured, draws=0)


def test_people_are_told_apart_by_dataset_and_known_by_subject() -> None:
    frame = PredictionsTable.from_columns(
        pd.DataFrame(
            {
                "sample_id": ["a", "b", "c", "d", "e", "e"],
                "dataset": ["x", "x", "y", "y", "y", "y"],
                "subject": ["1", "1", "1", None, None, None],
                "model": ["m", "m", "m", "m", "m", "n"],
                "estimate_years": 3.0,
            }
        )
    ).frame
    assert person_codes(frame).tolist() == [0, 0, 1, 2, 3, 3]
    frame["dataset"] = pd.Categorical([None] * 6)
    assert person_codes(frame).tolist() == [0, 0, 0, 1, 2, 2]
