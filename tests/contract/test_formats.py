"""Every interchange format keeps what it can say, refuses what it cannot, and says so."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agelens.data.formats import FORMATS, ROTATED_BOX, Written, format_named
from agelens.errors import AgelensError, OutputError, UnknownNameError
from agelens.tables import BOX, SampleTable

MAPPING = {
    "path": "file",
    "age_years": "years",
    "gender": ("sex", {"1": "male", "2": "female"}),
    "split": "part",
    "subject": "who",
}
# Where to, how to write, how to read, and what comes back.
COMMON = ["path", "age_years", "age_kind", "gender", "split"]
CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any], list[str]]] = {
    "rapl": ("own.csv", {}, {}, COMMON),
    "ldl": ("lists", {}, {}, [*COMMON, "roll_degrees", *ROTATED_BOX]),
    "coral": ("lists", {"minimum_age": 16}, {}, ["path", "age_years", "age_kind", "split"]),
    "unified": (
        "own.json",
        {},
        {},
        ["path", "age_years", "age_kind", "gender", "fold", "subject", *BOX],
    ),
    "mapped": ("own.parquet", {"columns": MAPPING}, {"columns": MAPPING}, [*COMMON, "subject"]),
}


@pytest.fixture(scope="module")
def table() -> SampleTable:
    random = np.random.default_rng(0)
    paths = [f"x/{number}, é '{number}'.jpg" for number in range(30)]
    corner = random.integers(0, 200, (2, 30)).astype(float)
    frame = SampleTable.from_columns(
        {
            "sample_id": [f"own/{path}" for path in paths],
            "dataset": ["own"] * 30,
            "path": paths,
            "age_years": random.integers(16, 80, 30).astype(float),
            "age_kind": ["apparent"] * 30,
            "gender": random.choice(["female", "male"], 30),
            "subject": [f"p{number // 2}" for number in range(30)],
            "split": np.repeat(["train", "valid", "test"], 10),
            "fold": random.integers(0, 10, 30),
            "roll_degrees": random.uniform(-30, 30, 30),
            **dict(zip(BOX, (*corner, *(corner + 90)), strict=True)),
        }
    ).frame
    boxes = {name: random.uniform(0, 300, 30) for name in ROTATED_BOX}
    return SampleTable(frame.assign(**boxes), ROTATED_BOX)


def test_every_format_has_a_case() -> None:
    # iefp writes pictures, not lists: tests/unit/data/formats/test_iefp.py.
    assert {*CASES} == {*FORMATS} - {"iefp"}


@pytest.mark.parametrize("name", CASES)
def test_what_is_written_comes_back(name: str, table: SampleTable, tmp_path: Path) -> None:
    target, writing, reading, columns = CASES[name]
    written = FORMATS[name].write(table, tmp_path / target, **writing)
    assert isinstance(written, Written)
    assert (written.rows, dict(written.left_out)) == (30, {})
    assert all(path.is_file() for path in written.paths)
    again = FORMATS[name].read(tmp_path / target, dataset="own", age_kind="apparent", **reading)
    assert again.frame["dataset"].tolist() == ["own"] * 30
    found, expected = (one.frame.set_index("sample_id")[columns] for one in (again, table))
    pd.testing.assert_frame_equal(found.loc[expected.index], expected)


@pytest.mark.parametrize("name", CASES)
def test_writing_twice_gives_the_same_bytes(name: str, table: SampleTable, tmp_path: Path) -> None:
    target, writing, _, _ = CASES[name]
    first = FORMATS[name].write(table, tmp_path / "1" / target, **writing)
    second = FORMATS[name].write(table, tmp_path / "2" / target, **writing)
    assert [path.read_bytes() for path in first.paths] == [
        path.read_bytes() for path in second.paths
    ]


@pytest.mark.parametrize("name", CASES)
def test_nothing_there_is_an_error_that_names_it(name: str, tmp_path: Path) -> None:
    target, _, reading, _ = CASES[name]
    with pytest.raises(AgelensError, match=target):
        FORMATS[name].read(tmp_path / "none" / target, dataset="own", age_kind="real", **reading)


@pytest.mark.parametrize("name", CASES)
def test_a_place_that_cannot_be_written_keeps_what_was_there(
    name: str, table: SampleTable, tmp_path: Path
) -> None:
    target, writing, _, _ = CASES[name]
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="cannot write"):
        FORMATS[name].write(table, tmp_path / "file" / target, **writing)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_says_what_it_is_and_what_it_raises(name: str) -> None:
    one = format_named(name)
    assert one.summary
    for function in (one.read, one.write):
        assert "Raises:" in (inspect.getdoc(function) or "")


def test_an_unknown_format_is_refused_with_those_there_are() -> None:
    with pytest.raises(UnknownNameError, match=r"Did you mean 'coral'\?.*rapl"):
        format_named("corral")
