"""A small labelled dataset of one public-domain face, and a toy model for its chips."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agelens.data.store import prepare
from agelens.inference.estimator import AgeEstimator
from agelens.records import RGB
from agelens.tables import SampleTable


@pytest.fixture(scope="session")
def labelled_photos(
    head: RGB, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, SampleTable]:
    """A face, the same brighter, a lawn, a damaged file, and one that is absent."""
    root = tmp_path_factory.mktemp("labelled")
    Image.fromarray(head).save(root / "a.png")
    Image.fromarray(np.clip(head * 1.3, 0, 255).astype(np.uint8)).save(root / "b.png")
    Image.new("RGB", (96, 96), (40, 90, 40)).save(root / "lawn.png")
    (root / "damaged.png").write_bytes(b"no photo")
    names = ["a.png", "b.png", "lawn.png", "damaged.png", "absent.png", "a.png"]
    columns = {
        "sample_id": ["a", "b", "lawn", "damaged", "absent", "again"],
        "dataset": "toys",
        "path": names,
        "age_years": [41.0, 41, 1, 2, 3, 41],
        "age_kind": "real",
        "gender": ["female", "female", None, None, None, "female"],
        "split": ["train", "valid", "train", "valid", "test", "test"],
    }
    return root, SampleTable.from_columns(columns)


@pytest.fixture(scope="session")
def toy_store(
    labelled_photos: tuple[Path, SampleTable], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The dataset as chips of the toy model."""
    root, table = labelled_photos
    folder = tmp_path_factory.mktemp("stores") / "store"
    prepare(table, folder, root=root, template="arcface-112", size=16, encoding="png")
    return folder


@pytest.fixture(scope="session")
def toy_estimator(
    write_card: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> AgeEstimator:
    """Of the toy model."""
    return AgeEstimator(write_card(tmp_path_factory.mktemp("toy")))
