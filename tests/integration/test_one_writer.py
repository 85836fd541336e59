"""Two commands never write one output: the second is refused before it works."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from agelens.atomic import Outputs, locked
from agelens.errors import UsageError
from agelens.records import RGB
from agelens.tables import SampleTable, write_table

Run = Callable[..., Any]
COMMANDS = {
    "data label TABLE --model TOY -o OUT/a.parquet": "a.parquet",
    "data audit TABLE -o OUT/a": "a",
    "data explore TABLE -o OUT/a": "a",
    "data split TABLE --protocol random-80-20 -o OUT/a": "a",
    "data read OWN -o OUT/a.parquet": "a.parquet",
    "data convert TABLE --to rapl -o OUT/a.csv": "a.csv",
    "predict TABLE --model TOY -o OUT/a.parquet": "a.parquet",
    "predict TABLE --model TOY -o OUT/a.parquet --overwrite": "a.parquet",
    "stress TABLE --model TOY -o OUT/a": "a",
    "estimate PHOTOS --model TOY -o OUT/a.csv": "a.csv",
    "identity embed PHOTOS -o OUT/a.parquet": "a.parquet",
    "search PHOTO PHOTOS --index OUT/a": "a",
}


@pytest.fixture
def places(head: RGB, write_card: Run, tmp_path: Path) -> dict[str, str]:
    (tmp_path / "photos").mkdir()
    Image.fromarray(np.asarray(head)).save(tmp_path / "photos" / "0.png")
    columns = {"sample_id": ["a/0"], "dataset": "a", "path": ["0.png"], "age_years": [20.0]}
    table = SampleTable.from_columns(columns | {"age_kind": "real"})
    write_table(table.with_root(tmp_path / "photos"), tmp_path / "table.parquet")
    (tmp_path / "own.csv").write_text("path,age_years\n0.png,20\n", encoding="utf-8")
    (tmp_path / "toy").mkdir()
    write_card(tmp_path / "toy")
    (tmp_path / "out").mkdir()
    return {
        "TABLE": str(tmp_path / "table.parquet"),
        "OWN": str(tmp_path / "own.csv"),
        "PHOTOS": str(tmp_path / "photos"),
        "PHOTO": str(tmp_path / "photos" / "0.png"),
        "OUT": str(tmp_path / "out"),
        "TOY": str(next((tmp_path / "toy").glob("*.json"))),
    }


@pytest.mark.parametrize(("command", "name"), COMMANDS.items())
def test_an_output_that_another_writes(
    command: str, name: str, places: dict[str, str], agelens: Run
) -> None:
    words = command.split()
    for place in sorted(places, key=len, reverse=True):
        words = [word.replace(place, places[place]) for word in words]
    out = Path(places["OUT"])
    with locked(out / f".{name}.lock", "held by this test"):
        ran = agelens(*words)
    assert ran.status == 2, ran
    assert f"{name}: another agelens is writing it now" in ran.err
    assert list(out.iterdir()) == []


def test_an_output_in_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deep" / "a.csv"
    ours, theirs = Outputs(), Outputs()
    with ours.of_command():
        ours.claim(path)
        with theirs.of_command(), pytest.raises(UsageError, match="another agelens is writing it"):
            theirs.claim(path)
        assert path.parent.is_dir()
    assert list(tmp_path.iterdir()) == []
    with ours.of_command():
        ours.claim(path)
        path.write_text("kept", encoding="utf-8")
    assert path.read_text(encoding="utf-8") == "kept"


def test_an_output_in_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    ours = Outputs()
    with ours.of_command():
        ours.claim(tmp_path / "file" / "a.csv")
    assert [one.name for one in tmp_path.iterdir()] == ["file"]
