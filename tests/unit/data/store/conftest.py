"""Photos to prepare: variants of NASA's public-domain portrait of Eileen Collins."""

from __future__ import annotations

import resource
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from agelens.tables import SampleTable


@pytest.fixture(scope="session")
def portrait():
    """The face of the photo with its surroundings, uint8 [256, 256, 3]."""
    return np.ascontiguousarray(skimage.data.astronaut()[:256, 96:352])


@pytest.fixture(scope="session")
def photos(tmp_path_factory, portrait) -> Path:
    """Ten photos: six with one face, one with two, one with none, one torn, one odd name."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(6):
        brighter = np.clip(portrait.astype(int) + 6 * number, 0, 255).astype(np.uint8)
        Image.fromarray(brighter).save(folder / f"face{number}.jpg")
    small = np.asarray(Image.fromarray(portrait).resize((128, 128)))
    pair = np.zeros((256, 512, 3), np.uint8)
    pair[:, :256] = portrait
    pair[64:192, 320:448] = small
    Image.fromarray(pair).save(folder / "pair.png")
    Image.new("RGB", (80, 60), (40, 90, 40)).save(folder / "lawn.png")
    (folder / "torn.jpg").write_bytes((folder / "face0.jpg").read_bytes()[:900])
    (folder / "under").mkdir()
    Image.fromarray(portrait).save(folder / "under" / "Zoë's.png")
    return folder


PATHS = (
    *(f"face{number}.jpg" for number in range(6)),
    *("pair.png", "lawn.png", "torn.jpg", "absent.jpg", "under/Zoë's.png"),
)


def table_of(paths: Sequence[str], **columns: object) -> SampleTable:
    """A table of `paths`, ages by row, further columns as given."""
    rows = len(paths)
    return SampleTable.from_columns(
        {
            "sample_id": [f"set/{row}" for row in range(rows)],
            "dataset": "set",
            "path": list(paths),
            "age_years": [20.0 + row for row in range(rows)],
            "age_kind": "real",
            "gender": ["female", "male"] * (rows // 2) + ["female"] * (rows % 2),
            **columns,
        }
    )


@pytest.fixture
def table() -> SampleTable:
    """All photos, and one that is absent, labelled."""
    return table_of(PATHS)


@pytest.fixture
def make_table():
    """`table_of`."""
    return table_of


@pytest.fixture
def files_of_at_most():
    """Within this context the kernel lets no file grow beyond so many bytes, as a full disk."""

    @contextmanager
    def limited(size):
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited
