"""Evaluating a predictions table: figures, counts, and what is refused."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agelens.ages import AgeScale
from agelens.errors import TableError, UnknownNameError, UsageError
from agelens.evaluation.all_rows import evaluate_all
from agelens.evaluation.by_group import evaluate_groups
from agelens.evaluation.metrics import METRICS
from agelens.evaluation.metrics.classification import AgeClasses
from agelens.evaluation.metrics.errors import mae
from agelens.evaluation.reports.result import plain_json
from agelens.tables import PredictionsTable

COUNT = 300
RNG = np.random.default_rng(2)
AGES = RNG.integers(1, 80, COUNT).astype(float)
ESTIMATES = np.maximum(AGES + RNG.normal(0, 5, COUNT), 0)
SCALE = AgeScale.yearly(0, 100)


def table(**changes: Any) -> PredictionsTable:
    columns = {
        "sample_id": [f"d/{row}" for row in range(COUNT)],
        "dataset": "d",
        "model": "toy",
        "age_years": AGES,
        "age_kind": "real",
        "subject": [f"s{row % 60}" for row in range(COUNT)],
        "estimate_years": ESTIMATES,
        **changes,
    }
    return PredictionsTable.from_columns(pd.DataFrame(columns))


def test_an_evaluation_has_every_metric_that_the_columns_allow() -> None:
    found = evaluate_all(table(), draws=200)
    plain = {
        name
        for name, metric in METRICS.items()
        if metric.needs[:2] == ("estimate_years", "age_years")
    }
    assert set(found.metrics) == plain - {"epsilon_error"}
    result = found.metrics["mae"]
    assert result.value == pytest.approx(mae(ESTIMATES, AGES))
    assert result.low < result.value < result.high
    assert (result.samples, result.people, result.left_out) == (COUNT, 60, 0)
    assert (found.datasets, found.models) == (("d",), ("toy",))
    assert found == evaluate_all(table(), draws=200)
    assert found.metrics["mae"].low != evaluate_all(table(), draws=200, seed=1).metrics["mae"].low


@pytest.mark.parametrize("labels", ["A", "White"])
def test_an_ethnicity_in_words_that_the_labels_do_not_have_is_not_measured(labels: str) -> None:
    told = table(ethnicity=labels, ethnicity_estimate=np.array(["A", "B"])[np.arange(COUNT) % 2])
    assert ("ethnicity_accuracy" in evaluate_all(told, draws=0).metrics) == (labels == "A")
    named = evaluate_all(told, metrics=["ethnicity_accuracy"], draws=0).metrics
    assert named["ethnicity_accuracy"].value == (0.5 if labels == "A" else 0)


def test_everything_is_measured_where_everything_is_there() -> None:
    posterior = np.exp(-np.square(np.subtract.outer(ESTIMATES, np.arange(101))) / 50)
    words = np.array(["female", "male"])
    full = table(
        age_std=3.0,
        low_years=ESTIMATES - 8,
        high_years=ESTIMATES + 8,
        interval_level=0.9,
        gender=words[RNG.integers(0, 2, COUNT)],
        gender_estimate=words[RNG.integers(0, 2, COUNT)],
        ethnicity=words[RNG.integers(0, 2, COUNT)],  # any words
        ethnicity_estimate=words[RNG.integers(0, 2, COUNT)],
    )
    full = PredictionsTable(full.frame, posterior / posterior.sum(axis=1, keepdims=True), SCALE)
    classes = AgeClasses(((0, 17), (18, 39), (40, None)))
    found = evaluate_all(full, age_classes=classes, draws=50)
    assert set(found.metrics) == set(METRICS)
    assert found.interval_level == 0.9
    text = json.dumps(plain_json(found), allow_nan=False)
    assert json.loads(text)["metrics"]["crps"]["unit"] == "years"
    for name, result in found.metrics.items():
        counted = {"false_adult": (AGES < 18).sum(), "false_minor": (AGES >= 18).sum()}
        rate, _, legal = name.partition("@")
        assert result.samples == counted.get(rate, COUNT) or legal in ("13", "16", "21"), name
        assert result.low <= result.high, name


def test_missing_estimates_and_labels_are_counted_for_each_metric() -> None:
    estimates = ESTIMATES.copy()
    estimates[:10] = np.nan
    ages = pd.Series(AGES).mask(np.arange(COUNT) >= 280)
    statuses = ["no_face"] * 4 + [None] * (COUNT - 4)
    found = evaluate_all(table(estimate_years=estimates, age_years=ages, status=statuses), draws=20)
    counts = found.counts
    assert (counts.rows, counts.estimated, counts.without_estimate) == (COUNT, 290, 10)
    assert (counts.labelled, counts.without_age) == (280, 20)
    assert counts.statuses == {"ok": 290, "no_estimate": 6, "no_face": 4}
    assert counts.age_kinds == {"real": 280}
    result = found.metrics["mae"]
    assert (result.samples, result.left_out) == (270, 30)
    assert result.value == pytest.approx(mae(ESTIMATES[10:280], AGES[10:280]))


def test_failing_throughout_is_a_finding() -> None:
    found = evaluate_all(table(estimate_years=np.nan), draws=5)
    assert math.isnan(found.metrics["mae"].value)
    assert found.metrics["mae"].left_out == found.counts.without_estimate == COUNT
    assert plain_json(found)["metrics"]["mae"]["value"] is None


def test_one_person_leaves_no_interval() -> None:
    one = table().select(np.arange(COUNT) == 7)
    result = evaluate_all(one, ["mae", "median_absolute_error"], draws=20).metrics["mae"]
    assert result.value == pytest.approx(abs(ESTIMATES[7] - AGES[7]))
    assert math.isnan(result.low)
    assert (result.samples, result.people) == (1, 1)
    same = table(subject="s")
    assert math.isnan(evaluate_all(same, ["mae"], draws=20).metrics["mae"].low)


def test_kinds_of_age_mix_only_where_asked() -> None:
    mixed = table(age_kind=["apparent", *["real"] * (COUNT - 1)])
    with pytest.raises(UsageError, match=r"--allow-mixed-age-kinds\): 299 real, 1 apparent"):
        evaluate_all(mixed)
    found = evaluate_all(mixed, mix_age_kinds=True, draws=5)
    assert found.counts.age_kinds == {"real": 299, "apparent": 1}


def test_age_classes_are_read_from_bounds_and_from_ages() -> None:
    classes = AgeClasses(((0, 17), (18, 39), (40, None)))
    bounds = table(age_years=None, age_low=18.0, age_high=39.0, estimate_years=30.0)
    assert evaluate_all(bounds, age_classes=classes, draws=0).metrics["class_accuracy"].value == 1
    ages = table(age_years=50.0, estimate_years=30.0)
    found = evaluate_all(ages, ["class_accuracy", "one_off_accuracy"], age_classes=classes, draws=0)
    assert [result.value for result in found.metrics.values()] == [0, 1]
    open_class = table(age_years=None, age_low=40.0, estimate_years=90.0)
    assert (
        evaluate_all(open_class, age_classes=classes, draws=0).metrics["class_accuracy"].value == 1
    )


@pytest.mark.parametrize(
    ("changes", "options", "error", "message"),
    [
        ({"age_years": None}, {}, TableError, "no labels to be measured by.*with_labels"),
        (
            {"age_years": None},
            {"metrics": ["mae"]},
            TableError,
            "mae needs age_years, which",
        ),
        ({}, {"metrics": ["maee"]}, UnknownNameError, "Did you mean 'mae'"),
        ({}, {"metrics": ["crps"]}, UsageError, "crps needs a distribution"),
        ({}, {"metrics": ["class_accuracy"]}, UsageError, "class_accuracy needs age_classes"),
        ({}, {"draws": -1}, UsageError, "draws are 0 or more"),
        ({}, {"level": 95}, UsageError, "a level is between 0 and 1"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    changes: dict[str, Any], options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        evaluate_all(table(**changes), **options)


def test_several_estimates_of_a_sample_are_refused() -> None:
    both = PredictionsTable.concat([table(), table(model="other")])
    with pytest.raises(UsageError, match=r"300 samples have several.*'d/0'.*models: other, toy"):
        evaluate_all(both)
    one = both.select((both.frame["model"] == "toy").to_numpy())
    assert evaluate_all(one, ["mae"], draws=0).metrics["mae"].value == pytest.approx(
        mae(ESTIMATES, AGES)
    )


def test_intervals_of_several_levels_are_refused_where_they_are_measured() -> None:
    levels = [0.8, *[0.9] * (COUNT - 1)]
    mixed = table(low_years=1.0, high_years=2.0, interval_level=levels)
    with pytest.raises(UsageError, match=r"several levels .*: 0\.8, 0\.9"):
        evaluate_all(mixed)
    assert evaluate_all(mixed, ["mae"], draws=0).interval_level is None


def test_an_empty_table_has_no_labels() -> None:
    with pytest.raises(TableError, match="no labels"):
        evaluate_all(table().select([]))


@pytest.mark.parametrize("seed", range(4))
def test_every_interval_holds_its_own_estimate(seed: int) -> None:
    """Of few people too, where all resampled maxima lie above the worst age's own MAE."""
    random = np.random.default_rng(seed)
    found = table(
        estimate_years=np.maximum(AGES + random.normal(0, 6, COUNT), 0),
        subject=[f"s{row % 40}" for row in range(COUNT)],
        gender=random.choice(["female", "male"], COUNT),
        ethnicity=random.choice(["A", "B", "C"], COUNT),
    )
    for one in evaluate_all(found, draws=100).metrics.values():
        assert one.low <= one.value <= one.high or math.isnan(one.value)
    groups = evaluate_groups(found, metrics=["mae", "mmae", "false_adult@18"], draws=100)
    known = groups.groups.dropna(subset=["low"])
    assert len(known) > 100
    assert (known["low"] <= known["value"]).all()
    assert (known["value"] <= known["high"]).all()
    for name in ("gap", "ratio", "gini"):
        some = groups.gaps.dropna(subset=[f"{name}_low"])
        assert len(some)
        assert (some[f"{name}_low"] <= some[name]).all()
        assert (some[name] <= some[f"{name}_high"]).all()


def test_a_rate_without_an_error_is_bounded_by_how_many_were_seen() -> None:
    right = table(estimate_years=AGES, subject=None)
    found = evaluate_all(right, draws=50).metrics["false_adult@18"]
    young = int((AGES < 18).sum())
    assert (found.value, found.low, found.samples, found.people) == (0, 0, young, young)
    # Clopper and Pearson, of no error: (1 - high)^n is the tail.
    assert (1 - found.high) ** young == pytest.approx(0.025)
    group = evaluate_groups(right, ["dataset"], ["false_adult@18"], draws=50).groups.iloc[0]
    assert (group["high"], group["samples"]) == (found.high, young)
    assert math.isnan(evaluate_all(right, draws=0).metrics["false_adult@18"].high)
