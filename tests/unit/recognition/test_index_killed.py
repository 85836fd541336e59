"""`agelens search --index` killed without warning goes on and finds what an unbroken one does."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PHOTOS = 6
KILLED = """
import os, signal, sys
from agelens.recognition import face_index
face_index._AT_A_TIME = 1
name, left = sys.argv.pop(1), int(sys.argv.pop(1))
whole = getattr(face_index, name)
def until_killed(*given, **named):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(*given, **named)
setattr(face_index, name, until_killed)
from agelens.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("point", "count"),
    [
        ("write_json", random.Random(18).randrange(1, PHOTOS - 1)),
        ("write_embeddings", random.Random(19).randrange(1, PHOTOS - 1)),
    ],
)
def test_a_killed_index_goes_on(
    point: str, count: int, agelens: Callable[..., Any], heads: dict[str, Path], tmp_path: Path
) -> None:
    folder, index = tmp_path / "photos", tmp_path / "index"
    folder.mkdir()
    for number in range(PHOTOS):
        shutil.copy(heads[("grey", "red")[number % 2]], folder / f"{number}.png")
    words = ["search", str(heads["red"]), str(folder), "--json", "--index"]
    ran = subprocess.run(
        [sys.executable, "-c", KILLED, point, str(count), *words, str(index)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    found, unbroken = (agelens(*words, place) for place in (index, tmp_path / "unbroken"))
    assert (found.status, unbroken.status) == (0, 0), found.err
    (row,), (expected,) = found.rows, unbroken.rows
    assert row.pop("photos_read") == PHOTOS - count  # those written are not read again
    assert expected.pop("photos_read") == PHOTOS
    assert row["found"] == expected["found"]
