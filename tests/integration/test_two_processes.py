"""Two processes train what one process trains, by Lightning's launcher and by torchrun."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file
from tests import forked

from agelens.data.store import prepare
from agelens.tables import SampleTable

ROWS, SIZE, SECONDS = 128, 32, 400
CALLBACKS = "agelens.training.callbacks"
TWO = ("--trainer.devices", "2", "--trainer.strategy", "ddp")


def _picture(_: str, path: str) -> bytes:
    """Noise that is brighter the older the row."""
    chance = np.random.default_rng(int(path))
    chip = np.clip(chance.normal(2 * int(path), 40, (SIZE, SIZE, 3)), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(chip).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with batch norm frozen, a stage that is let go on the way, and averaged weights."""
    folder = tmp_path_factory.mktemp("two")
    table = SampleTable.from_columns(
        {
            "sample_id": [f"noise/{row}" for row in range(ROWS)],
            "dataset": "noise",
            "path": [str(row) for row in range(ROWS)],
            "age_years": [row / 2 for row in range(ROWS)],
            "age_kind": "real",
            "split": ["train", "valid", "train", "test"] * (ROWS // 4),
        }
    )
    prepare(table, folder / "store", root=_picture, aligned=True, size=SIZE, encoding="png")
    document = {
        "method": "dex",
        "data": {"stores": str(folder / "store"), "split": "column", "batch_size": 32},
        "backbone": {"name": "resnet10t", "size": SIZE},
        "optimizer": {"class_path": "sgd", "init_args": {"lr": 0.05, "weight_decay": 0.01}},
        "schedule": "constant",
        "callbacks": [
            {"class_path": f"{CALLBACKS}.FrozenBatchNorm"},
            {
                "class_path": f"{CALLBACKS}.StageFreezing",
                "init_args": {"stages": 2, "unfreeze_at": 1},
            },
            {"class_path": f"{CALLBACKS}.WeightEMA", "init_args": {"decay": 0.9}},
        ],
        "trainer": {"max_epochs": 2, "accelerator": "cpu"},
    }
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def one(config: Path) -> Path:
    """The run by one process."""
    folder, log = config.with_name("one"), config.with_name("one.txt")
    process = forked.start("train", "--config", config, "-o", folder, "--quiet", log=log)
    ended = forked.end(process, log)
    assert ended.returncode == 0, ended.output
    return folder


def _run(start: Sequence[str], config: Path, name: str, *options: str) -> Path:
    """Train in processes of their own, none of which is left behind; the run folder."""
    folder = config.with_name(name)
    command = [*start, "train", "--config", str(config), "-o", str(folder), "--quiet", *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.terminate()  # torchrun takes its workers with it
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        raise
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, output
    return folder


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(["-m", "agelens"], id="lightning"),
        pytest.param(
            ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "agelens"],
            id="torchrun",
        ),
    ],
)
def test_two_processes_end_where_one_does(start: list[str], config: Path, one: Path) -> None:
    two = _run([sys.executable, *start], config, start[1], *TWO)
    alone, shared = (load_file(folder / "weights.safetensors") for folder in (one, two))
    assert alone.keys() == shared.keys()
    for name, weights in alone.items():
        torch.testing.assert_close(shared[name], weights, rtol=0, atol=1e-4, msg=name)
    figures = [pd.read_csv(folder / "metrics.csv") for folder in (one, two)]
    for column in ("step", "lr", "valid/mae", "valid/cs5"):
        np.testing.assert_allclose(*(table[column] for table in figures), atol=1e-3)
    predictions = [
        pd.read_parquet(folder / "predictions-test.parquet").set_index("sample_id")
        for folder in (one, two)
    ]
    assert predictions[0].index.equals(predictions[1].index)
    np.testing.assert_allclose(*(table["estimate_years"] for table in predictions), atol=1e-2)


def test_training_moved_what_is_compared(one: Path) -> None:
    """The first stage was let go and has learnt: it is not equal for having been frozen."""
    last = torch.load(one / "checkpoints" / "last.ckpt", weights_only=True)
    first = "model.backbone.net.conv1.0.weight"
    assert not torch.equal(last["current_model_state"][first], last["state_dict"][first])
