"""A store whose pictures are brighter the older they are labelled, and a run on it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from agelens.data.store import prepare
from agelens.tables import SampleTable
from agelens.training.configuration import make_run, parse_run, run_parser
from agelens.training.run_folder import RunFolder
from agelens.training.training_loop import Training
from agelens.training.tuning.trials import RunFactory

ROWS, SIZE = 64, 32


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small are slower on two, and much slower where others have the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _picture(_: str, path: str) -> bytes:
    chance = np.random.default_rng(int(path))
    light = 3.5 * int(path) + chance.normal(0, 10, (SIZE, SIZE, 3))
    file = io.BytesIO()
    Image.fromarray(light.clip(0, 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="session")
def shades(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store: rows 0 to 63 of that age, half to train, a quarter each to choose and test."""
    folder = tmp_path_factory.mktemp("shades") / "store"
    table = SampleTable.from_columns(
        {
            "sample_id": [f"shade/{row}" for row in range(ROWS)],
            "dataset": "shade",
            "path": [str(row) for row in range(ROWS)],
            "age_years": [float(row) for row in range(ROWS)],
            "age_kind": "real",
            "gender": ["female", "female", "male", "male"] * (ROWS // 4),
            "split": ["train", "valid", "train", "test"] * (ROWS // 4),
        }
    )
    prepare(table, folder, root=_picture, aligned=True, size=SIZE, encoding="png")
    return folder


@pytest.fixture(scope="session")
def document(shades: Path) -> Callable[..., dict[str, Any]]:
    """A whole configuration in plain types: ``document("--method", "l1")``."""

    def make(*options: str) -> dict[str, Any]:
        words = [
            *("--method", "dex", "--data.stores", str(shades), "--data.split", "column"),
            *("--data.batch_size", "8", "--data.workers", "0", "--backbone.name", "tinyagenet"),
            *("--backbone.size", str(SIZE), "--trainer.accelerator", "cpu"),
            *("--trainer.max_epochs", "1", "--optimizer.weight_decay", "0.01"),
        ]
        parser = run_parser()
        return make_run(parser, parse_run(parser, [*words, *options])).config

    return make


@pytest.fixture
def maker(document) -> Callable[..., RunFactory]:
    """Makes runs of a configuration: ``maker("--method", "l1")``."""
    return lambda *options: RunFactory(document(*options))


@pytest.fixture
def training(maker, tmp_path) -> Callable[..., Training]:
    """A run that is ready."""
    return lambda *options: Training(maker(*options)(), RunFolder(tmp_path / "run"), quiet=True)
