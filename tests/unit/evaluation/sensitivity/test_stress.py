"""Shifts, errors and mean corruption error against plain loops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agelens.errors import TableError, UnknownNameError, UsageError
from agelens.evaluation.bootstrap.groupings import drawn_weights, percentile_interval, person_codes
from agelens.evaluation.sensitivity.conditions import (
    CLEAN,
    Condition,
    check_off_chips,
    conditions,
)
from agelens.evaluation.sensitivity.estimates import LABELS, StressEstimates
from agelens.evaluation.sensitivity.stress import MEAN, StressResult, stress
from agelens.records import Floats
from agelens.tables import SampleTable

CONDITIONS = conditions(["blur", "noise", "detector"], ["mtcnn"])
FACES = 80


def estimates(
    model: str = "one", seed: int = 0, damage: float = 2.0, faces: int = FACES, **columns: Any
) -> StressEstimates:
    """Errors that grow with severity; one face in ten lost at severity 5, one never found."""
    random = np.random.default_rng(seed)
    ages = np.random.default_rng(99).integers(5, 70, faces).astype(float)
    known: dict[str, Any] = {
        "sample_id": [f"s{n}" for n in range(faces)],
        "dataset": "toys",
        "path": "a.png",
        "subject": [f"p{n // 2}" for n in range(faces)],
        "age_years": ages,
        "age_kind": "real",
    }
    labels = SampleTable.from_columns(known | columns).frame
    severity = np.array([one.severity for one in CONDITIONS])
    noise = random.normal(0, 3 + damage * severity, (faces, len(CONDITIONS)))
    years = ages[:, np.newaxis] + severity + noise
    years[np.ix_(random.random(faces) < 0.1, severity == 5)] = np.nan
    years[0] = np.nan
    statuses = np.where(np.isnan(years), "no_face", "ok").astype(object)
    return StressEstimates(model, labels, CONDITIONS, years, statuses)


@pytest.fixture(scope="module")
def one() -> StressEstimates:
    return estimates()


@pytest.fixture(scope="module")
def found(one: StressEstimates) -> StressResult:
    return stress(one, estimates("other", seed=1, damage=4), draws=40)


def row_of(rows: pd.DataFrame, **asked: Any) -> pd.Series:
    chosen = rows
    for name, value in asked.items():
        chosen = chosen[chosen[name] == value]
    (row,) = chosen.to_dict("records")
    return pd.Series(row)


def error(table: StressEstimates) -> Floats:
    return np.abs(table.estimates - table.labels["age_years"].to_numpy()[:, np.newaxis])


def test_each_severity_is_of_the_faces_that_have_both(
    one: StressEstimates, found: StressResult
) -> None:
    ages = one.labels["age_years"].tolist()
    for place, condition in enumerate(CONDITIONS):
        damaged, clean, shifts, lost = [], [], [], 0
        for face in range(FACES):
            before, after = one.estimates[face, 0], one.estimates[face, place]
            if np.isnan(before):
                continue
            if np.isnan(after):
                lost += 1
                continue
            damaged.append(abs(after - ages[face]))
            clean.append(abs(before - ages[face]))
            shifts.append(after - before)
        row = row_of(found.severities, corruption=condition.corruption, severity=condition.severity)
        assert row["mae"] == pytest.approx(np.mean(damaged))
        assert row["clean_mae"] == pytest.approx(np.mean(clean))
        assert row["increase"] == pytest.approx(np.mean(damaged) - np.mean(clean))
        assert row["shift"] == pytest.approx(np.mean(shifts))
        assert row["absolute_shift"] == pytest.approx(np.mean(np.abs(shifts)))
        if condition != CLEAN:
            assert (row["failed"], row["of"]) == (lost, FACES - 1)
    clean_row = row_of(found.severities, corruption="clean")
    assert (clean_row["failed"], clean_row["of"]) == (1, FACES)
    assert (found.faces, found.clean, found.people) == (FACES, FACES - 1, FACES // 2)


def test_mean_corruption_error_is_the_papers(one: StressEstimates, found: StressResult) -> None:
    other = estimates("other", seed=1, damage=4)
    ours, theirs = error(one), error(other)
    ratios, relative, errors = [], [], []
    for name in ("blur", "noise"):
        own = reference = own_clean = reference_clean = 0.0
        maes = []
        for place, condition in enumerate(CONDITIONS):
            if condition.corruption != name:
                continue
            both = ~np.isnan(ours[:, [0, place]]).any(axis=1)
            maes.append(ours[both, place].mean())
            # The clean error is of the same faces as the damaged one, for each model by itself.
            shared = ~np.isnan(ours[:, place]) & ~np.isnan(theirs[:, place])
            shared &= ~np.isnan(ours[:, 0]) & ~np.isnan(theirs[:, 0])
            own += ours[shared, place].mean()
            own_clean += ours[shared, 0].mean()
            reference += theirs[shared, place].mean()
            reference_clean += theirs[shared, 0].mean()
        ratios.append(own / reference)
        relative.append((own - own_clean) / (reference - reference_clean))
        errors.append(np.mean(maes))
    mean = row_of(found.corruptions, corruption=MEAN)
    assert mean["error"] == pytest.approx(np.mean(errors))
    assert mean["relative_to_reference"] == pytest.approx(np.mean(ratios))
    assert mean["increase_to_reference"] == pytest.approx(np.mean(relative))
    assert mean["relative_to_reference"] < 1
    assert mean["relative_to_reference_low"] < mean["relative_to_reference"]
    blur = row_of(found.corruptions, corruption="blur")
    assert blur["relative_to_reference"] == pytest.approx(ratios[0])


def test_a_model_is_1_to_itself(one: StressEstimates) -> None:
    mean = row_of(stress(one, one, draws=10).corruptions, corruption=MEAN)
    for name in ("relative_to_reference", "increase_to_reference"):
        assert mean[name] == pytest.approx(1)
        assert (mean[f"{name}_low"], mean[f"{name}_high"]) == pytest.approx((1, 1))


def test_intervals_are_those_of_drawing_people(one: StressEstimates, found: StressResult) -> None:
    people, errors = person_codes(one.labels), error(one)
    place = CONDITIONS.index(Condition("noise", 3))
    both = np.flatnonzero(~np.isnan(errors[:, [0, place]]).any(axis=1))
    draws = []
    for weights in np.concatenate(list(drawn_weights(FACES // 2, 40, 0, 100))):
        rows = np.repeat(both, weights[people[both]])
        draws.append(errors[rows, place].mean())
    row = row_of(found.severities, corruption="noise", severity=3)
    expected = percentile_interval(np.array(draws), 0.95)
    assert (row["mae_low"], row["mae_high"]) == pytest.approx(expected)


def test_other_detectors_are_no_corruption(found: StressResult) -> None:
    assert found.corruptions["corruption"].tolist() == ["blur", "noise", MEAN]
    assert row_of(found.severities, corruption="detector mtcnn")["severity"] == 0
    only = conditions(["detector"], ["dlib"])
    table = estimates()
    few = StressEstimates("m", table.labels, only, table.estimates[:, :2], table.statuses[:, :2])
    assert not len(stress(few, draws=0).corruptions)


def test_faces_without_an_age_still_shift() -> None:
    ages = np.where(np.arange(FACES) < 20, np.nan, 30.0)
    kinds = np.where(np.isnan(ages), None, "real")
    result = stress(estimates(age_years=ages, age_kind=kinds), draws=0)
    assert result.unlabelled == 20
    row = row_of(result.severities, corruption="blur", severity=1)
    assert row["samples"] == FACES - 1
    assert np.isnan(row["mae_low"])


def test_one_face() -> None:
    table = estimates(faces=2)
    alone = StressEstimates(
        "m", table.labels.iloc[1:], CONDITIONS, table.estimates[1:], table.statuses[1:]
    )
    result = stress(alone, draws=20)
    assert result.severities["mae_low"].isna().all()
    assert result.severities["few"].all()


def test_where_one_person_is_left_there_is_no_interval() -> None:
    table = estimates()
    years = table.estimates.copy()
    years[np.arange(FACES) != 5, 1] = np.nan
    few = StressEstimates("m", table.labels, CONDITIONS, years, table.statuses)
    result = stress(few, draws=20)
    row = row_of(result.severities, corruption="blur", severity=1)
    assert row["samples"] == 1
    assert np.isnan(row["mae_low"])
    assert row["mae"] == pytest.approx(error(few)[5, 1])
    assert not np.isnan(row_of(result.severities, corruption="blur", severity=2)["mae_low"])


def test_bad_input(one: StressEstimates) -> None:
    with pytest.raises(TableError, match="has an age in years"):
        stress(estimates(age_years=np.nan, age_kind=None))
    kinds = np.where(np.arange(FACES) < 9, "apparent", "real")
    with pytest.raises(UsageError, match="several kinds"):
        stress(estimates(age_kind=kinds))
    assert stress(estimates(age_kind=kinds), mix_age_kinds=True, draws=0).faces == FACES
    nothing = np.full_like(one.estimates, np.nan)
    with pytest.raises(UsageError, match="even undamaged"):
        stress(StressEstimates("m", one.labels, CONDITIONS, nothing, one.statuses))
    with pytest.raises(UsageError, match="level is between"):
        stress(one, level=95)
    with pytest.raises(ValueError, match="clean one"):
        StressEstimates("m", one.labels, CONDITIONS[::-1], one.estimates, one.statuses)
    twice = one.labels.assign(sample_id="a")
    with pytest.raises(ValueError, match="twice"):
        StressEstimates("m", twice, CONDITIONS, one.estimates, one.statuses)


def test_a_reference_of_other_faces_or_conditions_is_refused(one: StressEstimates) -> None:
    others = estimates(sample_id=[f"t{n}" for n in range(FACES)])
    with pytest.raises(UsageError, match="none of these samples"):
        stress(one, others)
    part = StressEstimates(
        "small", one.labels, CONDITIONS[:6], one.estimates[:, :6], one.statuses[:, :6]
    )
    with pytest.raises(UsageError, match="small was not measured under noise, detector mtcnn"):
        stress(one, part)


def test_estimates_come_back_from_disk(one: StressEstimates, tmp_path: Path) -> None:
    one.to_frame().to_parquet(tmp_path / "e.parquet", index=False)
    back = StressEstimates.read(tmp_path / "e.parquet")
    assert (back.model, back.conditions) == (one.model, one.conditions)
    np.testing.assert_array_equal(back.estimates, one.estimates)
    np.testing.assert_array_equal(back.statuses, one.statuses)
    for name in LABELS:
        assert back.labels[name].astype(object).equals(one.labels[name].astype(object))
    before, after = stress(one, draws=10), stress(back, draws=10)
    pd.testing.assert_frame_equal(before.severities, after.severities)
    one.to_frame().iloc[:-1].to_parquet(tmp_path / "cut.parquet", index=False)
    with pytest.raises(TableError, match="not every face"):
        StressEstimates.read(tmp_path / "cut.parquet")
    (tmp_path / "other.parquet").write_bytes(b"no table")
    with pytest.raises(TableError, match="estimates of agelens stress"):
        StressEstimates.read(tmp_path / "other.parquet")


def test_conditions_are_named() -> None:
    found = conditions(["margin", "detector"], ["dlib"])
    assert found[0] == CLEAN
    assert found[-1] == Condition("detector dlib")
    assert found[-1].detector == "dlib"
    assert found[1].detector is None
    assert [one.severity for one in found] == [0, 1, 2, 3, 4, 5, 0]
    with pytest.raises(UnknownNameError, match="Did you mean 'margin'"):
        conditions(["margn"])
    for wrong in ([], ["blur", "blur"]):
        with pytest.raises(UsageError, match="each of them once"):
            conditions(wrong)
    with pytest.raises(UsageError, match="rotation needs photos"):
        check_off_chips(["blur", "rotation"])
