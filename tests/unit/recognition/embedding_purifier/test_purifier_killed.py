"""`agelens identity purify` killed without warning: begun again, it ends like an unbroken one."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agelens.errors import TableError, UsageError
from agelens.recognition import train_purifier
from agelens.recognition.embedding_table import EmbeddingModel, EmbeddingTable

EPOCHS = 4
STEPS = 2 * EPOCHS  # branch and adversary, one batch an epoch
POINTS = {
    "step": "agelens.recognition.embedding_purifier.train:update",
    "writing": "agelens.recognition.embedding_purifier.result:write_json",
}


@pytest.mark.parametrize(
    ("point", "count"),
    [*(("step", step) for step in random.Random(19).sample(range(STEPS), 2)), ("writing", 0)],
)
def test_a_killed_run_leaves_nothing_and_ends_alike(
    point: str,
    count: int,
    *,
    agelens: Callable[..., Any],
    killed_at: Callable[..., Any],
    aged_people: Callable[..., EmbeddingTable],
    tmp_path: Path,
) -> None:
    aged_people(20, 4).write(tmp_path / "faces.parquet")
    words = ["identity", "purify", str(tmp_path / "faces.parquet"), "--weights", "0.3"]
    words += ["--epochs", str(EPOCHS), "-o"]
    folder = tmp_path / "purified"
    ran = killed_at(POINTS[point], count, *words, folder)
    assert ran.returncode == -signal.SIGKILL
    assert not folder.exists()
    for out in (folder, tmp_path / "unbroken"):
        assert agelens(*words, out).status == 0
    files = sorted(path.name for path in folder.iterdir())
    assert files == ["card.json", "history.csv", "purifier.onnx"]
    for name in files:
        assert (folder / name).read_bytes() == (tmp_path / "unbroken" / name).read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"faces.parquet", "purified", "unbroken"}


def test_other_people_choose_where_they_are_named(
    aged_people: Callable[..., EmbeddingTable],
) -> None:
    faces = aged_people(20, 4)
    others = aged_people(8, 4, seed=1, subject=[f"q{row // 4}" for row in range(32)])
    found = train_purifier(faces, valid=others, epochs=2, weights=(0.3,))
    assert found.people == {"train": 20, "valid": 8}
    with pytest.raises(UsageError, match=r"8 people are among those to learn.*made-up/p000"):
        train_purifier(faces, valid=aged_people(8, 4, seed=1))
    model = EmbeddingModel("another", "1", "0", 16)
    with pytest.raises(TableError, match="of another 1"):
        train_purifier(faces, valid=EmbeddingTable(others.frame, others.vectors, model))
