"""From a predictions table to a card's calibration."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agelens.errors import TableError, UsageError
from agelens.evaluation.conformal import Way
from agelens.evaluation.model_calibration import calibrate_model, uncalibrated_outputs
from agelens.inference.answers import OutputSpec, read_answers
from agelens.inference.calibration import Calibration
from agelens.inference.cards import Card, read_card
from agelens.tables import PredictionsTable

People = Callable[..., PredictionsTable]


@pytest.fixture(scope="module")
def card_of(
    write_card: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Card]:
    def card(**output: Any) -> Card:
        section = {"kind": "posterior", "ages_years": list(range(101))} | output

        def change(document: dict[str, Any]) -> None:
            document["output"] = section

        return read_card(write_card(tmp_path_factory.mktemp("card"), change=change))

    return card


def everybody(found: Any, level: float = 0.9) -> Any:
    rows = found.measured
    return rows[(rows["grouping"] == "everybody") & (rows["level"] == level)].iloc[0]


@pytest.mark.parametrize("bins_of", ["estimate", "age"])
def test_too_narrow_intervals_are_widened_until_they_hold(
    estimated_people: People, card_of: Callable[..., Card], bins_of: Any
) -> None:
    table = estimated_people(3000, claimed=1.5)
    found = calibrate_model(table, card_of(), levels=[0.5, 0.9], way=Way(bins=5, bins_of=bins_of))
    row = everybody(found)
    assert row["own_coverage"] < 0.6
    assert row["coverage"] == pytest.approx(0.9, abs=0.03)
    assert row["width_years"] > 2 * row["own_width_years"]
    assert everybody(found, 0.5)["coverage"] == pytest.approx(0.5, abs=0.05)
    bands = found.measured[found.measured["grouping"] == "age_band"]
    assert bands["samples"].sum() == 2 * 3000
    assert (bands.loc[bands["level"] == 0.9, "coverage"] > 0.8).all()


def test_the_document_is_plain_json_that_a_card_can_hold(
    estimated_people: People, card_of: Callable[..., Card]
) -> None:
    table = estimated_people(600, split="valid")
    found = calibrate_model(table, card_of(), way=Way(column="gender"), bias=True)
    document = json.loads(json.dumps(dict(found.calibration.document), allow_nan=False))
    assert Calibration.from_json(document) is not None
    assert document["samples"] == document["people"] == 600
    assert document["parts"] == {"valid": 600}
    assert document["age_kinds"] == {"real": 600}
    assert document["groups_from"] == "gender"
    assert document["bias"] is not None
    assert sorted(document["intervals"][0]["corrections"]) == ["", "female", "male"]
    assert 0 < document["intervals"][2]["coverage_of_strangers"] <= 1


def test_groups_are_as_in_use_where_the_table_has_them(
    estimated_people: People, card_of: Callable[..., Card]
) -> None:
    table = estimated_people(400, gender_estimate="male")
    found = calibrate_model(table, card_of(), levels=[0.9], way=Way(column="gender"))
    assert found.calibration.document["groups_from"] == "gender_estimate"
    assert sorted(found.calibration.intervals[0].corrections) == ["", "male"]


def test_rows_without_age_or_answer_are_left_out_and_counted(
    estimated_people: People, card_of: Callable[..., Card]
) -> None:
    table = estimated_people(400)
    distribution, frame = table.distribution, table.frame.copy()
    assert distribution is not None
    distribution[:10] = np.nan
    frame.loc[frame.index[:10], ["estimate_years", "low_years", "high_years"]] = np.nan
    frame["status"] = frame["status"].astype(object)
    frame.loc[frame.index[:10], "status"] = "no_face"
    frame.loc[frame.index[10:15], "age_years"] = np.nan
    found = calibrate_model(
        PredictionsTable(frame, distribution, table.scale), card_of(), levels=[0.9]
    )
    assert found.calibration.document["samples"] == 385
    assert found.calibration.document["left_out"] == 15


def test_the_networks_own_answer_is_found_behind_a_moved_interval(
    estimated_people: People, card_of: Callable[..., Card]
) -> None:
    """Predictions of a calibrated model: estimates and intervals are not the network's."""
    table = estimated_people(50)
    moved = {"estimate_years": 50.0, "low_years": 40.0, "high_years": 60.0}
    shifted = PredictionsTable(table.frame.assign(**moved), table.distribution, table.scale)
    _, answers = uncalibrated_outputs(shifted, card_of(point="median"))
    assert table.scale is not None
    assert answers.estimate_years == pytest.approx(table.scale.median(table.distribution))


def test_an_age_with_a_spread_is_read_off_its_interval(
    estimated_people: People, card_of: Callable[..., Card]
) -> None:
    spec = OutputSpec(card_of().answer.scale, "mean-spread")  # type: ignore[union-attr]
    said = np.array([[3.0, 4.0], [40.0, 6.0], [99.0, 2.0]])
    read = read_answers(said, spec)
    low, high = read.interval(0.9)
    frame = estimated_people(3).frame.assign(
        estimate_years=read.estimate_years, low_years=low, high_years=high
    )
    rows, answers = uncalibrated_outputs(PredictionsTable(frame), card_of(kind="mean-spread"))
    assert rows.tolist() == [0, 1, 2]
    for ours, theirs in zip(answers.interval(0.5), read.interval(0.5), strict=True):
        assert ours == pytest.approx(theirs)
    calibrated = PredictionsTable(frame.assign(low_years=np.maximum(low - 5, 0)))
    with pytest.raises(UsageError, match="not the network's own"):
        uncalibrated_outputs(calibrated, card_of(kind="mean-spread"))


def test_bad_input_is_refused(estimated_people: People, card_of: Callable[..., Card]) -> None:
    card, table = card_of(), estimated_people(100)
    with pytest.raises(UsageError, match="of other, the card is of toy"):
        calibrate_model(estimated_people(100, model="other"), card)
    with pytest.raises(UsageError, match="without its distributions"):
        calibrate_model(PredictionsTable(table.frame), card)
    with pytest.raises(UsageError, match="over the ages 0-100, the answers of toy over 0-80"):
        calibrate_model(table, card_of(ages_years=list(range(81))))
    with pytest.raises(UsageError, match=r"levels are different shares .* got \[0.9, 1.0\]"):
        calibrate_model(table, card, levels=[0.9, 1.0])
    with pytest.raises(UsageError, match="levels"):
        calibrate_model(table, card, levels=[])
    with pytest.raises(UsageError, match="12 samples are too few to calibrate 95%"):
        calibrate_model(estimated_people(12), card, levels=[0.95])
    with pytest.raises(UsageError, match="one person"):
        calibrate_model(estimated_people(50, subject="anna"), card)
    with pytest.raises(TableError, match="none of the 100 predictions has an age"):
        calibrate_model(estimated_people(100, age_years=None, age_kind=None), card)
    with pytest.raises(UsageError, match="75 real, 25 apparent"):
        calibrate_model(
            estimated_people(100, age_kind=["apparent", "real", "real", "real"] * 25), card
        )
    with pytest.raises(UsageError, match="no row has a gender"):
        calibrate_model(estimated_people(100, gender=None), card, way=Way(column="gender"))
