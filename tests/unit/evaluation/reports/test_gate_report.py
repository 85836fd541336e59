from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from agelens.evaluation.age_gates import GateFinding, find_challenge_age
from agelens.evaluation.reports.gate_page import GateReport, gate_rows, gate_sentences
from agelens.tables import PredictionsTable

People = Callable[..., PredictionsTable]


def found_in(table: PredictionsTable, limit: float = 0.05) -> GateFinding:
    return find_challenge_age(table, legal_years=18, max_false_accept=limit)


@pytest.fixture(scope="module")
def table(estimated_people: People) -> PredictionsTable:
    return estimated_people(3000)


def test_both_rates_are_in_every_form(table: PredictionsTable, tmp_path: Path) -> None:
    found = found_in(table)
    GateReport(found).write(tmp_path)
    document = json.loads((tmp_path / "gate.json").read_text())
    assert document == json.loads(json.dumps(GateReport(found).to_dict()))
    assert document["promised"] is True
    assert document["overall"]["false_accept"]["high"] <= 0.05
    rates = pd.read_csv(tmp_path / "rates.csv")
    assert rates.loc[0, "false_reject"] == document["overall"]["false_reject"]["share"]
    assert set(rates["of"]) == {"all", "true year", "gender", "ethnicity"}
    html = (tmp_path / "index.html").read_text()
    assert "no proof of age" in html
    assert np.asarray(Image.open(tmp_path / "rates_by_year.png").convert("L")).std() > 5


def test_sentences_give_both_rates_and_what_was_left_out(estimated_people: People) -> None:
    ages = np.r_[np.full(1500, 12.0), np.full(1400, 40.0), np.full(100, np.nan)]
    kinds = np.where(np.isnan(ages), None, "estimated")
    table = estimated_people(
        3000, age_years=ages, age_kind=kinds, estimate_years=np.nan_to_num(ages, nan=30),
        low_years=None, high_years=None,
    )  # fmt: skip
    table = PredictionsTable(table.frame)
    lines = gate_sentences(found_in(table))
    assert lines[0].startswith("Challenge age 18: with 95 % confidence at most 5 %")
    assert "False accepts 0.0 % [0.0, 0.2]; false rejects 0.0 % [0.0, 0.2]." in lines
    assert "2,900 samples counted; left out: 100 no age." in lines
    assert any("themselves estimates" in line for line in lines)


def test_groups_of_which_the_data_promise_nothing_are_named(estimated_people: People) -> None:
    gender = np.where(np.arange(3000) < 40, "female", "male")
    table = estimated_people(3000, gender=gender, ethnicity=None)
    found = found_in(table)
    (line,) = (line for line in gate_sentences(found) if "by themselves" in line)
    assert "gender female" in line
    rows = gate_rows(found)
    assert rows.loc[rows["group"] == "female", "few"].item()


def test_too_few_minors_promise_nothing(estimated_people: People, tmp_path: Path) -> None:
    table = estimated_people(200)
    found = found_in(table, 0.001)
    assert not found.promised
    (first, *_) = gate_sentences(found)
    assert "No challenge age can be promised" in first
    assert "at least 2,995 people" in first
    GateReport(found).write(tmp_path)
    assert GateReport(found).to_dict()["challenge_years"] is None
    assert not (tmp_path / "rates_by_year.png").exists()
