"""`agelens search --index` killed without warning goes on and finds what an unbroken one does."""

from __future__ import annotations

import random
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PHOTOS = 6
INDEX = "agelens.recognition.face_index"


@pytest.mark.parametrize(
    ("point", "count"),
    [
        ("write_json", random.Random(18).randrange(1, PHOTOS - 1)),
        ("write_embeddings", random.Random(19).randrange(1, PHOTOS - 1)),
    ],
)
def test_a_killed_index_goes_on(
    point: str,
    count: int,
    *,
    agelens: Callable[..., Any],
    killed_at: Callable[..., Any],
    heads: dict[str, Path],
    tmp_path: Path,
) -> None:
    folder, index = tmp_path / "photos", tmp_path / "index"
    folder.mkdir()
    for number in range(PHOTOS):
        shutil.copy(heads[("grey", "red")[number % 2]], folder / f"{number}.png")
    words = ["search", str(heads["red"]), str(folder), "--json", "--index"]
    ran = killed_at(f"{INDEX}:{point}", count, *words, index, set_first={f"{INDEX}:_AT_A_TIME": 1})
    assert ran.returncode == -signal.SIGKILL, ran.output
    found, unbroken = (agelens(*words, place) for place in (index, tmp_path / "unbroken"))
    assert (found.status, unbroken.status) == (0, 0), found.err
    (row,), (expected,) = found.rows, unbroken.rows
    assert row.pop("photos_read") == PHOTOS - count  # those written are not read again
    assert expected.pop("photos_read") == PHOTOS
    assert row["found"] == expected["found"]
