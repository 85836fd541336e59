"""Runs killed without warning, resumed: the same weights as an unbroken run, bit by bit."""

from __future__ import annotations

import os
import random
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from tests import forked

EPOCHS, BATCHES = 3, 3
CONFIG: dict[str, Any] = {
    "method": "drf",  # its leaves learn by step, its plateau by epoch
    "data": {"batch_size": 8, "preset": "regression", "valid_share": 0.2},
    "backbone": {"name": "tinyagenet", "size": 32},
    "optimizer": {"class_path": "adamw", "init_args": {"lr": 3e-3, "weight_decay": 0.01}},
    "schedule": {"class_path": "plateau", "init_args": {"patience": 0, "warmup_epochs": 1}},
    "checkpoints": {"every_steps": 1},
    "trainer": {"max_epochs": EPOCHS, "accelerator": "cpu", "limit_train_batches": BATCHES},
}


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_at(point: str, count: int) -> None:
    """Let this process be killed the `count`th time (from 0) that it comes to `point`."""
    from agelens.training import checkpoints
    from agelens.training.age_module import AgeModule

    passed = 0

    def passing(before: Callable[..., Any]) -> Callable[..., Any]:
        def passed_on(*given: Any, **named: Any) -> Any:
            nonlocal passed
            if passed == count:
                _die()
            passed += 1
            return before(*given, **named)

        return passed_on

    if point == "step":
        AgeModule.training_step = passing(AgeModule.training_step)  # type: ignore[method-assign]
    elif point == "validation":
        AgeModule.validation_step = passing(AgeModule.validation_step)  # type: ignore[method-assign]
    elif point == "test":
        AgeModule.test_step = passing(AgeModule.test_step)  # type: ignore[method-assign]
    elif point == "before a checkpoint":
        checkpoints.write_atomically = passing(checkpoints.write_atomically)
    elif point == "within a checkpoint":
        os.fsync = passing(os.fsync)
    elif point != "never":
        raise ValueError(point)


def _train(arguments: list[str], point: str, count: int, log: str) -> None:
    """What a process does: the command, until it is killed."""
    import warnings

    from agelens.cli import main
    from agelens.training.callbacks import learning_curves

    learning_curves.draw_curves = lambda run: None  # takes longer than all the rest
    warnings.simplefilter("error")
    torch.set_num_threads(1)  # of small tensors, more threads only wait for each other
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    _die_at(point, count)
    if arguments[0] == "python":
        _train_in_python(*arguments[1:])
        raise SystemExit(0)
    raise SystemExit(main(["train", *arguments]))


def _train_in_python(folder: str, store: str = "") -> None:
    """The run of `CONFIG` by `Engine`, begun on a store or else resumed."""
    from agelens.data import AgeData
    from agelens.models import DeepRegressionForest
    from agelens.training import AdamW, BackboneChoice, CheckpointTimes, Engine, Plateau

    if not store:
        Engine.resume(folder)
        return
    engine = Engine(
        folder,
        max_epochs=EPOCHS,
        optimizer=AdamW(3e-3, weight_decay=0.01),
        schedule=Plateau(patience=0, warmup_epochs=1),
        checkpoints=CheckpointTimes(every_steps=1),
        accelerator="cpu",
        limit_train_batches=BATCHES,
    )
    data = AgeData(store, batch_size=8, preset="regression", valid_share=0.2)
    engine.fit(DeepRegressionForest(), data, backbone=BackboneChoice("tinyagenet", size=32))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., int]:
    """Runs the command in a process of its own; its exit code, -9 where it was killed."""
    logs = tmp_path_factory.mktemp("logs")

    def run(*arguments: str | Path, point: str = "never", count: int = 0) -> int:
        log = logs / "log.txt"
        words = [str(word) for word in arguments]
        given = (words, point, count, str(log))
        process = forked.processes().Process(target=_train, args=given)
        process.start()
        ended = forked.end(process, log)
        if ended.returncode not in (0, -signal.SIGKILL):
            print(ended.output)
        return ended.returncode

    return run


