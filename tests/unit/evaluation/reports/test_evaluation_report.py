"""An evaluation's folder: numbers that agree, figures that show something, text that is escaped."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from agelens.evaluation.all_rows import evaluate_all
from agelens.evaluation.by_group import FIGURE_COLUMN, EvaluatedTable, evaluate_groups
from agelens.evaluation.metrics.probabilistic import LEVELS, calibration_error
from agelens.evaluation.reports.evaluation_figures import (
    coverage_by_age,
    error_by_age,
    estimate_by_age,
    gaps_figure,
    groups_figure,
)
from agelens.evaluation.reports.evaluation_page import EvaluationReport, metric_rows
from agelens.evaluation.reports.reliability import (
    distribution_calibration,
    quantile_reliability,
)
from agelens.tables import PredictionsTable

People = Callable[..., PredictionsTable]
HOSTILE = "<script>alert('x')</script> $\\frac{ & x"


def evaluated(
    name: str, table: PredictionsTable, by: Sequence[str] | None = None, draws: int = 40
) -> EvaluatedTable:
    columns = None if by is None else (*by, FIGURE_COLUMN)
    return EvaluatedTable(
        name, table, evaluate_all(table, draws=draws), evaluate_groups(table, columns, draws=draws)
    )


@pytest.fixture(scope="module")
def folder(
    estimated_people: People, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[EvaluatedTable]]:
    path = tmp_path_factory.mktemp("evaluation")
    ethnicity = [HOSTILE] * 20 + ["B"] * 380
    shown = [
        evaluated("one", estimated_people(400, ethnicity=ethnicity)),
        evaluated("two & <b>", estimated_people(300, seed=1, claimed=2.0), ["gender"]),
    ]
    EvaluationReport(shown).write(path)
    return path, shown


def test_json_and_csv_say_the_same(folder: tuple[Path, list[EvaluatedTable]]) -> None:
    path, shown = folder
    document = json.loads((path / "evaluation.json").read_text())
    metrics = pd.read_csv(path / "metrics.csv")
    groups = pd.read_csv(path / "groups.csv")
    gaps = pd.read_csv(path / "gaps.csv")
    for one, stated in zip(shown, document["tables"], strict=True):
        mae = one.evaluation.metrics["mae"].value
        assert stated["metrics"]["mae"]["value"] == mae
        row = metrics[(metrics["table"] == one.name) & (metrics["metric"] == "mae")]
        assert row["value"].item() == pytest.approx(mae)
        assert len(stated["groups"]) == (groups["table"] == one.name).sum()
        assert len(stated["gaps"]) == (gaps["table"] == one.name).sum()
    worst = pd.read_csv(path / "worst.csv")
    assert worst.groupby("table").size().to_dict() == {"one": 400, "two & <b>": 300}
    assert worst["error_years"].abs()[:400].is_monotonic_decreasing


def test_every_figure_shows_something_and_is_on_the_page(
    folder: tuple[Path, list[EvaluatedTable]],
) -> None:
    path, _ = folder
    html = (path / "index.html").read_text()
    pictures = {picture.stem for picture in path.glob("*.png")}
    assert pictures == {
        *("estimate_by_age", "error_by_age", "bias_by_age", "cs_curve", "gaps_by_error"),
        *("groups_1", "groups_2", "coverage_by_age", "distribution_calibration"),
    }
    assert html.count('src="data:image/svg+xml;base64,') == len(pictures)
    assert 'src="' not in html.replace('src="data:image/svg+xml;base64,', "")
    for name in pictures:
        assert f'href="{name}.svg"' in html
        assert (path / f"{name}.svg").read_text().startswith("<?xml")
        assert np.asarray(Image.open(path / f"{name}.png").convert("L")).std() > 5, name
        assert len(pd.read_csv(path / f"{name}.csv")), name


def test_figures_are_drawn_from_the_numbers_beside_them(
    folder: tuple[Path, list[EvaluatedTable]],
) -> None:
    path, (one, _) = folder
    curve = pd.read_csv(path / "cs_curve.csv", index_col=0)
    assert curve.loc[5, "one"] == pytest.approx(one.evaluation.metrics["cs@5"].value)
    points = pd.read_csv(path / "estimate_by_age.csv").query("table == 'one'")
    error = (points["estimate_years"] - points["age_years"]).abs().mean()
    assert error == pytest.approx(one.evaluation.metrics["mae"].value, abs=0.01)


def test_the_page_begins_with_three_sentences_and_defines_what_it_names(
    folder: tuple[Path, list[EvaluatedTable]],
) -> None:
    html = (folder[0] / "index.html").read_text()
    lead = [line for line in html.splitlines() if line.startswith('<p class="lead">')]
    assert len(lead) == 6
    mae = folder[1][0].evaluation.metrics["mae"].value
    assert f"one: On average the estimates of 400 faces are {mae:.2f}" in lead[0]
    assert "It is worst for" in lead[1]
    assert "called" in lead[2]
    named = set(re.findall('href="#(metric-[^"]+)"', html))
    assert {"metric-mae", "metric-amae", "metric-ca_below-5", "metric-aar"} <= named
    assert named == set(re.findall('<dt id="(metric-[^"]+)"', html))
    assert set(re.findall('href="#(part-[^"]+)"', html)) == set(re.findall('id="(part-.+?)"', html))
    assert "people unknown" in html
    assert html.index("no proof of age") > html.index("Every metric")


def test_equal_rows_are_one(folder: tuple[Path, list[EvaluatedTable]]) -> None:
    names = metric_rows(folder[1])["metric"].tolist()
    assert "cs@5 = ca_below@5 = ca_at_most@5" in names
    assert "cs@3 = ca_below@3 = ca_at_most@3" in names
    assert {"mae", "rmse", "ce@10"} <= set(names)


def test_the_page_says_what_it_is_not_for_greys_the_few_and_runs_no_script(
    folder: tuple[Path, list[EvaluatedTable]],
) -> None:
    html = (folder[0] / "index.html").read_text()
    assert "no proof of age" in html
    assert "<script" not in html
    assert "<b>" not in html
    assert "&lt;script&gt;" in html
    greyed = [line for line in html.splitlines() if line.startswith("<tr class=few>")]
    (hostile,) = (line for line in greyed if "&lt;script&gt;" in line)
    assert ">20<" in hostile


def test_names_of_samples_are_in_the_csv_only(folder: tuple[Path, list[EvaluatedTable]]) -> None:
    assert ">s0<" not in (folder[0] / "index.html").read_text()
    assert "s0" in (folder[0] / "worst.csv").read_text()


def test_estimated_labels_are_pointed_out(estimated_people: People, tmp_path: Path) -> None:
    shown = [evaluated("t", estimated_people(60, age_kind="estimated", split="train"), draws=0)]
    EvaluationReport(shown).write(tmp_path)
    html = (tmp_path / "index.html").read_text()
    assert "themselves estimates" in html
    assert "Part train of people may be what the model was trained on" in html
    assert "No intervals were asked for" in html


def test_reliability_equals_plain_counts(estimated_people: People) -> None:
    table = estimated_people(500, claimed=2.0)
    found = quantile_reliability(evaluated("t", table), draws=200, level=0.9)
    assert found is not None
    frame, scale = table.frame, table.scale
    assert scale is not None
    ages = frame["age_years"].to_numpy()
    for place, level in enumerate(LEVELS):
        share = np.mean(ages <= scale.quantile(table.distribution, level))
        assert found.at_most[place] == pytest.approx(share, abs=0.005)  # ties at the quantile
    assert found.in_tenth.sum() == pytest.approx(1)
    assert np.abs(found.at_most - LEVELS).mean() == pytest.approx(
        calibration_error(table.distribution, ages, scale)
    )
    assert (found.at_most_ends[:, 0] <= found.at_most).all()
    assert (found.at_most <= found.at_most_ends[:, 1]).all()


def test_large_tables_are_drawn_from(
    estimated_people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agelens.evaluation.reports.reliability.MOST_ROWS", 100)
    found = quantile_reliability(evaluated("t", estimated_people(300)), draws=0, level=0.9)
    assert found is not None
    assert found.rows == 100
    assert np.isnan(found.at_most_ends).all()


@pytest.mark.parametrize(
    ("draw", "columns", "sentence"),
    [
        (estimate_by_age, {"estimate_years": None, "status": "no_face"}, "No row has an estimate"),
        (
            lambda shown: groups_figure(*shown),
            {"estimate_years": None, "status": "no_face"},
            "no group has",
        ),
        (gaps_figure, {"estimate_years": None, "status": "no_face"}, "No column has two groups"),
        (error_by_age, {"estimate_years": None, "status": "no_face"}, "No row has what"),
        (coverage_by_age, {"low_years": None, "high_years": None}, "No row has what"),
    ],
)
def test_what_cannot_be_drawn_is_a_sentence(
    draw: Any, columns: dict[str, Any], sentence: str, estimated_people: People
) -> None:
    nothing = {"low_years": None, "high_years": None} | columns
    table = PredictionsTable(estimated_people(50, **nothing).frame)
    assert sentence in draw([evaluated("t", table, draws=0)])


def test_without_distributions_their_calibration_is_a_sentence(estimated_people: People) -> None:
    table = PredictionsTable(estimated_people(50).frame)
    shown = [evaluated("t", table, draws=0)]
    assert "cannot be drawn" in str(distribution_calibration(shown, draws=10, level=0.9))


def test_one_sample_has_a_page(estimated_people: People, tmp_path: Path) -> None:
    EvaluationReport([evaluated("t", estimated_people(1))]).write(tmp_path)
    document = json.loads((tmp_path / "evaluation.json").read_text())
    mae = document["tables"][0]["metrics"]["mae"]
    assert mae["samples"] == 1
    assert mae["low"] is None
