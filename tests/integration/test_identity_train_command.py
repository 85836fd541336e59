"""`agelens identity train`: the age branch, then the identity branch, to a network that embeds."""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from agelens.data.store import ChipStore
from agelens.errors import UsageError
from agelens.recognition import IdentityData, IdentityRun, train_identity
from agelens.recognition.extractors import open_extractor
from agelens.recognition.training.branch_choice import BranchChoice
from agelens.recognition.training.configuration import ClassOptions
from agelens.recognition.training.stages import IdentityStageModule
from agelens.training.optimizers import MultiStep
from agelens.training.run_options import CheckpointTimes

Command = Callable[..., Any]
TINY: dict[str, Any] = {
    "name": "iresnet18",
    "size": 32,
    "options": {"widths": [8, 8, 8, 16], "embedding": 16},
}
EPOCHS, BATCHES = 2, 3


@pytest.fixture(scope="module")
def config(bright_store: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("identity")
    store = bright_store(folder / "people", samples=24)
    document = {
        "branch": TINY,
        "age_branch": {**TINY, "weights": str(folder / "age" / "weights.safetensors")},
        "data": {"stores": str(store), "batch_size": 8, "workers": 0, "aligned_by": "dlib-64"},
        "classes": {"sample_rate": 0.75},
        "schedule": {"class_path": "multi-step", "init_args": {"milestones": [1], "gamma": 0.1}},
        "checkpoints": {"every_steps": 4},
        "trainer": {"max_epochs": EPOCHS, "accelerator": "cpu"},
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    return folder / "run.yaml"


@pytest.fixture(scope="module")
def age_run(config: Path, agelens: Command) -> Path:
    folder = config.with_name("age")
    ran = agelens("identity", "train", "--config", config, "--stage", "age", "-o", folder)
    assert ran.status == 0, ran.err
    assert f"--age_branch.weights {folder / 'weights.safetensors'}" in ran.out
    return folder


@pytest.fixture(scope="module")
def identity_run(config: Path, age_run: Path, agelens: Command) -> Path:
    folder = config.with_name("identity")
    ran = agelens("identity", "train", "--config", config, "-o", folder)
    assert ran.status == 0, ran.err
    assert "24 pictures of 12 people" in ran.out
    assert f"epoch {EPOCHS} of {EPOCHS}: likelihood" in ran.err
    return folder


def test_the_age_stage_leaves_a_branch(age_run: Path) -> None:
    summary = json.loads((age_run / "summary.json").read_text())
    assert (summary["stage"], summary["epochs"]) == ("age", EPOCHS)
    assert 0 <= summary["last_epoch"]["train/right_group"] <= 1
    weights = load_file(age_run / "weights.safetensors")
    assert weights["head.weight"].shape == (8, 16)
    assert not (age_run / "model.onnx").exists()


def test_the_frozen_branch_is_the_one_that_the_age_stage_left(
    age_run: Path, identity_run: Path
) -> None:
    checkpoint = torch.load(identity_run / "checkpoints" / "last.ckpt", weights_only=True)
    left = load_file(age_run / "weights.safetensors")
    frozen = {
        name.removeprefix("model.age."): value
        for name, value in checkpoint["state_dict"].items()
        if name.startswith("model.age.")
    }
    assert frozen
    for name, value in frozen.items():
        assert value.equal(left[name]), name


def test_a_run_folder_tells_how_it_came_about(identity_run: Path) -> None:
    names = {path.name for path in identity_run.iterdir()}
    assert names >= {
        *("config.yaml", "environment.json", "data.json", "metrics.csv", "logs", "checkpoints"),
        *("starting-weights.txt", "weights.safetensors", "summary.json", "model.onnx", "card.json"),
    }
    header = (identity_run / "metrics.csv").read_text().splitlines()[0].split(",")
    assert set(header) >= {"lr", "train/likelihood", "train/bound", "train/identity", "train/loss"}
    facts = json.loads((identity_run / "data.json").read_text())
    assert (facts["identities"], facts["samples"], facts["age_kinds"]) == (12, 24, {"real": 24})
    assert not any("margin" in name for name in load_file(identity_run / "weights.safetensors"))


def test_the_exported_network_embeds_as_the_trained_branch(
    identity_run: Path, config: Path
) -> None:
    extractor = open_extractor(identity_run)
    assert (extractor.input.alignment, extractor.input.template) == ("similarity", "dlib-64")
    store = ChipStore.open(config.with_name("people"))
    chips = np.stack([store[row] for row in range(5)])
    branch = BranchChoice(**TINY).build_empty()
    branch.load_state_dict(load_file(identity_run / "weights.safetensors"))
    pixels = torch.from_numpy(chips).permute(0, 3, 1, 2).float().div(127.5).sub(1)
    with torch.no_grad():
        trained = torch.nn.functional.normalize(branch.eval()(pixels)).numpy()
    np.testing.assert_allclose(extractor.embed(chips), trained, atol=1e-4)


@pytest.mark.parametrize("killed_at", [1, 4], ids=["first epoch", "second epoch"])
def test_a_broken_run_ends_like_an_unbroken_one(
    killed_at: int,
    identity_run: Path,
    agelens: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, steps = tmp_path / "run", []
    whole_step = IdentityStageModule.training_step

    def until_killed(self: IdentityStageModule, batch: Any, batch_idx: int) -> None:
        if len(steps) == killed_at + 1:
            raise MemoryError("killed")
        steps.append(batch_idx)
        whole_step(self, batch, batch_idx)

    words = ("identity", "train", "--quiet", "--no-export")
    begin = ("--config", identity_run.with_name("run.yaml"), "-o", folder)
    with monkeypatch.context() as patched:
        patched.setattr(IdentityStageModule, "training_step", until_killed)
        killed = agelens(*words, *begin)
    assert (killed.status, killed.err.count("not enough memory")) == (1, 1)
    assert not (folder / "summary.json").exists()
    ran = agelens(*words, "--resume", folder)
    assert ran.status == 0, ran.err
    mine, theirs = (
        torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
        for run in (folder, identity_run)
    )
    for name, value in theirs["state_dict"].items():
        assert mine["state_dict"][name].equal(value), name
    for ours, unbroken in zip(mine["optimizer_states"], theirs["optimizer_states"], strict=True):
        for place, state in unbroken["state"].items():
            buffer = ours["state"][place]["momentum_buffer"]
            assert buffer is None or buffer.equal(state["momentum_buffer"])
    assert load_file(folder / "weights.safetensors").keys()


def test_a_run_goes_on_with_its_own_configuration_only(
    identity_run: Path, agelens: Command
) -> None:
    (identity_run / "summary.json").rename(identity_run / "summary.json.kept")
    try:
        ran = agelens("identity", "train", "--resume", identity_run, "--club.bound_weight", "0.5")
    finally:
        (identity_run / "summary.json.kept").rename(identity_run / "summary.json")
    assert ran.status == 2
    assert "config.club.bound_weight: there 0.001, now 0.5" in ran.err


def test_a_finished_run_is_left_alone(identity_run: Path, agelens: Command) -> None:
    ran = agelens("identity", "train", "--resume", identity_run)
    assert ran.status == 0
    assert "finished already" in ran.err


def test_the_printed_configuration_is_whole(config: Path, agelens: Command) -> None:
    ran = agelens("identity", "train", "--config", config, "--print-config")
    document = yaml.safe_load(ran.out)
    assert document["margin"]["class_path"] == "agelens.recognition.margins.CosFace"
    assert document["likelihood_optimizer"]["lr"] == 0.1
    assert document["stage"] == "identity"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--clubs.bound_weight", "1"), "Did you mean '--club.bound_weight'"),
        (("--age_branch.weights", "absent.safetensors"), "absent.safetensors"),
        (("--age_branch.weights", "random"), "a run with stage: age"),
        (("--age_branch.options.embedding", "8"), "do not fit"),
        (("--data.batch_size", "0"), "batch_size starts at 1, got 0"),
        (("--trainer.max_epochs", "0"), "max_epochs"),
        (("--classes.sample_rate", "2"), "above 0 to 1"),
    ],
)
@pytest.mark.usefixtures("age_run")
def test_what_cannot_be_trained_is_refused(
    words: tuple[str, ...],
    said: str,
    config: Path,
    agelens: Command,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "run"
    ran = agelens("identity", "train", "--config", config, "-o", folder, *words)
    assert ran.status == 2, ran.err
    assert said in ran.err
    assert not (folder / "summary.json").exists()


def test_a_run_made_in_python_is_the_one_that_the_command_makes(
    age_run: Path, config: Path, tmp_path: Path
) -> None:
    run = IdentityRun(
        stage="age",
        data=IdentityData(
            str(config.with_name("people")), batch_size=8, workers=0, aligned_by="dlib-64"
        ),
        branch=BranchChoice(**TINY),
        age_branch=BranchChoice(**TINY, weights=str(age_run / "weights.safetensors")),
        classes=ClassOptions(sample_rate=0.75),
        schedule=MultiStep([1], 0.1),
        checkpoints=CheckpointTimes(every_steps=4),
        trainer={"max_epochs": EPOCHS, "accelerator": "cpu"},
    )
    summary = train_identity(run, tmp_path / "run", quiet=True)
    assert summary["stage"] == "age"
    mine, theirs = (
        yaml.safe_load((folder / "config.yaml").read_text())
        for folder in (tmp_path / "run", age_run)
    )
    assert mine == theirs
    weights = (tmp_path / "run" / "weights.safetensors").read_bytes()
    assert weights == (age_run / "weights.safetensors").read_bytes()
    assert train_identity(run, age_run, quiet=True) == json.loads(
        (age_run / "summary.json").read_text()
    )
    with pytest.raises(UsageError, match="seed"):
        train_identity(replace(run, seed=1), tmp_path / "run", quiet=True)


def test_runs_of_identities_are_listed_beside_others(identity_run: Path, agelens: Command) -> None:
    ran = agelens("runs", identity_run.parent, "--json")
    assert ran.status == 0, ran.err
    rows = {row["name"]: row for row in json.loads(ran.out)}
    assert rows["identity"]["state"] == "finished"
    assert rows["identity"]["method"] == "iefp (identity stage)"
    assert rows["identity"]["valid MAE"] is None


STEP = "agelens.recognition.training.stages:IdentityStageModule.training_step"
WITHIN_A_WRITE = "agelens.atomic:os.fsync"
FIRST_CHECKPOINT, NEXT_EPOCHS_CHECKPOINT = 4, 7
"""The writes before are of configuration, facts, starting weights and metrics."""


@pytest.mark.parametrize(
    ("point", "count"),
    [
        *((STEP, steps) for steps in random.Random(18).sample(range(EPOCHS * BATCHES), 2)),
        (WITHIN_A_WRITE, FIRST_CHECKPOINT),
        (WITHIN_A_WRITE, NEXT_EPOCHS_CHECKPOINT),
    ],
)
def test_a_killed_run_ends_like_an_unbroken_one(
    point: str,
    count: int,
    *,
    identity_run: Path,
    agelens: Command,
    killed_at: Callable[..., Any],
    tmp_path: Path,
) -> None:
    words = ("identity", "train", "--quiet", "--no-export")
    begin = ("--config", identity_run.with_name("run.yaml"), "-o", tmp_path / "run")
    ran = killed_at(point, count, *words, *begin)
    assert ran.returncode == -signal.SIGKILL
    halves = list((tmp_path / "run" / "checkpoints").glob(".last.ckpt.*.partial"))
    assert len(halves) == (point == WITHIN_A_WRITE)
    assert agelens(*words, "--resume", tmp_path / "run").status == 0
    mine, theirs = (
        torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for run in (tmp_path / "run", identity_run)
    )
    assert all(mine[name].equal(value) for name, value in theirs.items())
    assert not list((tmp_path / "run").rglob("*.partial"))
