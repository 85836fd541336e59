"""Seeding, time shares, history, identities: the small parts of the trainer."""

from __future__ import annotations

import csv
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch

from agelens.ages import AgeScale
from agelens.inference.answers import OutputSpec
from agelens.training import epoch_metrics as time_share
from agelens.training.checkpoints import config_diff, resume_identity
from agelens.training.epoch_metrics import (
    LossAverager,
    TimeShare,
    TrainingErrors,
    told_accuracies,
    validation_metrics,
)
from agelens.training.run_trainer import SeededSteps, environment, reseed


@pytest.fixture(autouse=True)
def chance():
    """Leave everybody's random numbers as they were."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    yield
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])


def drawn() -> tuple[float, ...]:
    return random.random(), float(np.random.random()), float(torch.rand(1))


def test_equal_entropy_gives_equal_chance_to_all_three() -> None:
    reseed(1, 2)
    first = drawn()
    reseed(1, 3)
    other = drawn()
    reseed(1, 2)
    assert drawn() == first
    assert all(a != b for a, b in zip(first, other, strict=True))


def test_a_steps_chance_hangs_on_its_place_alone() -> None:
    seeds = SeededSteps(5)
    place: Any = SimpleNamespace(current_epoch=1, global_rank=0)
    seeds.on_train_batch_start(place, mock.Mock(), None, 3)
    first = drawn()
    drawn()
    seeds.on_train_batch_start(place, mock.Mock(), None, 3)
    assert drawn() == first
    for epoch, rank, batch in ((2, 0, 3), (1, 1, 3), (1, 0, 4)):
        other: Any = SimpleNamespace(current_epoch=epoch, global_rank=rank)
        seeds.on_train_batch_start(other, mock.Mock(), None, batch)
        assert drawn() != first
    seeds.on_train_epoch_start(place, mock.Mock())
    assert drawn() != first


def answers_of(ages: list[float]) -> torch.Tensor:
    return torch.tensor([[age, 1.0] for age in ages])


def test_training_errors_are_over_samples_and_leave_broken_answers_out() -> None:
    spec = OutputSpec(AgeScale.parse("0-100"), kind="mean-spread")
    errors = TrainingErrors(spec)
    errors.add(answers_of([10, 20, 30]), torch.tensor([11.0, 26.0, 35.0]))
    errors.add(answers_of([50, float("nan")]), torch.tensor([50.0, 20.0]))
    assert errors.means() == {"mae": (1 + 6 + 5 + 0) / 4, "cs5": 3 / 4}
    assert errors.means() == {}


def test_training_errors_go_on_where_they_were_saved() -> None:
    spec = OutputSpec(AgeScale.parse("0-100"), kind="mean-spread")
    chance = torch.Generator().manual_seed(3)
    batches = [100 * torch.rand(2, 7, generator=chance) for _ in range(40)]
    whole, first, second = (TrainingErrors(spec) for _ in range(3))
    for place, (estimates, ages) in enumerate(batches):
        whole.add(answers_of(estimates.tolist()), ages)
        (first if place < 17 else second).add(answers_of(estimates.tolist()), ages)
        if place == 16:
            second.load_state_dict(first.state_dict())
    assert second.means() == whole.means()  # to the last bit


def test_accuracies_of_words_count_labelled_samples() -> None:
    told = {"gender": ("female", "male"), "ethnicity": ("a", "b", "c")}
    probabilities = np.array([[0.9, 0.1, 0.2, 0.7, 0.1], [0.4, 0.6, 0.5, 0.3, 0.2]])
    codes = {"gender": np.array([0, 0]), "ethnicity": np.array([1, -1])}
    found = told_accuracies(probabilities, told, codes)
    assert found == {"gender_accuracy": 0.5, "ethnicity_accuracy": 1.0}
    unknown = {"gender": np.array([-1, -1]), "ethnicity": np.array([-1, 0])}
    assert told_accuracies(probabilities, told, unknown) == {"ethnicity_accuracy": 1.0}


def test_the_share_of_time_is_the_models_over_all(monkeypatch: pytest.MonkeyPatch) -> None:
    # epoch start, then start and end of each batch: waits of 1, steps of 3
    times = iter([0, 1, 4, 5, 8, 9, 12, 100, 101, 104])
    monkeypatch.setattr(time_share.time, "perf_counter", lambda: next(times))
    share = TimeShare()
    nothing: Any = None
    share.on_train_epoch_start(nothing, nothing)
    for batch in range(3):
        share.on_train_batch_start(nothing, nothing, nothing, batch)
        share.on_train_batch_end(nothing, nothing, nothing, nothing, batch)
    assert (share.model_seconds, share.seconds) == (6, 8)  # the first is left out
    resumed = TimeShare()
    resumed.load_state_dict(share.state_dict())
    share.on_train_epoch_start(nothing, nothing)  # validation is not counted
    share.on_train_batch_start(nothing, nothing, nothing, 0)
    share.on_train_batch_end(nothing, nothing, nothing, nothing, 0)
    assert (share.model_seconds, share.seconds) == (9, 12)
    assert share.share == 0.75 == resumed.share


def test_losses_are_means_over_samples() -> None:
    sums = LossAverager()
    sums.add("train", {"loss": torch.tensor(1.0)}, 3)
    sums.add("train", {"loss": torch.tensor(5.0)}, 1)
    sums.add("valid", {"loss": torch.tensor(7.0)}, 2)
    other = LossAverager()
    other.load_state_dict(sums.state_dict())
    assert sums.means() == {"train/loss": 2, "valid/loss": 7}
    assert sums.means() == {}
    assert other.means() == {"train/loss": 2, "valid/loss": 7}


def test_metrics_are_over_samples_with_ties_inside() -> None:
    metrics = validation_metrics([20.0, 33, 45, 50], [25.0, 30, 45, 70])
    assert metrics["mae"] == 7
    assert metrics["bias"] == -5.5
    assert (metrics["cs5"], metrics["ca3"]) == (0.75, 0.5)
    assert metrics["mae/20-29"] == 5
    assert "mae/0-9" not in metrics


def test_differences_are_named_by_path() -> None:
    before = {"data": {"split": 1, "same": 2}, "gone": 3}
    now = {"data": {"split": 4, "same": 2}, "new": [5]}
    assert config_diff(before, now) == [
        "data.split: there 1, now 4",
        "gone: there 3, now None",
        "new: there None, now [5]",
    ]
    assert config_diff(before, before) == []
    hashes = [{"labels_sha256": digit * 64} for digit in "ab"]
    assert config_diff(*hashes) == ["labels_sha256: there aaaaaaaaaaaa..., now bbbbbbbbbbbb..."]


def test_places_and_devices_may_change_between_two_parts_of_a_run() -> None:
    config = {
        "seed": 1,
        "data": {"stores": "a", "batch_size": 2, "workers": 3},
        "trainer": {"devices": 2, "max_epochs": 3},
    }
    assert resume_identity(config) == {
        "seed": 1,
        "data": {"batch_size": 2},
        "trainer": {"max_epochs": 3},
    }


def test_the_environment_says_what_numbers_hang_on() -> None:
    found = environment(7)
    assert found["seed"] == 7
    assert found["packages"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert found["torch_threads"] == torch.get_num_threads()
    assert found["cores"] >= 1
    assert found["processor"]


def test_the_history_is_one_row_an_epoch(tmp_path: Path) -> None:
    from agelens.training.age_module import AgeModule
    from agelens.training.epoch_metrics import EpochHistory

    history = EpochHistory(tmp_path / "metrics.csv")
    module = mock.Mock(spec=AgeModule, improved=True)
    for epoch in range(2):
        trainer: Any = SimpleNamespace(
            current_epoch=epoch, global_step=3 * epoch, is_global_zero=True
        )
        module.metrics = {"valid/mae": 5.0 - epoch} | ({"extra": 1.0} if epoch else {})
        history.on_train_epoch_start(trainer, module)
        history.on_train_epoch_end(trainer, module)
    resumed = EpochHistory(tmp_path / "metrics.csv")
    resumed.load_state_dict(history.state_dict())
    assert resumed.rows == history.rows
    with (tmp_path / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["valid/mae"] for row in rows] == ["5.0", "4.0"]
    assert [row["extra"] for row in rows] == ["", "1.0"]
    assert [row["step"] for row in rows] == ["0", "3"]
