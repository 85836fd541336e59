"""A store of pictures made by numbers: no face, no detector."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from agelens.data.store import ChipStore, prepare
from agelens.tables import SampleTable

AGES = (20, 20, 20, 20, 21, 40, 41, 60, 80, 7, 33, 20)


def noise(path: str) -> np.ndarray:
    """Coarse noise of 32 x 32 cells, the same for a path, uint8 [64, 64, 3]."""
    cells = np.random.default_rng(int(path)).integers(0, 256, (32, 32, 3), np.uint8)
    return cells.repeat(2, axis=0).repeat(2, axis=1)


def encoded_noise(_: str, path: str) -> bytes:
    """A PNG of `noise`, or torn where the path is 9."""
    file = io.BytesIO()
    Image.fromarray(noise(path)).save(file, "PNG")
    return file.getvalue()[:60] if path == "9" else file.getvalue()


@pytest.fixture(scope="session")
def table() -> SampleTable:
    rows = len(AGES)
    return SampleTable.from_columns(
        {
            "sample_id": [f"noise/{row}" for row in range(rows)],
            "dataset": "noise",
            "path": [str(row) for row in range(rows)],
            "age_years": [*AGES[:-2], None, AGES[-1]],
            "age_kind": "real",
            "gender": ["female", "male", None] * (rows // 3),
            "issue": [None] * (rows - 1) + ["age is a guess"],
        }
    )


@pytest.fixture(scope="session")
def store(tmp_path_factory, table) -> ChipStore:
    """Rows 0 to 8 whole; 9 without a chip, 10 without an age, 11 with an issue."""
    folder = tmp_path_factory.mktemp("noise") / "store"
    options = {"aligned": True, "size": 64, "encoding": "png", "rows_per_shard": 5}
    prepare(table, folder, root=encoded_noise, **options)
    return ChipStore.open(folder)
