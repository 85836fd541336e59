"""The sweep and the grid: what they try, what they choose, and going on after a stop."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from agelens.errors import TrainingError
from agelens.training.tuning import search
from agelens.training.tuning.search import (
    Study,
    at_rates,
    best_rate,
    end_losses,
    fill_grid,
    grid_decays,
    grid_rates,
    sweep_rates,
)


def _sweep(losses_by_rate) -> pd.DataFrame:
    rows = [
        {"lr": lr, "step": step, "loss": loss}
        for lr, losses in losses_by_rate.items()
        for step, loss in enumerate(losses, 1)
    ]
    return pd.DataFrame(rows)


def test_the_last_quarter_counts_and_what_blew_up_does_not() -> None:
    sweep = _sweep(
        {
            0.1: [4, 1, 1, math.inf],
            0.01: [4, 3, 2, 2.5],
            0.001: [4, 4, 4, 3.9],
            1.0: [4, math.inf],
        }
    )
    assert end_losses(sweep).to_dict() == {0.001: 3.9, 0.01: 2.5, 0.1: math.inf, 1.0: math.inf}
    assert best_rate(sweep) == 0.01


def test_a_sweep_in_which_all_blew_up_is_an_error() -> None:
    with pytest.raises(TrainingError, match="every learning rate"):
        best_rate(_sweep({0.1: [math.inf], 0.2: [math.inf]}))


def test_a_sweep_starts_each_rate_alike_and_stops_one_that_is_lost(
    maker, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(search, "FACTORS", (1.0, 0.1, 1e30))
    make = maker("--method", "l2", "--optimizer", "sgd", "--optimizer.lr", "1e-4")
    sweep = sweep_rates(make, tmp_path / "s.db", steps=3)
    firsts = sweep[sweep["step"] == 1]["loss"]
    assert firsts.nunique() == 1
    steps = sweep.groupby("lr")["step"].max()
    assert steps.tolist()[:2] == [3, 3]
    assert sweep["loss"].iloc[-1] == math.inf
    assert best_rate(sweep) == 1e-4
    monkeypatch.setattr(search, "run_trial", None)
    again = sweep_rates(make, tmp_path / "s.db", steps=3)
    pd.testing.assert_frame_equal(again, sweep)


def test_grids_lie_around_what_is_known() -> None:
    assert grid_rates(0.01) == pytest.approx([0.00316, 0.01, 0.0316], rel=1e-2)
    assert grid_decays(0.05) == pytest.approx([0, 0.005, 0.05, 0.5])
    assert grid_decays(0.0) == pytest.approx([0, 1e-4, 1e-3, 1e-2])


def test_a_grid_that_was_stopped_goes_on(maker, tmp_path, monkeypatch) -> None:
    trials = []
    real = search.run_trial

    def counted(training, **options):
        if len(trials) == 1:
            raise KeyboardInterrupt
        trials.append(training.run.optimizer.lr)
        return real(training, **options)

    monkeypatch.setattr(search, "run_trial", counted)
    path, rates, decays = tmp_path / "s.db", [1e-3, 1e-2], [0.0]
    with pytest.raises(KeyboardInterrupt):
        fill_grid(maker(), path, rates, decays, epochs=1)
    assert (Study(path, "grid").table()["state"] == "complete").sum() == 1
    monkeypatch.setattr(search, "run_trial", real)
    grid = _finished(fill_grid(maker(), path, rates, decays, epochs=1))
    assert grid["optimizer.lr"].tolist() == rates
    assert grid["optimizer.weight_decay"].tolist() == [0.0, 0.0]
    assert trials == [1e-3]
    assert (grid["cost"] == grid["mae_years"]).all()
    again = _finished(fill_grid(maker(), tmp_path / "again.db", rates, decays, epochs=1))
    pd.testing.assert_frame_equal(again, grid)


def _finished(study: Study) -> pd.DataFrame:
    """Without the trial that was stopped, and without the numbers of trials, which count it."""
    table = study.table().drop(columns="trial")
    return table[table["state"] == "complete"].reset_index(drop=True)


def test_the_best_trial_is_that_of_the_least_cost(tmp_path) -> None:
    study = Study(tmp_path / "s.db", "grid")
    costs = {1.0: 2.0, 2.0: math.inf, 3.0: 1.5}
    study.run(at_rates(list(costs)), lambda trial: costs[trial.params["optimizer.lr"]])
    assert study.best == {"optimizer.lr": 3.0}
    assert study.table()["cost"].tolist() == [2.0, math.inf, 1.5]
    lost = Study(tmp_path / "s.db", "other")
    lost.run(at_rates([1.0]), lambda _: math.inf)
    with pytest.raises(TrainingError, match="no trial of the other"):
        _ = lost.best
