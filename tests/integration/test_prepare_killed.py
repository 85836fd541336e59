"""A preparation killed without warning goes on and ends in the very same store."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from agelens.data.store import ChipStore, prepare
from agelens.tables import SampleTable, read_table, write_table

PHOTOS = 60
ROWS_PER_SHARD = 4
PROGRAM = f"""
import sys
from agelens.data.store import prepare
from agelens.tables import read_table
table, photos, output = sys.argv[1:]
prepare(read_table(table), output, root=photos, rows_per_shard={ROWS_PER_SHARD}, workers=2)
"""
PATIENCE_SECONDS = 300


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """A folder of photos, a table of them as a file, and the store of an undisturbed run."""
    folder = tmp_path_factory.mktemp("kill")
    (folder / "photos").mkdir()
    face = skimage.data.astronaut()[:256, 96:352]
    for number in range(PHOTOS):
        photo = np.roll(face, number, axis=1) // (1 + number % 2)
        Image.fromarray(photo).save(folder / "photos" / f"{number}.jpg")
    (folder / "photos" / "13.jpg").write_bytes(b"torn")
    table = SampleTable.from_columns(
        {
            "sample_id": [f"set/{number}" for number in range(PHOTOS)],
            "dataset": "set",
            "path": [f"{number}.jpg" for number in range(PHOTOS)],
            "age_years": 30.0,
            "age_kind": "real",
        }
    )
    write_table(table, folder / "table.parquet")
    prepare(table, folder / "whole", root=folder / "photos", rows_per_shard=ROWS_PER_SHARD)
    return folder


def kill_once_there_is(shard: Path, labelled: Path) -> None:
    """Prepare in another process; kill it as soon as `shard` shows, wherever it then is."""
    command = [sys.executable, "-c", PROGRAM, labelled / "table.parquet", labelled / "photos"]
    process = subprocess.Popen([*command, shard.parent])
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not shard.exists():
        assert process.poll() is None, "it ended before it was killed"
        assert time.monotonic() < deadline, "no shard came"
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it ended before it was killed"


@pytest.mark.parametrize("shards", [(0,), (1, 6)], ids=["killed once", "killed twice"])
def test_resumes_to_an_identical_store(labelled, tmp_path, shards):
    output = tmp_path / "store"
    for number in shards:
        kill_once_there_is(output / f"chips-{number:05d}.arrow", labelled)
        assert not (output / "store.json").exists()
    table = read_table(labelled / "table.parquet")
    report = prepare(table, output, root=labelled / "photos", rows_per_shard=ROWS_PER_SHARD)
    # The shard that showed may have missed the journal, those before it can't have.
    assert shards[-1] * ROWS_PER_SHARD <= report.reused_rows < PHOTOS
    expected = {path.name: path.read_bytes() for path in (labelled / "whole").iterdir()}
    assert {path.name: path.read_bytes() for path in output.iterdir()} == expected
    store = ChipStore.open(output)
    assert store.card.statuses["unreadable"] == 1
    assert store.table.frame["sample_id"].tolist() == table.frame["sample_id"].tolist()
