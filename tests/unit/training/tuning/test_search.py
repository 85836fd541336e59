"""The search: seeded, pruned, on the valid part, and going on where it was stopped."""

from __future__ import annotations

import math
from types import SimpleNamespace

import optuna
import pandas as pd
import pytest
import torch
from optuna.distributions import CategoricalDistribution, IntDistribution

from agelens.errors import TrainingError, UsageError
from agelens.training.tuning import parse_space
from agelens.training.tuning import search as search_module
from agelens.training.tuning.search import search
from agelens.training.tuning.space import number_range

SPACE = {
    "optimizer.lr": number_range(1e-4, 1e-1, log=True),
    "data.batch_size": CategoricalDistribution((4, 8)),
}


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
        return SimpleNamespace(lost=False, best={"valid/mae": 1.0})

    monkeypatch.setattr(search_module, "training_of", training_of)
    monkeypatch.setattr(search_module, "run_trial", run_trial)
    return tried


@pytest.fixture
def make():
    return SimpleNamespace(value=lambda _: 0)


def test_good_values_are_found_and_bad_trials_given_up(bowl, make, tmp_path) -> None:
    study = search(make, tmp_path / "s.db", SPACE, trials=25, epochs=3, seed=1)
    found = study.best
    assert 0.003 < found["optimizer.lr"] < 0.03
    table = study.table()
    assert len(table) == len(bowl) == 25
    assert (table["state"] == "pruned").any()
    assert set(table["data.batch_size"]) <= {4, 8}


def test_a_search_that_was_stopped_proposes_what_it_would_have(bowl, make, tmp_path) -> None:
    whole = search(make, tmp_path / "one.db", SPACE, trials=12, seed=5).table()
    search(make, tmp_path / "two.db", SPACE, trials=7, seed=5)
    stored = f"sqlite:///{tmp_path / 'two.db'}"
    killed = optuna.load_study(study_name="search", storage=stored)
    killed.ask()  # and never told of again
    resumed = search(make, tmp_path / "two.db", SPACE, trials=12, seed=5).table()
    assert (resumed["state"] == "fail").sum() == 1
    again = resumed[resumed["state"] != "fail"].reset_index(drop=True)
    pd.testing.assert_frame_equal(
        again.drop(columns="trial"), whole.drop(columns="trial"), check_dtype=False
    )


def test_a_lost_trial_counts_as_done(bowl, make, tmp_path, monkeypatch) -> None:
    lost = SimpleNamespace(lost=True, best=None)
    monkeypatch.setattr(search_module, "run_trial", lambda *_, **__: lost)
    study = search(make, tmp_path / "s.db", SPACE, trials=3)
    assert study.table()["state"].tolist() == ["fail"] * 3
    assert search(make, tmp_path / "s.db", SPACE, trials=3).table().shape[0] == 3
    with pytest.raises(TrainingError, match="no trial of the search"):
        _ = study.best


def test_another_space_is_refused(bowl, make, tmp_path) -> None:
    search(make, tmp_path / "s.db", SPACE, trials=1)
    with pytest.raises(UsageError, match=r"over .*'data.batch_size'"):
        search(make, tmp_path / "s.db", {"optimizer.lr": number_range(0.1, 0.2)}, trials=2)


def test_an_unknown_key_is_an_error_before_any_training(maker, tmp_path) -> None:
    with pytest.raises(UsageError, match=r"no value 'optimizer\.rate'"):
        search(maker(), tmp_path / "s.db", {"optimizer.rate": number_range(0, 1)}, trials=1)


def test_real_trials_are_judged_by_the_valid_part(maker, tmp_path) -> None:
    space = {"optimizer.lr": number_range(1e-4, 1e-2, log=True)}
    study = search(maker(), tmp_path / "s.db", space, trials=2, epochs=2)
    for trial in study.study.trials:
        assert set(trial.intermediate_values) == {0, 1}
        assert trial.value == min(trial.intermediate_values.values())
    assert torch.isfinite(torch.tensor(study.study.best_value))


def test_spaces_are_written_in_words() -> None:
    space = parse_space(
        ["optimizer.lr=1e-5:1e-2:log", "data.batch_size=16,32", "a.b=1:9", "c=adam,true,0.5"]
    )
    assert space == {
        "optimizer.lr": number_range(1e-5, 1e-2, log=True),
        "data.batch_size": CategoricalDistribution((16, 32)),
        "a.b": number_range(1, 9),
        "c": CategoricalDistribution(("adam", True, 0.5)),
    }
    assert isinstance(space["a.b"], IntDistribution)


@pytest.mark.parametrize(
    "word", ["lr", "lr=", "=1:2", "lr=1:2:3", "lr=a:b", "lr=1:2:log:log", "lr=2:1", "lr=0:1:log"]
)
def test_other_words_are_refused(word: str) -> None:
    with pytest.raises(UsageError):
        parse_space([word])
