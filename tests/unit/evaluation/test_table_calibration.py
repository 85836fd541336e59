"""Intervals for anybody's estimates, found on a table and put on later ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agelens.errors import TableError, UsageError
from agelens.evaluation import calibrate, evaluate
from agelens.evaluation.conformal import people_needed
from agelens.evaluation.table_calibration import corrected_table, read_calibration
from agelens.tables import PredictionsTable, read_predictions
from agelens.workflows.calibrate import CalibrationReport


def theirs(count: int = 1200, seed: int = 0, **columns: Any) -> pd.DataFrame:
    """A plain table; of origin B the errors are three times as large."""
    random = np.random.default_rng(seed)
    age = random.uniform(1, 90, count)
    origin = random.choice(["A", "B"], count, p=[0.75, 0.25])
    error = random.normal(0, 1, count) * np.where(origin == "A", 3, 9)
    known = {"age": age, "pred": np.maximum(age + error, 0), "race": origin}
    return pd.DataFrame(known | columns)


def held(report: CalibrationReport, table: PredictionsTable) -> pd.Series:
    """Coverage by origin of a table that the calibration has not seen."""
    frame = corrected_table(table, report.found.calibration).frame
    inside = frame["age_years"].between(frame["low_years"], frame["high_years"])
    return inside.groupby(frame["ethnicity"], observed=True).mean()


@pytest.fixture(scope="module")
def later() -> PredictionsTable:
    return read_predictions(theirs(20_000, seed=9))


def test_a_mix_is_held_on_average_and_named_groups_each(later: PredictionsTable) -> None:
    average = held(calibrate(theirs(), levels=[0.9]), later)
    assert average["B"] < 0.75
    each = held(calibrate(theirs(), levels=[0.9], hold=["race"]), later)
    assert each["B"] > 0.87
    assert each["A"] > average["A"]


def test_several_tables_are_held_each() -> None:
    easy, hard = (theirs(600, seed=seed) for seed in (1, 2))
    hard["pred"] = np.maximum(hard["age"] + 3 * (hard["pred"] - hard["age"]), 0)
    found = calibrate(easy, hard, levels=[0.9]).to_frame()
    tables = found[found["grouping"] == "table"].set_index("group")
    assert tables["samples"].tolist() == [600, 600]
    assert (tables["coverage"] > 0.87).all()
    assert (tables["coverage_low"] <= tables["coverage"]).all()


@pytest.mark.parametrize("base", ["estimate", "interval", "distribution"])
def test_whatever_a_table_has_of_its_uncertainty_is_calibrated(
    base: str, estimated_people: Any, tmp_path: Path
) -> None:
    whole = estimated_people(900, claimed=1.5)
    bare = whole.frame.assign(low_years=np.nan, high_years=np.nan, interval_level=np.nan)
    tables = {
        "distribution": whole,
        "interval": PredictionsTable(whole.frame),
        "estimate": PredictionsTable(bare),
    }
    table = tables.pop(base)
    report = calibrate(table, levels=[0.8, 0.9])
    assert report.document()["base"] == base
    beside = report.save_corrected(tmp_path / "corrected.parquet")
    assert beside == tmp_path / "corrected.calibration.json"
    corrected = read_predictions(tmp_path / "corrected.parquet")
    measured = evaluate(corrected, metrics=["coverage"], draws=0).to_frame()["value"].item()
    assert measured == pytest.approx(0.9, abs=0.03)
    assert corrected.frame["interval_level"].eq(0.9).all()
    applied = corrected_table(table, read_calibration(beside), level=0.8).frame
    assert (applied["low_years"] <= applied["estimate_years"]).all()
    assert (applied["estimate_years"] <= applied["high_years"]).all()
    with pytest.raises(UsageError, match=r"no interval of 0\.7 was calibrated; levels: 0\.8, 0\.9"):
        corrected_table(table, read_calibration(beside), level=0.7)
    for other in tables.values():
        with pytest.raises(UsageError, match="the calibration is of"):
            corrected_table(other, read_calibration(beside))
    named = PredictionsTable(table.frame.assign(model="other"))
    with pytest.raises(UsageError, match="the predictions are of other, the calibration of toy"):
        corrected_table(named, read_calibration(beside))


def test_bias_is_removed_where_that_is_asked_for(later: PredictionsTable) -> None:
    off = theirs()
    off["pred"] += 6
    estimates = later.frame["estimate_years"] + 6
    shifted = PredictionsTable(later.frame.assign(estimate_years=estimates))
    found = calibrate(off, levels=[0.9], bias=True).found.calibration
    frame = corrected_table(shifted, found).frame
    assert abs((frame["estimate_years"] - frame["age_years"]).mean()) < 1
    kept = corrected_table(shifted, calibrate(off, levels=[0.9]).found.calibration).frame
    assert (kept["estimate_years"] - kept["age_years"]).mean() > 5


def test_too_few_people_are_refused_with_the_number_needed() -> None:
    few = theirs(44)
    needed = people_needed(0.9)
    with pytest.raises(UsageError, match=rf"90 % needs {needed} people.*has 44 all.*--anyway"):
        calibrate(few, levels=[0.9])
    report = calibrate(few, levels=[0.9], anyway=True)
    assert report.document()["samples"] == 44
    many = theirs(200, race=["A"] * 190 + ["B"] * 10)
    with pytest.raises(UsageError, match=r"has 10 ethnicity B"):
        calibrate(many, levels=[0.9], hold=["race"])
    left = calibrate(many, levels=[0.9], hold=["race"], anyway=True).document()["held"]
    assert left == [{"level": 0.9, "groups": ["ethnicity A"]}]


def test_what_cannot_be_calibrated_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="estimates of a, b need a calibration each"):
        calibrate(theirs(model=["a", "b"] * 600))
    with pytest.raises(UsageError, match="of models"):
        calibrate(theirs(), score="absolute")
    with pytest.raises(UsageError, match="nothing to calibrate on"):
        calibrate()
    report = calibrate(theirs(), levels=[0.9])
    with pytest.raises(UsageError, match="and no model"):
        report.apply()
    for content in ("[]", "{}", json.dumps({"format": "agelens-calibration-1", "base": "magic"})):
        (tmp_path / "bad.json").write_text(content)
        with pytest.raises(TableError, match=r"bad\.json"):
            read_calibration(tmp_path / "bad.json")


def test_so_many_people_are_needed_that_luck_costs_no_five_points() -> None:
    random = np.random.default_rng(0)
    for level in (0.5, 0.8, 0.9):
        count = people_needed(level)
        rank = int(np.ceil((count + 1) * level - 1e-9))
        # Coverage of intervals that end at that order statistic of uniform scores.
        coverage = np.sort(random.uniform(size=(4000, count)), axis=1)[:, rank - 1]
        assert (coverage < level - 0.05).mean() == pytest.approx(0.05, abs=0.02)
