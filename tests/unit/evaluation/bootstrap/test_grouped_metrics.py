"""Metrics under weights against the same metrics of rows that are repeated as often."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agelens.evaluation.bootstrap import grouped_metrics
from agelens.evaluation.bootstrap.grouped_metrics import GroupedMetrics, bootstrap
from agelens.evaluation.bootstrap.groupings import Grouping
from agelens.evaluation.metrics import METRICS

WORDS = np.array(["female", "male", None], dtype=object)


def sample(rng: np.random.Generator, count: int, people: int) -> dict[str, np.ndarray]:
    """Columns of every metric, each with missing values."""
    age = rng.integers(0, 80, count).astype(float)
    columns: dict[str, np.ndarray] = {
        "age_years": age,
        "estimate_years": np.round(age + rng.normal(0, 8, count), 1),
        "age_std": rng.uniform(0, 4, count),
        "low_years": age - rng.uniform(0, 9, count),
        "high_years": age + rng.uniform(-3, 9, count),
        "estimate_class": rng.integers(0, 5, count).astype(float),
        "age_class": rng.integers(0, 5, count).astype(float),
        "crps_years": rng.uniform(0, 9, count),
        "pit": rng.uniform(0, 1, count),
        "subject": rng.integers(0, people, count).astype(float),
    }
    for values in columns.values():
        values[rng.random(count) < 0.05] = np.nan
    columns["gender"] = WORDS[rng.integers(0, 3, count)]
    columns["gender_estimate"] = WORDS[rng.integers(0, 3, count)]
    for name in ("ethnicity", "ethnicity_estimate"):
        columns[name] = WORDS[rng.integers(0, 3, count)]
    return columns


def repeated(columns: dict[str, np.ndarray], metric: Any, times: np.ndarray) -> float:
    chosen = [columns[name] for name in metric.needs]
    complete = ~np.any([pd.isna(column) for column in chosen], axis=0)
    rows = np.repeat(np.flatnonzero(complete), times[complete])
    return float(metric(*(c[rows].astype(chosen[0].dtype) for c in chosen)))


@given(
    seed=st.integers(0, 999),
    count=st.integers(1, 60),
    people=st.integers(1, 40),
    narrow=st.booleans(),
)
@settings(max_examples=40)
def test_weights_are_repetitions(seed: int, count: int, people: int, narrow: bool) -> None:
    rng = np.random.default_rng(seed)
    columns = sample(rng, count, people)
    who = np.unique(rng.integers(0, people, count), return_inverse=True)[1]
    groups = Grouping("g", ("a", "b", "c"), rng.integers(-1, 3, count))
    metrics = {name: metric for name, metric in METRICS.items() if name != "subject_mae"}
    with pytest.MonkeyPatch.context() as patch:
        if narrow:  # windows so small that draws fall outside
            patch.setattr(grouped_metrics, "_DEVIATIONS", 0)
            patch.setattr(grouped_metrics, "_LEAST_REACH", 1)
        measured = GroupedMetrics(metrics, columns, who, [Grouping.everybody(count), groups])
    weights = rng.poisson(1, (3, measured.people_count)).astype(np.uint16)
    found = measured.under(weights)
    for draw, row in enumerate(weights):
        for name, metric in metrics.items():
            expected = repeated(columns, metric, row[who])
            assert found["everybody"][name][0, draw] == pytest.approx(expected, nan_ok=True)
            for group in range(3):
                times = np.where(groups.codes == group, row[who], 0)
                expected = repeated(columns, metric, times)
                assert found["g"][name][group, draw] == pytest.approx(expected, nan_ok=True)


def test_a_person_drawn_twice_is_two_people() -> None:
    columns = {
        "estimate_years": np.array([20.0, 20, 20, 38, 44]),
        "age_years": np.array([20.0, 20, 20, 30, 40]),
        "subject": np.array([0.0, 0, 0, 1, 2]),
    }
    everybody = Grouping.everybody(5)
    who = columns["subject"].astype(int)
    measured = GroupedMetrics({"subject_mae": METRICS["subject_mae"]}, columns, who, [everybody])
    found = measured.under(np.array([[1, 1, 1], [0, 2, 1], [3, 0, 1], [0, 0, 0]], dtype=np.uint16))
    np.testing.assert_allclose(
        found["everybody"]["subject_mae"][0], [4, (8 + 8 + 4) / 3, 1, np.nan]
    )


def test_values_are_those_of_the_metrics_themselves() -> None:
    rng = np.random.default_rng(1)
    columns = sample(rng, 500, 60)
    groups = Grouping("g", ("a", "b"), rng.integers(0, 2, 500))
    values = GroupedMetrics(METRICS, columns, np.arange(500), [groups]).values()
    for name, metric in METRICS.items():
        for group in range(2):
            times = (groups.codes == group).astype(int)
            expected = repeated(columns, metric, times)
            assert values["g"][name][group] == pytest.approx(expected), name


def test_nobody_and_empty_groups_are_not_a_number() -> None:
    columns = sample(np.random.default_rng(0), 0, 1)
    none = GroupedMetrics(METRICS, columns, np.arange(0), [Grouping("g", ("a",), np.arange(0))])
    for draws in bootstrap(none, draws=3)["g"].values():
        assert np.isnan(draws).all()
        assert draws.shape == (1, 3)
    columns = sample(np.random.default_rng(0), 9, 9)
    empty = Grouping("g", ("a", "b"), np.zeros(9, dtype=np.int64))
    for name, values in (
        GroupedMetrics(METRICS, columns, np.arange(9), [empty]).values()["g"].items()
    ):
        assert np.isnan(values[1]), name


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match=r"2 people's rows stand beside others: age_years 3"):
        GroupedMetrics({}, {"age_years": np.zeros(3)}, np.arange(2), [])
    with pytest.raises(ValueError, match="beside others: everybody 3"):
        GroupedMetrics({}, {}, np.arange(2), [Grouping.everybody(3)])
    with pytest.raises(ValueError, match=r"g: codes are .* from -1 to 0"):
        Grouping("g", ("a",), np.array([1]))
