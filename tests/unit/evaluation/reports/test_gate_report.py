from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from agelens.errors import CardError
from agelens.evaluation import gate
from agelens.evaluation.age_gates import GateFinding, find_challenge_age
from agelens.evaluation.reports.gate_page import (
    GateReport,
    curve_rows,
    gate_rows,
    gate_sentences,
)
from agelens.inference.age_gates import AgeGate
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
    assert html.count('<p class="lead">') == 3
    assert np.asarray(Image.open(tmp_path / "rates_by_year.png").convert("L")).std() > 5


def test_sentences_give_both_rates_and_what_was_left_out(estimated_people: People) -> None:
    ages = np.r_[np.full(1500, 15.0), np.full(1400, 40.0), np.full(100, np.nan)]
    kinds = np.where(np.isnan(ages), None, "estimated")
    table = estimated_people(
        3000, age_years=ages, age_kind=kinds, estimate_years=np.nan_to_num(ages, nan=30),
        low_years=None, high_years=None,
    )  # fmt: skip
    table = PredictionsTable(table.frame)
    lines = gate_sentences(found_in(table))
    assert lines[0].startswith("Challenge age 18: with 95 % confidence at most 5 %")
    assert "at most 5 % of people under 18 pass (here 0.0 % [0.0, 0.2])." in lines[0]
    assert lines[1].startswith("Of those who are old enough, 0.0 % [0.0, 0.2] do not pass")
    assert "groups by themselves" in lines[2] or "each group by itself" in lines[2]
    assert "2,900 samples counted; left out: 100 no age." in lines
    assert any("themselves estimates" in line for line in lines)


def test_groups_of_which_the_data_promise_nothing_are_named(estimated_people: People) -> None:
    gender = np.where(np.arange(3000) < 40, "female", "male")
    table = estimated_people(3000, gender=gender, ethnicity=None)
    found = find_challenge_age(table, legal_years=18, max_false_accept=0.05, youngest_years=0)
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


def test_a_dozen_challenge_ages_at_most_are_shown_and_the_one_found_is_among_them() -> None:
    random = np.random.default_rng(3)
    ages = random.integers(8, 60, 2000)
    table = PredictionsTable.from_columns(
        {
            "sample_id": [str(number) for number in range(2000)],
            "age_years": ages,
            "age_kind": "real",
            "estimate_years": np.maximum(ages + random.normal(0, 6, 2000), 0),
        }
    )
    found = gate(table, legal=18, max_false_accept=0.05)
    rows = curve_rows(found.found)
    assert 5 < len(rows) <= 12
    assert found.found.gate is not None
    (chosen,) = rows[rows["challenge age"].str.contains("found")]["challenge age"]
    assert chosen == f"{found.found.gate.challenge_years:g} (found)"
    assert len(found.curve()) == len(found.found.curve)
    assert any("by true year: " in line for line in found.sentences())


def test_an_application_reads_the_gate_that_was_measured(tmp_path: Path) -> None:
    folder = tmp_path / "measured"
    table = PredictionsTable.from_columns(
        {
            "sample_id": [str(number) for number in range(400)],
            "age_years": [15.0, 40.0] * 200,
            "age_kind": "real",
            "estimate_years": [16.0, 39.0] * 200,
        }
    )
    gate(table, legal=18, max_false_accept=0.05).save(folder)
    read = AgeGate.read(folder / "gate.json")
    assert (read.legal_years, read.challenge_years) == (18, 18)
    assert [read.decide_age(years) for years in (10, 18, float("nan"))] == ["fail", "pass", "refer"]
    gate(table, legal=18, max_false_accept=0.001).save(tmp_path / "few")
    with pytest.raises(CardError, match="takes 2995 people under the legal age"):
        AgeGate.read(tmp_path / "few" / "gate.json")
    for content in ("[]", '{"legal_years": 18}', "{"):
        (tmp_path / "bad.json").write_text(content)
        with pytest.raises(CardError, match=r"bad\.json"):
            AgeGate.read(tmp_path / "bad.json")
