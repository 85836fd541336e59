"""`agelens tune`: the five steps as one report, killed on the way, and what it refuses."""

from __future__ import annotations

import io
import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from tests import forked

from agelens.data.store import prepare
from agelens.tables import SampleTable

ROWS, SIZE, PATIENCE_SECONDS = 32, 32, 300
SMALL = ("--overfit-samples", "4", "--overfit-steps", "20", "--sweep-steps", "2", "--quiet")


def _picture(_: str, path: str) -> bytes:
    light = np.full((SIZE, SIZE, 3), 7 * int(path), np.uint8)
    file = io.BytesIO()
    Image.fromarray(light).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one epoch on a store of grey pictures, the older the lighter."""
    folder = tmp_path_factory.mktemp("tune")
    table = SampleTable.from_columns(
        {
            "sample_id": [f"grey/{row}" for row in range(ROWS)],
            "dataset": "grey",
            "path": [str(row) for row in range(ROWS)],
            "age_years": [float(row) for row in range(ROWS)],
            "age_kind": "real",
            "split": ["train", "valid", "train", "test"] * (ROWS // 4),
        }
    )
    prepare(table, folder / "store", root=_picture, aligned=True, size=SIZE, encoding="png")
    document = {
        "method": "l1",
        "data": {"stores": str(folder / "store"), "split": "column", "batch_size": 8},
        "backbone": {"name": "tinyagenet", "size": SIZE},
        "trainer": {"max_epochs": 1, "accelerator": "cpu"},
    }
    path = folder / "grey.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small are slower on two, and much slower where others have the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def tune(agelens: Callable[..., Any], config: Path) -> Callable[..., Any]:
    """Runs the command: ``tune(folder, "--grid-epochs", "1")``."""
    return lambda folder, *options: agelens(
        "tune", "--config", config, "-o", folder, *SMALL, *options
    )


@pytest.fixture(scope="module")
def whole(agelens: Callable[..., Any], config: Path) -> tuple[Path, Any]:
    """The folder of a tuning that nothing disturbed, and what the command said."""
    folder = config.with_name("whole")
    options = (*SMALL, "--grid-epochs", "1")
    return folder, agelens("tune", "--config", config, "-o", folder, *options)


def test_five_steps_make_one_report(whole) -> None:
    folder, ran = whole
    assert ran.status == 0, ran.err
    assert [line[:2] for line in ran.err.splitlines()] == ["1.", "2.", "3.", "4.", "fo", "5."]
    best = json.loads((folder / "best.json").read_text(encoding="utf-8"))
    assert ran.out.split() == [part for k, v in best.items() for part in (f"--{k}", repr(v))]
    grid = pd.read_csv(folder / "grid.csv")
    assert len(grid) == 12
    assert best["optimizer.lr"] in grid["lr"].tolist()
    trained = yaml.safe_load((folder / "run" / "config.yaml").read_text(encoding="utf-8"))
    assert trained["optimizer"]["init_args"]["lr"] == best["optimizer.lr"]
    page = (folder / "index.html").read_text(encoding="utf-8")
    for number in range(1, 6):
        assert f">{number}. " in page.partition("</nav>")[2]
    for name in ("overfit.png", "sweep.png", "grid.png", "run/curves.png"):
        assert f'src="{name}"' in page
        assert (folder / name).is_file()


def test_a_tuning_that_was_killed_goes_on(whole, tune, config, tmp_path) -> None:
    killed, options = tmp_path / "killed", ("--grid-epochs", "1", "--no-run")
    words = ("tune", "--config", config, "-o", killed, *SMALL, *options)
    process = forked.start(*words, log=tmp_path / "log.txt")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (killed / "sweep.csv").exists():
        assert process.is_alive(), "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.join()
    done = pd.read_csv(killed / "sweep.csv")
    assert tune(killed, *options).status == 0
    pd.testing.assert_frame_equal(pd.read_csv(killed / "sweep.csv").iloc[: len(done)], done)
    for name in ("overfit.csv", "sweep.csv", "grid.csv"):
        one, other = (pd.read_csv(folder / name) for folder in (whole[0], killed))
        pd.testing.assert_frame_equal(one, other, rtol=1e-3)


def test_a_search_takes_the_place_of_sweep_and_grid(tune, tmp_path) -> None:
    folder = tmp_path / "searched"
    search = ("--search", "optuna", "--trial-epochs", "1", "--no-run")
    space = ("--space", "optimizer.lr=1e-4:1e-2:log", "--space", "data.batch_size=4,8")
    ran = tune(folder, *search, *space, "--trials", "2")
    assert ran.status == 0, ran.err
    trials = pd.read_csv(folder / "trials.csv")
    assert len(trials) == 2
    assert trials["optimizer.lr"].between(1e-4, 1e-2).all()
    assert not (folder / "grid.csv").exists()
    assert tune(folder, *search, *space, "--trials", "3").status == 0
    again = pd.read_csv(folder / "trials.csv")
    assert len(again) == 3
    pd.testing.assert_frame_equal(again.iloc[:2], trials)
    assert 'src="search.png"' in (folder / "index.html").read_text(encoding="utf-8")


def test_a_damaged_table_is_named_and_not_missed(whole, tune, tmp_path) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(whole[0], folder)
    (folder / "sweep.csv").write_bytes(b"\xcd\x00\x01")
    options = ("--grid-epochs", "1", "--no-run")
    refused = tune(folder, *options)
    assert refused.status == 1
    assert f"{folder / 'sweep.csv'}: cannot be read as trials" in refused.err
    (folder / "sweep.csv").unlink()  # as it says
    assert tune(folder, *options).status == 0
    again, before = (pd.read_csv(one / "sweep.csv") for one in (folder, whole[0]))
    pd.testing.assert_frame_equal(again, before)


def test_what_cannot_be_tuned_is_refused(tune, tmp_path) -> None:
    folder = tmp_path / "refused"
    devices = tune(folder, "--trainer.devices", "2")
    assert devices.status == 2
    assert "tuning trains on one device" in devices.err
    unknown = tune(folder, "--search", "optuna", "--space", "optimizer.rate=1:2")
    assert unknown.status == 2
    assert "no value 'optimizer.rate'" in unknown.err
    key = tune(folder, "--optimizer.rate", "1")
    assert key.status == 2
    assert "optimizer.lr" in key.err
    other = tune(folder, "--seed", "1", "--no-run")
    assert other.status == 2
    assert "tuning of something else" in other.err
