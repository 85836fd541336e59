"""Tables, figures and the page of a tuning, from numbers that are made up."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest

from agelens.errors import UsageError
from agelens.training.tuning import TuningPlan
from agelens.training.tuning.report import (
    grid_figure,
    overfit_figure,
    search_figure,
    sweep_figure,
    write_report,
)
from agelens.training.tuning.trials import TuningFolder


@pytest.fixture
def filled(tmp_path) -> TuningFolder:
    folder = TuningFolder(tmp_path / "tuning")
    folder.claim({"config": {"seed": 0}})
    untrained = {"measured": 9.0, "expected": 4.6, "samples": 64, "trained_head": False}
    folder.untrained.write_text(json.dumps({**untrained, "as_expected": False}))
    steps = np.arange(1, 11)
    sweep = [
        pd.DataFrame({"lr": lr, "step": steps, "loss": np.linspace(4, end, 10)})
        for lr, end in ((1e-3, 3.0), (1e-2, 2.0))
    ]
    sweep.append(pd.DataFrame({"lr": [0.1], "step": [1], "loss": [math.inf]}))
    pd.concat(sweep).to_csv(folder.table("sweep"), index=False)
    curves = {"lr": 1e-3, "step": [20, 40], "loss": [3, 1], "mae_years": [9.0, 4.0]}
    pd.DataFrame(curves).to_csv(folder.table("overfit"), index=False)
    pd.DataFrame(
        {
            "lr": [1e-3, 1e-2, 1e-3, 1e-2],
            "weight_decay": [0, 0, 0.1, 0.1],
            "cost": [6.0, math.inf, 5.5, 7],
            "mae_years": [6.0, math.inf, 5.5, 7],
        }
    ).to_csv(folder.table("grid"), index=False)
    return folder


def test_the_page_says_what_was_found_and_what_is_wrong(filled) -> None:
    write_report(filled)
    page = filled.page.read_text(encoding="utf-8")
    assert "a loss of 9. With the same answer for every image it would be 4.6." in page
    assert "far apart" in page
    assert "fell to 4.00 years" in page
    assert "were not learnt to 1 year" in page
    assert "learning rate of 0.01." in page
    assert "weight decay 0.1" in page
    for name in ("overfit", "sweep", "grid"):
        assert f'src="{name}.png"' in page
        assert (filled.path / f"{name}.png").stat().st_size > 5000
    assert "long run" not in page


def test_a_page_of_one_step_is_a_page(tmp_path) -> None:
    folder = TuningFolder(tmp_path / "t")
    folder.claim({})
    write_report(folder)
    assert "<h1>Tuning</h1>" in folder.page.read_text(encoding="utf-8")


def test_the_grid_shows_every_cell(filled) -> None:
    (panel, _) = grid_figure(pd.read_csv(filled.table("grid"))).axes
    words = {text.get_text(): text.get_fontweight() for text in panel.texts}
    assert words == {"6.00": "normal", "blew up": "normal", "5.50": "bold", "7.00": "normal"}
    assert [label.get_text() for label in panel.get_yticklabels()] == ["0", "0.1"]


def test_the_sweep_marks_what_blew_up_and_the_best(filled) -> None:
    _, ends = sweep_figure(pd.read_csv(filled.table("sweep"))).axes
    crosses = next(line for line in ends.lines if line.get_marker() == "x")
    assert crosses.get_xdata().tolist() == [0.1]
    dashed = next(line for line in ends.lines if line.get_linestyle() == "--")
    assert dashed.get_xdata()[0] == 0.01


def test_a_sweep_in_which_all_blew_up_is_drawn() -> None:
    lost = pd.DataFrame({"lr": [0.1, 1.0], "step": [1, 1], "loss": math.inf})
    assert len(sweep_figure(lost).axes) == 2


def test_each_rate_of_learning_by_heart_has_a_line(filled) -> None:
    (panel,) = overfit_figure(pd.read_csv(filled.table("overfit"))).axes
    assert panel.get_legend().get_texts()[0].get_text() == "lr 0.001"


def test_a_search_shows_the_least_so_far() -> None:
    trials = pd.DataFrame(
        {
            "trial": [0, 1, 2, 3],
            "state": ["complete", "pruned", "complete", "fail"],
            "cost": [6.0, 9.0, 5.0, None],
        }
    )
    (panel,) = search_figure(trials).axes
    least = next(line for line in panel.lines if line.get_label() == "least so far")
    assert least.get_ydata().tolist() == [6, 5]


def test_a_folder_is_of_one_tuning(filled) -> None:
    filled.claim({"config": {"seed": 0}})
    with pytest.raises(UsageError, match=r"tuning of something else: config\.seed"):
        filled.claim({"config": {"seed": 1}})


def test_a_folder_of_something_else_is_left_alone(tmp_path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UsageError, match="holds no tuning"):
        TuningFolder(tmp_path).claim({})


def test_a_plan_without_steps_is_refused() -> None:
    with pytest.raises(UsageError, match="whole numbers from 1"):
        TuningPlan(sweep_steps=0)