@pytest.fixture(scope="module")
def config(bright_store: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("resume")
    store = bright_store(folder / "bright")
    document = {**CONFIG, "data": {**CONFIG["data"], "stores": str(store)}}
    (folder / "c.yaml").write_text(yaml.safe_dump(document))
    return folder / "c.yaml"


@pytest.fixture(scope="module")
def unbroken(config: Path, run: Callable[..., int], tmp_path_factory: Any) -> Path:
    folder: Path = tmp_path_factory.mktemp("unbroken") / "run"
    assert run("--config", config, "-o", folder) == 0
    return folder


def resume_identity(folder: Path, unbroken: Path) -> None:
    """Every weight, the optimiser, the schedule, and every estimate are equal."""
    mine, theirs = (load_file(run / "weights.safetensors") for run in (folder, unbroken))
    assert mine.keys() == theirs.keys()
    for name, value in theirs.items():
        assert torch.equal(mine[name], value), name
    for which in ("last", "best"):
        states = [
            torch.load(run / "checkpoints" / f"{which}.ckpt", weights_only=True)
            for run in (folder, unbroken)
        ]
        for key in ("state_dict", "optimizer_states", "lr_schedulers", "agelens", "global_step"):
            assert_equal(states[0][key], states[1][key], key)
    for table in ("predictions-valid.parquet", "predictions-test.parquet"):
        # The run's own name is in it.
        mine_frame, their_frame = (_estimates(run / table) for run in (folder, unbroken))
        assert mine_frame.equals(their_frame)


def _estimates(path: Path) -> Any:
    import pandas as pd

    return pd.read_parquet(path).drop(columns="model")


def assert_equal(mine: Any, theirs: Any, where: str) -> None:
    if isinstance(theirs, torch.Tensor):
        assert torch.equal(mine, theirs), where
    elif isinstance(theirs, dict):
        assert mine.keys() == theirs.keys(), where
        for key, value in theirs.items():
            assert_equal(mine[key], value, f"{where}.{key}")
    elif isinstance(theirs, list | tuple):
        assert len(mine) == len(theirs), where
        for place, value in enumerate(theirs):
            assert_equal(mine[place], value, f"{where}[{place}]")
    else:
        assert mine == theirs, where


POINTS = [
    ("step", 0),  # before there is any checkpoint
    ("step", 1),
    ("step", BATCHES),  # the first of the second epoch
    ("step", BATCHES + 2),
    ("validation", 0),
    ("validation", 2),
    ("before a checkpoint", 3),  # the epoch's, which is `best`
    ("within a checkpoint", 8),
    ("test", 1),
]


@pytest.mark.parametrize("place", POINTS, ids=lambda place: f"{place[0]} {place[1]}")
def test_a_killed_run_ends_like_an_unbroken_one(
    place: tuple[str, int], config: Path, unbroken: Path, run: Callable[..., int], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    point, count = place
    assert run("--config", config, "-o", folder, point=point, count=count) == -signal.SIGKILL
    assert not (folder / "summary.json").exists()
    assert run("--resume", folder) == 0
    resume_identity(folder, unbroken)


def test_a_run_killed_again_and_again_ends_like_an_unbroken_one(
    config: Path, unbroken: Path, run: Callable[..., int], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    chance = random.Random(0)
    statuses = [run("--config", config, "-o", folder, point="step", count=2)]
    while statuses[-1]:
        statuses.append(run("--resume", folder, point="step", count=chance.randint(1, 3)))
    assert statuses[:-1] == [-signal.SIGKILL] * (len(statuses) - 1)
    assert len(statuses) > 3
    resume_identity(folder, unbroken)


@pytest.mark.parametrize("begun_by", ["command", "python"])
def test_a_run_that_one_front_door_began_is_ended_by_the_other(
    begun_by: str, config: Path, unbroken: Path, run: Callable[..., int], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    command = ["--config", config, "-o", folder], ["--resume", folder]
    python = ["python", folder, config.with_name("bright")], ["python", folder]
    begin, go_on = (command[0], python[1]) if begun_by == "command" else (python[0], command[1])
    assert run(*begin, point="step", count=BATCHES + 1) == -signal.SIGKILL
    assert run(*go_on) == 0
    assert (folder / "config.yaml").read_text() == (unbroken / "config.yaml").read_text()
    assert (folder / "card.json").is_file()
    resume_identity(folder, unbroken)


def test_a_bundle_that_was_not_reached_is_made_by_a_resumed_run(
    unbroken: Path, run: Callable[..., int], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(unbroken, folder)
    (folder / "card.json").unlink()
    before = (folder / "weights.safetensors").stat().st_mtime_ns
    assert run("--resume", folder) == 0
    assert (folder / "card.json").is_file()
    assert (folder / "weights.safetensors").stat().st_mtime_ns == before
