"""NIST's quantities against plain loops, and what is bad or missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from agelens.errors import TableError, UsageError
from agelens.evaluation.nist_errors import Resampling
from agelens.evaluation.nist_quantities import (
    NistQuantities,
    YearRange,
    nist_quantities,
    photo_time,
)
from agelens.tables import PredictionsTable

People = Callable[..., PredictionsTable]
FAST = Resampling(draws=30)


def people(count: int = 900, seed: int = 0, **columns: Any) -> PredictionsTable:
    """Ages 8 to 39, one in ten without an estimate, two photos of each person."""
    random = np.random.default_rng(seed)
    ages = random.integers(8, 40, count).astype(float)
    failed = random.random(count) < 0.1
    known: dict[str, Any] = {
        "sample_id": [f"s{n}" for n in range(count)],
        "dataset": "people",
        "path": [f"{n}.png" for n in range(count)],
        "age_years": ages,
        "age_kind": "real",
        "gender": random.choice(["female", "male"], count),
        "ethnicity": random.choice(["A", "B"], count),
        "estimate_years": np.where(failed, np.nan, ages + random.normal(0, 4, count)),
        "status": np.where(failed, "no_face", "ok"),
        "inter_eye_px": random.uniform(10, 200, count),
        "yaw_proxy": random.normal(0, 0.2, count),
        "milliseconds": random.gamma(4, 20, count),
        "model": "toy",
    }
    return PredictionsTable.from_columns(known | columns)


@pytest.fixture(scope="module")
def table() -> PredictionsTable:
    return people()


@pytest.fixture(scope="module")
def found(table: PredictionsTable) -> NistQuantities:
    return nist_quantities(table, resampling=FAST)


def rate_of(found: NistQuantities, quantity: str, at: str, group: str) -> pd.Series:
    rates = found.rates
    (row,) = rates[
        (rates["quantity"] == quantity) & (rates["at"] == at) & (rates["group"] == group)
    ].to_dict("records")
    return pd.Series(row)


def test_headline_is_the_mean_of_26_cells(table: PredictionsTable, found: NistQuantities) -> None:
    errors: dict[tuple[str, int], list[float]] = {}
    for row in table.frame.itertuples():
        if 18 <= row.age_years <= 30 and not np.isnan(row.estimate_years):
            cell = (str(row.gender), int(row.age_years))
            errors.setdefault(cell, []).append(abs(row.estimate_years - row.age_years))
    assert len(errors) == 26
    expected = np.mean([np.mean(cell) for cell in errors.values()])
    assert found.headline.value == pytest.approx(expected)
    assert found.headline.low < expected < found.headline.high
    assert (found.headline.cells, found.headline.samples) == (26, sum(map(len, errors.values())))
    assert found.headline.few_cells == sum(len(cell) < 30 for cell in errors.values())


@pytest.mark.parametrize("challenge", [18.0, 25.0])
def test_challenge_rates_are_plain_counts(
    challenge: float, table: PredictionsTable, found: NistQuantities
) -> None:
    passed = minors = asked = adults = turned_away = 0
    for row in table.frame.itertuples():
        if row.age_years < 18:
            if row.status == "ok":
                minors += 1
                passed += row.estimate_years >= challenge
        else:
            turned_away += row.status != "ok" or row.estimate_years < challenge
            if row.status == "ok":
                adults += 1
                asked += row.estimate_years < challenge
    at = f"{challenge:g}"
    positive = rate_of(found, "challenge_false_positive", at, "everybody")
    assert (positive["count"], positive["samples"]) == (passed, minors)
    exact = binomtest(passed, minors).proportion_ci(method="exact")
    assert (positive["low"], positive["high"]) == pytest.approx((exact.low, exact.high))
    negative = rate_of(found, "challenge_false_negative", at, "everybody")
    assert negative["share"] == pytest.approx(asked / adults)
    everybody = (table.frame["age_years"] >= 18).sum()
    assert negative["with_failures"] == pytest.approx(turned_away / everybody)
    assert negative["failures"] == everybody - adults


def test_single_years_add_up_to_those_near(found: NistQuantities) -> None:
    years = [rate_of(found, "challenge_false_positive", "25", str(year)) for year in range(13, 18)]
    near = rate_of(found, "challenge_false_positive", "25", "13-17")
    assert sum(row["count"] for row in years) == near["count"]
    assert sum(row["samples"] for row in years) == near["samples"]
    genders = [
        rate_of(found, "challenge_false_positive", "25", f"{gender} 13-17")
        for gender in ("female", "male")
    ]
    assert sum(row["count"] for row in genders) == near["count"]


def test_sixteen_lasts_until_the_seventeenth_birthday() -> None:
    ages = [12.9, 13.0, 16.99, 17.0, 40.0]
    estimates = [13.0, 16.9, 17.0, 16.99, 40.0]
    table = people(5, age_years=ages, estimate_years=estimates, status="ok", yaw_proxy=0.1)
    found = nist_quantities(table, resampling=Resampling(draws=0))
    true = rate_of(found, "range_true_positive", "13-16", "everybody")
    assert (true["count"], true["samples"]) == (1, 2)
    false = rate_of(found, "range_false_positive", "13-16", "everybody")
    assert (false["count"], false["samples"]) == (2, 3)


def test_failures_are_of_all_rows_and_named(table: PredictionsTable, found: NistQuantities) -> None:
    failed = int((table.frame["status"] != "ok").sum())
    row = rate_of(found, "failure_to_process", "", "everybody")
    assert (row["count"], row["samples"], found.failed) == (failed, 900, failed)
    status = found.rates[found.rates["of"] == "status"]
    assert status["group"].tolist() == ["no_face"]
    assert rate_of(found, "failure_to_process", "", "no_face")["count"] == failed


def test_an_estimate_beside_another_status_counts_as_a_failure(table: PredictionsTable) -> None:
    frame = table.frame.assign(status="too_blurred", estimate_years=table.frame["age_years"])
    found = nist_quantities(PredictionsTable(frame), resampling=FAST)
    assert found.failed == 900
    assert found.headline.cells == 0
    assert rate_of(found, "challenge_false_positive", "25", "everybody")["samples"] == 0
    mae = found.errors[found.errors["metric"] == "mae"]
    assert mae["value"].isna().all()
    assert mae["few"].all()


def test_errors_by_size_and_pose_equal_pandas(
    table: PredictionsTable, found: NistQuantities
) -> None:
    frame = table.frame.dropna(subset=["estimate_years"])
    error = (frame["estimate_years"] - frame["age_years"]).abs()
    yaw = np.degrees(np.arctan(frame["yaw_proxy"].astype(float).abs() / 0.6))
    for name, values, edges in (
        ("inter_eye_px", frame["inter_eye_px"], [0, 16, 32, 64, 128, np.inf]),
        ("yaw_degrees", yaw, [0, 10, 20, 30, 45, np.inf]),
    ):
        expected = error.groupby(pd.cut(values, edges, right=False), observed=True).mean()
        rows = found.errors[(found.errors["grouping"] == name) & (found.errors["metric"] == "mae")]
        np.testing.assert_allclose(rows["value"], expected)


def test_photos_of_one_person_promise_no_more_than_one() -> None:
    frame = people(300).frame
    again = frame.assign(sample_id=frame["sample_id"] + "again")
    twice = pd.concat([frame, again], ignore_index=True)
    same = twice.assign(subject=[f"p{n % 300}" for n in range(600)])
    narrow, wide = (
        nist_quantities(PredictionsTable(one), resampling=FAST) for one in (twice, same)
    )
    assert (narrow.counts.people, wide.counts.people) == (600, 300)
    rates = [rate_of(one, "challenge_false_positive", "18", "everybody") for one in (narrow, wide)]
    assert rates[0]["share"] == rates[1]["share"]
    assert rates[0]["high"] < rates[1]["high"]
    assert rates[0]["low"] > rates[1]["low"]


def test_time_is_of_each_photo_once(table: PredictionsTable) -> None:
    frame = table.frame.assign(path=[f"{n // 2}.png" for n in range(900)])
    ok = frame[frame["status"] == "ok"].drop_duplicates("path")
    time = photo_time(frame)
    assert time.photos == len(ok)
    assert time.median == pytest.approx(np.median(ok["milliseconds"]))
    assert time.ninetieth == pytest.approx(np.percentile(ok["milliseconds"], 90))


def test_what_the_table_lacks_is_named() -> None:
    bare = people(40).frame.drop(columns=["yaw_proxy", "milliseconds", "inter_eye_px"])
    found = nist_quantities(
        PredictionsTable(bare.assign(gender=None, ethnicity=None)), resampling=FAST
    )
    absent = {"gender", "ethnicity", "region", "inter_eye_px", "yaw_degrees", "milliseconds"}
    assert set(found.absent) == absent
    assert np.isnan(found.headline.value)
    assert found.time.photos == 0


def test_one_sample() -> None:
    table = people(1, age_years=[17.0], estimate_years=[26.0], status="ok")
    found = nist_quantities(table, resampling=FAST)
    row = rate_of(found, "challenge_false_positive", "25", "17")
    assert (row["count"], row["samples"], row["few"]) == (1, 1, True)
    assert row["low"] < 0.1
    assert np.isnan(found.errors["low"]).all()


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ({"challenges": (17,)}, "at least the legal age of 18"),
        ({"challenges": (float("nan"),)}, "at least the legal age of 18"),
        ({"challenges": ()}, "at least one"),
        ({"challenges": (25, 25)}, "each of them once"),
        ({"legal_years": 0}, "a legal age is above 0"),
        ({"years": YearRange(16, 13)}, "ends no earlier"),
        ({"resampling": Resampling(level=95)}, "level is between 0 and 1"),
    ],
)
def test_numbers_out_of_range(
    asked: dict[str, Any], complaint: str, table: PredictionsTable
) -> None:
    with pytest.raises(UsageError, match=complaint):
        nist_quantities(table, **asked)


def test_tables_that_cannot_be_measured(table: PredictionsTable) -> None:
    frame = table.frame
    with pytest.raises(TableError, match="none of the 900"):
        nist_quantities(PredictionsTable(frame.assign(age_years=np.nan, age_kind=None)))
    kinds = np.where(np.arange(900) < 5, "apparent", "real")
    with pytest.raises(UsageError, match="several kinds"):
        nist_quantities(PredictionsTable(frame.assign(age_kind=kinds)))
    mixed = PredictionsTable(frame.assign(age_kind=kinds))
    assert nist_quantities(mixed, mix_age_kinds=True, resampling=FAST).counts.rows == 900
    twice = PredictionsTable(
        frame.assign(sample_id=[f"s{n // 2}" for n in range(900)], model=["a", "b"] * 450)
    )
    with pytest.raises(UsageError, match="several estimates"):
        nist_quantities(twice)


def test_the_score_curve_is_a_count_at_every_threshold(
    table: PredictionsTable, found: NistQuantities
) -> None:
    frame = table.frame[table.frame["status"] == "ok"]
    age, estimate = frame["age_years"].to_numpy(), frame["estimate_years"].to_numpy()
    curve = found.score_curve
    assert curve["threshold_years"].tolist()[:3] == [0, 0.5, 1]
    assert curve["threshold_years"].iloc[-1] >= estimate.max()
    for _, row in curve.iloc[::7].iterrows():
        at = row["threshold_years"]
        assert row["false_positive"] == pytest.approx((estimate[age < 18] >= at).mean())
        assert row["false_negative"] == pytest.approx((estimate[age >= 18] < at).mean())
        assert row["false_positive_low"] <= row["false_positive"] <= row["false_positive_high"]
    assert (np.diff(curve["false_positive"]) <= 0).all()
    assert (np.diff(curve["false_negative"]) >= 0).all()


def test_a_persons_frames_are_compared_with_their_own_mean(table: PredictionsTable) -> None:
    people = [f"p{number // 3}" for number in range(900)]
    frames = PredictionsTable(table.frame.assign(subject=people, frame=np.arange(900) % 3))
    spread = nist_quantities(frames, resampling=FAST, video_frames=True).frames
    assert spread is not None
    each = []
    for number in range(300):
        own = table.frame["estimate_years"].iloc[3 * number : 3 * number + 3].dropna().to_numpy()
        if len(own) > 1:
            each.append(np.abs(own - own.mean()).mean())
    assert spread.people == len(each)
    assert spread.deviation_years == pytest.approx(np.mean(each))
    assert spread.ninetieth == pytest.approx(np.quantile(each, 0.9))
    assert spread.low < spread.deviation_years < spread.high
    failed = int((table.frame["status"] != "ok").sum())
    assert (spread.without_estimate.errors, spread.frames) == (failed, 900)
    with pytest.raises(TableError, match=r"no row says subject or frame.*--columns subject="):
        nist_quantities(table, resampling=FAST, video_frames=True)
    alone = PredictionsTable(table.frame.assign(subject=[f"p{n}" for n in range(900)], frame=0))
    with pytest.raises(TableError, match="nobody has two frames"):
        nist_quantities(alone, resampling=FAST, video_frames=True)


def test_a_region_is_a_group_of_errors_and_of_rates(table: PredictionsTable) -> None:
    assert "region" in nist_quantities(table, resampling=FAST).absent
    regions = np.where(np.arange(900) % 2, "east", "west")
    found = nist_quantities(PredictionsTable(table.frame.assign(region=regions)), resampling=FAST)
    assert "region" not in found.absent
    errors = found.errors[
        (found.errors["grouping"] == "region") & (found.errors["metric"] == "mae")
    ]
    assert errors["group"].tolist() == ["east", "west"]
    rates = found.rates[found.rates["of"] == "region"]
    assert set(rates["quantity"]) >= {
        *("challenge_false_positive", "challenge_false_negative", "failure_to_process"),
    }
