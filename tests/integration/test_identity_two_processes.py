"""Two processes that share the centres of identities leave what one process can go on with."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
import yaml
from tests import forked

PEOPLE, SECONDS = 9, 900
CENTRES = "model.margin.classes.weight"


TINY: dict[str, Any] = {
    "name": "iresnet18",
    "size": 32,
    "options": {"widths": [8, 8, 8, 16], "embedding": 16},
}
CLOSE = 1e-4


def _train(log: Path, *words: str | Path, processes: int = 1) -> None:
    """The command in `processes` that torchrun could have started."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    both = ("--trainer.devices", "2", "--trainer.strategy", "ddp") if processes == 2 else ()
    command = ("identity", "train", *words, "--quiet", "--no-export", *both)
    begun = []
    for rank in range(processes):
        environment = {**meeting, "LOCAL_RANK": str(rank)} if both else {}
        file = log.with_suffix(f".{rank}.txt")
        begun.append((forked.start(*command, log=file, **environment), file))
    try:
        for process, file in begun:
            ended = forked.end(process, file)
            assert ended.returncode == 0, ended.output
    finally:
        for process, _ in begun:
            process.kill()


def _launch(*words: str | Path) -> None:
    """The command, which starts its second process itself; neither is left behind."""
    process = subprocess.Popen(
        [sys.executable, "-m", "agelens", "identity", "train", *map(str, words), "--quiet"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=SECONDS)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, output


def test_centres_in_shards_are_left_whole(
    bright_store: Callable[..., Path], tmp_path: Path
) -> None:
    """Nine people make shards of four and five; the run ends in two processes, then in one."""
    store = bright_store(tmp_path / "people", samples=2 * PEOPLE)
    document: dict[str, Any] = {
        "branch": TINY,
        "club": {"bound_weight": 0},
        "classes": {"sharded": True},
        "clip_centres": True,
        "data": {"stores": str(store), "batch_size": 8, "workers": 0},
        "optimizer": {"lr": 0.05},
        "checkpoints": {"every_steps": 1},
        "trainer": {
            "max_epochs": 2,
            "accelerator": "cpu",
            "devices": 2,
            "strategy": "ddp",
        },
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    run = tmp_path / "run"
    _launch("--config", tmp_path / "run.yaml", "-o", run, "--no-export")
    two = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert two["state_dict"][CENTRES].shape == (PEOPLE, 16)
    first = two["optimizer_states"][0]
    momentum = first["state"][first["param_groups"][-1]["params"][-1]]["momentum_buffer"]
    assert momentum.shape == (PEOPLE, 16)
    assert momentum.abs().sum(1).gt(0).all()  # of both shards

    for name in ("summary.json", "weights.safetensors"):
        (run / name).unlink()
    one = ("--trainer.devices", "1", "--trainer.strategy", "auto")
    _train(tmp_path / "one", "--resume", run, *one)
    assert (run / "weights.safetensors").is_file()


def test_two_processes_end_where_one_does(
    bright_store: Callable[..., Path], tmp_path: Path
) -> None:
    """Both stages: batch norm, the age groups' losses, the bound's strangers, the clipped steps."""
    store = bright_store(tmp_path / "people", samples=64)
    document: dict[str, Any] = {
        "branch": TINY,
        "club": {"bound_weight": 0.1},
        "data": {"stores": str(store), "batch_size": 32, "workers": 0},
        "optimizer": {"lr": 0.02},
        "clip_centres": True,
        "trainer": {"max_epochs": 1, "accelerator": "cpu", "sync_batchnorm": True},
    }
    config = tmp_path / "run.yaml"
    config.write_text(yaml.safe_dump(document), encoding="utf-8")
    age = ("--age_branch.name", "iresnet18", "--age_branch.size", "32")
    age += ("--age_branch.options", json.dumps(TINY["options"]))
    age += ("--age_branch.weights", str(tmp_path / "age" / "weights.safetensors"))
    for stage, words in (("age", ("--stage", "age")), ("identity", age)):
        for name, processes in ((stage, 1), (f"{stage}-2", 2)):
            folder = tmp_path / name
            _train(folder, "--config", config, *words, "-o", folder, processes=processes)
    for stage in ("age", "identity"):
        alone, shared = (
            torch.load(tmp_path / name / "checkpoints" / "last.ckpt", weights_only=True)
            for name in (stage, f"{stage}-2")
        )
        assert alone["global_step"] == shared["global_step"] > 0
        for name, value in alone["state_dict"].items():
            torch.testing.assert_close(
                shared["state_dict"][name], value, atol=CLOSE, rtol=CLOSE, msg=f"{stage} {name}"
            )
