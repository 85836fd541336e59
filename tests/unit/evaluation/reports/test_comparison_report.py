"""A comparison's folder: every figure in every form, and nobody's text as markup."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from agelens.evaluation.comparison.common_samples import ComparedTable, compared_tables
from agelens.evaluation.comparison.compare_tables import compare_tables
from agelens.evaluation.comparison.comparison import Comparison
from agelens.evaluation.reports.comparison_figures import ranks_figure
from agelens.evaluation.reports.comparison_page import ComparisonReport
from agelens.evaluation.reports.comparison_tables import matrix_table, pair_table
from agelens.tables import PredictionsTable


def network(model: str, dataset: str, seed: int | None = 0, count: int = 60) -> ComparedTable:
    random = np.random.default_rng([*map(ord, model + dataset), seed or 0])
    ages = np.linspace(5, 80, count)
    columns: dict[str, Any] = {
        "sample_id": [f"{n}" for n in range(count)],
        "dataset": dataset,
        "age_years": ages,
        "age_kind": "real",
        "split": "train" if model == "<b>$x" else "test",
        "train_data": "utkface",
        "estimate_years": np.maximum(ages + random.normal(0, 1 + ord(model[-1]) % 7, count), 0),
    }
    (table,) = compared_tables(PredictionsTable.from_columns(columns), model, seed=seed)
    return table


@pytest.fixture(scope="module")
def found() -> Comparison:
    tables = [
        network(model, dataset, seed)
        for model in ("<b>$x", "two", "three")
        for dataset in ("utkface", "fgnet")
        for seed in (0, 1)
    ]
    return compare_tables([*tables, network("two", "small", count=8)], draws=100, flips=200)


def test_the_folder_holds_all_in_every_form(found: Comparison, tmp_path: Path) -> None:
    ComparisonReport(found).write(tmp_path)
    document = json.loads((tmp_path / "comparison.json").read_text())
    assert document["models"] == ["<b>$x", "two", "three"]
    matrix = pd.read_csv(tmp_path / "matrix.csv")
    assert len(matrix) == len(document["cells"]) == 7
    assert matrix.loc[0, "mae"] == document["cells"][0]["figures"]["mae"]["value"]
    assert set(matrix["relation"]) == {"leak", "intra", "cross"}
    pairs = pd.read_csv(tmp_path / "pairs.csv")
    assert pairs["p_adjusted"].tolist() == [one["p_adjusted"] for one in document["pairs"]]
    ranks = pd.read_csv(tmp_path / "ranks.csv")
    assert set(ranks["over"]) == {"people drawn anew", "seeds", "datasets"}
    published = pd.read_csv(tmp_path / "published.csv")
    assert set(published["dataset"]) == {"utkface", "fgnet"}
    for name in ("matrix", "ranks"):
        picture = np.asarray(Image.open(tmp_path / f"{name}.png").convert("L"))
        assert picture.std() > 5


def test_the_page_says_what_must_be_known(found: Comparison, tmp_path: Path) -> None:
    ComparisonReport(found).write(tmp_path)
    html = (tmp_path / "index.html").read_text()
    assert "no proof of age" in html
    assert "Leak: &lt;b&gt;$x on utkface: 120 of" not in html  # of one seed, not of both
    assert "Leak: &lt;b&gt;$x on utkface: 60 of the 60 rows are of its part train" in html
    assert "<b>" not in html
    assert "Published by others, not measured here" in html
    assert "as another paper or repository quotes it" in html
    assert "Not told apart does not mean equal" in html
    assert "class=few" in html


def test_the_matrix_in_words(found: Comparison) -> None:
    table = matrix_table(found).set_index("model")
    assert table.loc["<b>$x", "utkface"].endswith("LEAK")
    assert table.loc["two", "fgnet"].endswith("cross")
    assert table.loc["two", "small"].endswith("cross (few)")
    assert table.loc["three", "small"] == ""
    assert " seeds ±" in table.loc["two", "utkface"]
    assert "%" in matrix_table(found, "cs@5").loc[0, "utkface"]


def test_a_win_by_a_leak_is_told() -> None:
    tables = [network("<b>$x", "utkface", None), network("two", "utkface", None)]
    tables[1].frame["estimate_years"] += 20
    (row,) = pair_table(compare_tables(tables, draws=20, flips=300)).to_dict("records")
    assert row["verdict"] == "<b>$x is better, on people that it was trained on"
    assert row["MAE difference"].startswith("-")


def test_one_model_has_no_rank_and_a_page(tmp_path: Path) -> None:
    alone = compare_tables([network("two", "nobody's")], draws=50)
    assert isinstance(ranks_figure(alone), str)
    ComparisonReport(alone).write(tmp_path)
    assert not (tmp_path / "ranks.png").exists()
    html = (tmp_path / "index.html").read_text()
    assert "Published figures" not in html
    assert "Pairs of models" not in html
