"""The search: seeded, pruned, on the valid part, and going on where it was stopped."""

from __future__ import annotations

import math
from types import SimpleNamespace

import optuna
import pandas as pd
import pytest
import torch

from agelens.errors import TrainingError, UsageError
from agelens.training.tuning import Choice, Range, parse_space
from agelens.training.tuning import search as search_module
from agelens.training.tuning.search import best_values, search, trial_table

SPACE = {"optimizer.lr": Range(1e-4, 1e-1, log=True), "data.batch_size": Choice((4, 8))}


@pytest.fixture
def bowl(monkeypatch):
    """Trials without training: the cost is the distance of lr from 0.01 in decades."""
    tried = []

    def training_of(_, values):
        tried.append(values)
        cost = abs(math.log10(values["optimizer.lr"]) + 2) + values["data.batch_size"] / 100
        return SimpleNamespace(run=SimpleNamespace(selection=SimpleNamespace(best_cost=cost)))

    def run_trial(training, *, epochs, callbacks):
        (pruning,) = callbacks
        for epoch in range(epochs):
            pruning.trial.report(training.run.selection.best_cost, epoch)
            if pruning.trial.should_prune():
                raise optuna.TrialPruned
        return SimpleNamespace(lost=False, best={})

    monkeypatch.setattr(search_module, "training_of", training_of)
    monkeypatch.setattr(search_module, "run_trial", run_trial)
    return tried


@pytest.fixture
def make():
    return SimpleNamespace(value=lambda _: 0)


def test_good_values_are_found_and_bad_trials_given_up(bowl, make, tmp_path) -> None:
    study = search(make, tmp_path / "s.db", SPACE, trials=25, epochs=3, seed=1)
    found = best_values(study)
    assert 0.003 < found["optimizer.lr"] < 0.03
    table = trial_table(study)
    assert len(table) == len(bowl) == 25
    assert (table["state"] == "pruned").any()
    assert set(table["data.batch_size"]) <= {4, 8}


def test_a_search_that_was_stopped_proposes_what_it_would_have(bowl, make, tmp_path) -> None:
    whole = trial_table(search(make, tmp_path / "one.db", SPACE, trials=12, seed=5))
    search(make, tmp_path / "two.db", SPACE, trials=7, seed=5)
    stored = f"sqlite:///{tmp_path / 'two.db'}"
    killed = optuna.load_study(study_name=search_module.STUDY, storage=stored)
    killed.ask()  # and never told of again
    resumed = trial_table(search(make, tmp_path / "two.db", SPACE, trials=12, seed=5))
    assert (resumed["state"] == "fail").sum() == 1
    again = resumed[resumed["state"] != "fail"].reset_index(drop=True)
    pd.testing.assert_frame_equal(
        again.drop(columns="trial"), whole.drop(columns="trial"), check_dtype=False
    )


def test_a_lost_trial_counts_as_done(bowl, make, tmp_path, monkeypatch) -> None:
    lost = SimpleNamespace(lost=True, best=None)
    monkeypatch.setattr(search_module, "run_trial", lambda *_, **__: lost)
    study = search(make, tmp_path / "s.db", SPACE, trials=3)
    assert trial_table(study)["state"].tolist() == ["fail"] * 3
    assert trial_table(search(make, tmp_path / "s.db", SPACE, trials=3)).shape[0] == 3
    with pytest.raises(TrainingError, match="no trial of the search"):
        best_values(study)


def test_another_space_is_refused(bowl, make, tmp_path) -> None:
    search(make, tmp_path / "s.db", SPACE, trials=1)
    with pytest.raises(UsageError, match=r"over .*'data.batch_size'"):
        search(make, tmp_path / "s.db", {"optimizer.lr": Range(0.1, 0.2)}, trials=2)


def test_an_unknown_key_is_an_error_before_any_training(maker, tmp_path) -> None:
    with pytest.raises(UsageError, match=r"no value 'optimizer\.rate'"):
        search(maker(), tmp_path / "s.db", {"optimizer.rate": Range(0, 1)}, trials=1)


def test_real_trials_are_judged_by_the_valid_part(maker, tmp_path) -> None:
    space = {"optimizer.lr": Range(1e-4, 1e-2, log=True)}
    study = search(maker(), tmp_path / "s.db", space, trials=2, epochs=2)
    for trial in study.trials:
        assert set(trial.intermediate_values) == {0, 1}
        assert trial.value == min(trial.intermediate_values.values())
    assert torch.isfinite(torch.tensor(study.best_value))


def test_spaces_are_written_in_words() -> None:
    space = parse_space(
        ["optimizer.lr=1e-5:1e-2:log", "data.batch_size=16,32", "a.b=1:9", "c=adam,true,0.5"]
    )
    assert space == {
        "optimizer.lr": Range(1e-5, 1e-2, log=True),
        "data.batch_size": Choice((16, 32)),
        "a.b": Range(1, 9),
        "c": Choice(("adam", True, 0.5)),
    }
    trial = optuna.trial.FixedTrial({"a.b": 4})
    assert space["a.b"].draw(trial, "a.b") == 4


@pytest.mark.parametrize(
    "word", ["lr", "lr=", "=1:2", "lr=1:2:3", "lr=a:b", "lr=1:2:log:log", "lr=2:1", "lr=0:1:log"]
)
def test_other_words_are_refused(word: str) -> None:
    with pytest.raises(UsageError):
        parse_space([word])
