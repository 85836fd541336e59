"""Lines of a leaderboard: figures, leaks, kinds of age, and markdown that stays one table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agelens.errors import UsageError
from agelens.evaluation.comparison.common_samples import ComparedTable, compared_tables
from agelens.evaluation.given_tables import Reading
from agelens.evaluation.leaderboard import (
    ModelFacts,
    chip_milliseconds,
    leaderboard_entries,
    leaderboard_html,
    leaderboard_markdown,
    leaderboard_page,
)
from agelens.tables import PredictionsTable

FACTS = ModelFacts(
    *("dldl", "dlib-resnet10", "people", "hash, seed 0"),
    leaks=(),
    coverage={"people": 0.897},
    size_mb=10.5,
    chip_ms=4.0,
    command="agelens train --config runs/a/config.yaml",
)
FAST = {"draws": 100}


def table(model: str = "a", seed: int = 0, count: int = 40, **columns: Any) -> ComparedTable:
    ages = np.arange(count) + 10.0
    known: dict[str, Any] = {
        "sample_id": [f"{n}" for n in range(count)],
        "dataset": "people",
        "age_years": ages,
        "age_kind": "real",
        "subject": [f"p{n}" for n in range(count)],
        "split": "test",
        "train_data": "people",
        "estimate_years": ages + 1 + seed,
    }
    predictions = PredictionsTable.from_columns(known | columns)
    (found,) = compared_tables(predictions, model, seed=seed)
    return found


def test_seeds_are_one_line() -> None:
    second = replace(
        FACTS, coverage={"people": 0.903}, chip_ms=6.0, command="agelens train --config b"
    )
    (line,) = leaderboard_entries([(FACTS, [table()]), (second, [table(seed=1)])], **FAST)
    assert line.mae.value == pytest.approx(1.5)
    assert line.mae_of_seeds == pytest.approx((1, 2))
    assert line.cs5.value == 1
    assert line.seeds == (0, 1)
    assert line.coverage == pytest.approx(0.9)
    assert line.chip_ms == pytest.approx(5.0)
    assert line.people == "subject-exclusive"
    assert (line.samples, line.left_out, line.few) == (40, 0, False)
    assert len(line.commands) == 2


def test_a_mean_over_runs_is_of_all_of_them_or_of_none() -> None:
    second = replace(FACTS, coverage={}, chip_ms=None)
    (line,) = leaderboard_entries([(FACTS, [table()]), (second, [table(seed=1)])], **FAST)
    assert line.coverage is None
    assert line.chip_ms is None


@pytest.mark.parametrize(
    ("leaks", "columns", "said"),
    [
        ((), {"subject": None}, "people not known"),
        (("3 people of train are in test",), {}, "leaks: 3 people of train are in test"),
        ((), {"train_data": "others"}, "other dataset"),
        ((), {"split": "train"}, "leak: 40 of the 40 rows are of its part train"),
    ],
)
def test_who_may_be_in_training_is_said(
    leaks: tuple[str, ...], columns: dict[str, Any], said: str
) -> None:
    (line,) = leaderboard_entries([(replace(FACTS, leaks=leaks), [table(**columns)])], **FAST)
    assert line.people == said


def test_kinds_of_age_do_not_share_a_table_unless_asked() -> None:
    runs = [(FACTS, [table(), table(dataset="others", age_kind="apparent")])]
    with pytest.raises(UsageError, match="1 real, 1 apparent"):
        leaderboard_entries(runs, **FAST)
    lines = leaderboard_entries(runs, mix_age_kinds=True, **FAST)
    assert [line.dataset for line in lines] == ["others", "people"]


def test_two_runs_of_one_seed_are_refused() -> None:
    with pytest.raises(UsageError, match="two tables are of a, seed 0"):
        leaderboard_entries([(FACTS, [table()]), (FACTS, [table()])], **FAST)


def test_the_page_is_one_table_whatever_names_hold() -> None:
    estimates = np.r_[np.arange(39) + 12.0, np.nan]
    runs = [
        (FACTS, [table("better | worse\nmodel")]),
        (replace(FACTS, coverage={}), [table("b", estimate_years=estimates)]),
    ]
    entries = leaderboard_entries(runs, **FAST)
    page = leaderboard_markdown(entries, made_by="agelens leaderboard a b", machine="a machine")
    lines = [line for line in page.splitlines() if line.startswith("|")]
    assert len(lines) == 4
    assert len({line.replace("\\|", "").count("|") for line in lines}) == 1
    assert "better \\| worse model" in lines[2]
    assert "1.00 [1.00, 1.00]" in lines[2]
    assert "89.7 %" in lines[2]
    assert "39 (1 left out)" in lines[3]
    assert "not calibrated" in lines[3]
    assert "`agelens leaderboard a b`" in page
    assert "    agelens train --config runs/a/config.yaml" in page
    assert "no proof of age" in page
    assert "a machine" in page


def test_the_same_as_html_lets_no_name_be_markup() -> None:
    entries = leaderboard_entries([(FACTS, [table("<b>best</b>")])], **FAST)
    page = leaderboard_html(entries, made_by="agelens leaderboard <a>", machine="a machine")
    assert page.startswith("<!DOCTYPE html>")
    assert "&lt;b&gt;best&lt;/b&gt;" in page
    assert "<b>" not in page
    assert "leaderboard &lt;a&gt;" in page
    assert "1.00 <i>[1.00, 1.00]</i>" in page
    assert "no proof of age" in page


def test_estimated_ages_and_seeds_are_told_on_the_page() -> None:
    runs = [(FACTS, [table(age_kind="estimated", seed=seed)]) for seed in (0, 1)]
    page = leaderboard_markdown(leaderboard_entries(runs, **FAST), made_by="x", machine="y")
    assert "themselves estimates" in page
    assert "(seeds ± 0.71)" in page


def test_a_chip_takes_some_time(write_card: Any, tmp_path: Path) -> None:
    assert 0 < chip_milliseconds(write_card(tmp_path), repetitions=3, warm_up=1) < 10_000


def test_tables_of_other_tools_have_lines_too(tmp_path: Path) -> None:
    ages = np.arange(40) + 5.0
    theirs = pd.DataFrame(
        {"file": [f"{n}.jpg" for n in range(40)], "age": ages, "score": ages + 2, "sex": "F"}
    )
    theirs.to_csv(tmp_path / "theirs.csv", index=False, sep=";", decimal=",")
    sure = theirs.assign(low=ages, high=ages + 4, interval_level=0.9, dataset="faces")
    page, lines = leaderboard_page(
        [tmp_path / "theirs.csv", {"sure": sure}],
        made_by="agelens leaderboard theirs.csv sure",
        reading=Reading({"estimate_years": "score"}),
        **FAST,
    )
    assert lines == 2
    (first,) = (line for line in page.splitlines() if line.startswith("| theirs |"))
    (second,) = (line for line in page.splitlines() if line.startswith("| sure |"))
    assert "2.00 [2.00, 2.00]" in first
    # 2 of 8, 11, 13 and 16 people; nobody of 32, 29, 27 and 24.
    assert "| (25.0) / (18.2) / (15.4) / (12.5) | 0.0 / (0.0) / (0.0) / (0.0) |" in first
    assert first.count("not stated") >= 5  # method, backbone, training, test set, coverage
    assert "| 100.0 % |" in second
    assert "theirs: columns recognised: file is sample_id" in page
    assert "commands that train" not in page
    with pytest.raises(UsageError, match="no model was tested on others"):
        leaderboard_page(
            [sure], made_by="x", only=["others"], reading=Reading({"estimate_years": "score"})
        )
