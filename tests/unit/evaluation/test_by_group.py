"""Metrics by group, against fairlearn on the samples and against plain loops."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import MetricFrame

from agelens.errors import TableError, UnknownNameError, UsageError
from agelens.evaluation.all_rows import evaluate_all
from agelens.evaluation.by_group import GroupEvaluation, evaluate_groups
from agelens.evaluation.metrics.errors import bias, mae
from agelens.tables import PredictionsTable

COUNT = 1200


def crowd(seed: int = 0, count: int = COUNT, **columns: Any) -> PredictionsTable:
    rng = np.random.default_rng(seed)
    ages = rng.integers(0, 90, count).astype(float)
    gender = rng.choice(["female", "male"], count)
    shift = np.where(gender == "female", 2.0, -1.0)
    estimates = np.maximum(ages + shift + rng.normal(0, 4, count), 0)
    known = {
        "sample_id": [str(n) for n in range(count)],
        "dataset": "d",
        "age_years": ages,
        "age_kind": "real",
        "gender": gender,
        "ethnicity": rng.choice(["A", "B", "C"], count, p=[0.7, 0.29, 0.01]),
        "estimate_years": estimates,
        "low_years": np.maximum(estimates - 6, 0),
        "high_years": estimates + 6,
        "interval_level": 0.9,
        "yaw_proxy": rng.normal(0, 0.15, count),
    }
    return PredictionsTable.from_columns(known | columns)


def row(found: pd.DataFrame, **chosen: str) -> pd.Series:
    matching = found
    for column, value in chosen.items():
        matching = matching[matching[column] == value]
    assert len(matching) == 1
    return matching.iloc[0]


@pytest.fixture(scope="module")
def table() -> PredictionsTable:
    return crowd()


@pytest.fixture(scope="module")
def found(table: PredictionsTable) -> GroupEvaluation:
    return evaluate_groups(table, ["gender", "ethnicity", "age_band"], draws=100)


@pytest.mark.parametrize("by", [["gender"], ["ethnicity"], ["gender", "ethnicity"]])
def test_values_and_gaps_equal_fairlearns_on_the_samples(by: list[str]) -> None:
    table = crowd(1, ethnicity=np.random.default_rng(1).choice(["A", "B"], COUNT))
    frame = table.frame
    theirs = MetricFrame(
        metrics={
            "mae": lambda y_true, y_pred: mae(y_pred, y_true),
            "bias": lambda y_true, y_pred: bias(y_pred, y_true),
        },
        y_true=frame["age_years"],
        y_pred=frame["estimate_years"],
        sensitive_features=frame[by].astype(str),
    )
    ours = evaluate_groups(table, by, ["mae", "bias"], draws=0)
    grouping = " x ".join(by)
    for group, values in theirs.by_group.iterrows():
        name = " x ".join(group) if isinstance(group, tuple) else group
        for metric in ("mae", "bias"):
            got = row(ours.groups, grouping=grouping, group=name, metric=metric)
            assert got["value"] == pytest.approx(values[metric])
    gap = row(ours.gaps, grouping=grouping, metric="mae")
    assert gap["gap"] == pytest.approx(theirs.difference()["mae"])
    assert gap["ratio"] == pytest.approx(theirs.ratio()["mae"])
    assert np.isnan(row(ours.gaps, grouping=grouping, metric="bias")["ratio"])


def test_gini_and_extremes_equal_plain_loops(found: GroupEvaluation) -> None:
    gap = row(found.gaps, grouping="age_band", metric="mae")
    bands = found.groups[
        (found.groups["grouping"] == "age_band") & (found.groups["metric"] == "mae")
    ]
    values = bands["value"].to_numpy()
    pairs = sum(abs(one - other) for one in values for other in values)
    assert gap["gini"] == pytest.approx(pairs / (2 * len(values) ** 2 * values.mean()))
    assert gap["highest_group"] == bands["group"].iloc[int(values.argmax())]
    assert gap["lowest_group"] == bands["group"].iloc[int(values.argmin())]
    assert gap["compared"] == len(values) == 8


def test_few_samples_are_marked_and_not_compared(found: GroupEvaluation) -> None:
    rare = row(found.groups, grouping="ethnicity", group="C", metric="mae")
    assert 0 < rare["samples"] < 30
    assert rare["few"]
    gap = row(found.gaps, grouping="ethnicity", metric="mae")
    assert (gap["compared"], gap["few"]) == (2, 1)
    others = [row(found.groups, grouping="ethnicity", group=g, metric="mae")["value"] for g in "AB"]
    assert gap["gap"] == pytest.approx(abs(others[0] - others[1]))


def test_intervals_hold_their_values_and_everybodys_is_evaluates(table: PredictionsTable) -> None:
    found = evaluate_groups(table, ["gender", "dataset"], ["mae"], draws=200)
    everybody = evaluate_all(table, ["mae"], draws=200).metrics["mae"]
    one = row(found.groups, grouping="dataset", group="d", metric="mae")
    assert (one["value"], one["low"], one["high"]) == pytest.approx(
        (everybody.value, everybody.low, everybody.high)
    )
    gap = row(found.gaps, grouping="gender", metric="mae")
    assert gap["gap_low"] <= gap["gap"] <= gap["gap_high"]


def test_the_bias_gap_that_was_put_in_is_found(table: PredictionsTable) -> None:
    gap = row(evaluate_groups(table, ["gender"], draws=300).gaps, metric="bias")
    assert (gap["lowest_group"], gap["highest_group"]) == ("male", "female")
    assert gap["gap"] == pytest.approx(3, abs=gap["gap_high"] - gap["gap_low"])


def test_people_are_drawn_whole() -> None:
    """Ten photos of each person: the interval must be that of 120 people, not of 1,200 photos."""
    subject = [str(n // 10) for n in range(COUNT)]
    errors = np.repeat(np.random.default_rng(2).normal(0, 5, COUNT // 10), 10)
    ages = np.full(COUNT, 40.0)
    shared = {"age_years": ages, "estimate_years": ages + errors, "gender": "male"}
    shared |= {"low_years": None, "high_years": None, "interval_level": None}
    together = crowd(3, **shared, subject=subject)
    apart = crowd(3, **shared)
    wide, narrow = (
        row(evaluate_groups(one, ["gender"], ["mae"], draws=300).groups, metric="mae")
        for one in (together, apart)
    )
    assert (wide["people"], narrow["people"]) == (120, COUNT)
    assert wide["high"] - wide["low"] > 2 * (narrow["high"] - narrow["low"])


def test_one_sample_and_one_group() -> None:
    found = evaluate_groups(crowd(4, count=1), draws=20)
    mean = row(found.groups, grouping="dataset", metric="mae")
    assert (mean["samples"], mean["few"]) == (1, True)
    assert np.isnan(mean["low"])
    assert np.isnan(row(found.gaps, grouping="dataset", metric="mae")["gap"])


def test_rows_without_estimate_or_group_are_counted_not_guessed() -> None:
    gender = np.array(["female", "male", None] * 100, dtype=object)
    estimates = np.where(np.arange(300) < 60, np.nan, 30.0)
    table = crowd(5, count=300, gender=gender, estimate_years=estimates, low_years=None,
                  high_years=None, interval_level=None)  # fmt: skip
    found = evaluate_groups(table, ["gender"], draws=0)
    assert found.ungrouped == {"gender": 100}
    assert row(found.groups, group="female", metric="mae")["samples"] == 80


def test_crossings_are_of_two_columns_and_can_be_left_out(found: GroupEvaluation) -> None:
    names = set(found.groups["grouping"])
    assert names == {
        *("gender", "ethnicity", "age_band"),
        *("gender x ethnicity", "gender x age_band", "ethnicity x age_band"),
    }
    plain = evaluate_groups(crowd(), ["gender", "ethnicity"], draws=0, cross=False)
    assert set(plain.groups["grouping"]) == {"gender", "ethnicity"}


def test_many_cells_are_resampled_apart_with_the_same_draws(
    found: GroupEvaluation, table: PredictionsTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agelens.evaluation.groups.MOST_CELLS", 8)
    apart = evaluate_groups(table, ["gender", "ethnicity", "age_band"], draws=100)
    pd.testing.assert_frame_equal(apart.groups, found.groups)
    pd.testing.assert_frame_equal(apart.gaps, found.gaps)


def test_bins_have_their_edges_and_turned_heads_count_alike() -> None:
    yaw = np.array([-0.5, -0.1, 0.05, 0.2, 0.4] * 8)
    ages = np.array([0, 9.99, 10, 69, 70] * 8)
    table = crowd(6, count=40, yaw_proxy=yaw, age_years=ages)
    found = evaluate_groups(table, ["yaw_proxy", "age_band"], ["mae"], draws=0, cross=False)
    counts = {(one.grouping, one.group): one.samples for one in found.groups.itertuples()}
    assert counts == {
        ("yaw_proxy", "0-0.1"): 8,
        ("yaw_proxy", "0.1-0.2"): 8,
        ("yaw_proxy", "0.2-0.4"): 8,
        ("yaw_proxy", "0.4+"): 16,
        ("age_band", "0-9"): 16,
        ("age_band", "10-19"): 8,
        ("age_band", "60-69"): 8,
        ("age_band", "70+"): 8,
    }


def test_bad_input_is_refused(table: PredictionsTable) -> None:
    with pytest.raises(UnknownNameError, match="group column 'gendr'"):
        evaluate_groups(table, ["gendr"], draws=0)
    with pytest.raises(TableError, match="no row says sharpness"):
        evaluate_groups(table, ["sharpness"], draws=0)
    with pytest.raises(UsageError, match="1,200 words"):
        evaluate_groups(table, ["sample_id"], draws=0)
    with pytest.raises(TableError, match="needs gender_estimate"):
        evaluate_groups(table, ["gender"], ["gender_accuracy"], draws=0)
    with pytest.raises(UsageError, match="draws"):
        evaluate_groups(table, ["gender"], draws=-1)
    mixed = crowd(age_kind=np.array(["real", "real", "apparent"] * (COUNT // 3)))
    with pytest.raises(UsageError, match="800 real, 400 apparent"):
        evaluate_groups(mixed, ["gender"], draws=0)
    assert len(evaluate_groups(mixed, ["gender"], draws=0, mix_age_kinds=True).groups)
    twice = PredictionsTable.concat([crowd(model="a"), crowd(model="b")])
    with pytest.raises(UsageError, match="several estimates"):
        evaluate_groups(twice, ["gender"], draws=0)
