"""Every split protocol: disjoint parts of the table, alike for any order of its rows."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agelens.data.splits import (
    PROTOCOLS,
    Split,
    describe_leaks,
    protocol_class,
    read_split,
    write_splits,
)
from agelens.errors import UnknownNameError
from agelens.tables import SampleTable

# What a protocol's constructor needs beyond its defaults, and the number of its splits here.
CASES: dict[str, tuple[dict[str, Any], int]] = {
    "subject-k-fold": ({}, 5),
    "unified": ({}, 5),
    "random-80-20": ({"repeats": 2}, 2),
    "rapl": ({}, 1),
    "morph-setting-1": ({"pictures": 50, "repeats": 2}, 2),
    "morph-setting-2": ({"repeats": 2}, 2),
    "morph-setting-3": ({"pictures": 80}, 3),
    "lopo": ({}, 40),
    "official": ({}, 1),
    "hash": ({}, 1),
    "custom": ({"shares": {"train": 0.5, "test": 0.5}, "keep": {"gender": "male"}}, 1),
}


@pytest.fixture(scope="module")
def table() -> SampleTable:
    """40 people with 6 photos each; parts and folds by person."""
    random = np.random.default_rng(0)
    person = np.repeat(np.arange(40), 6)
    paths = [f"{number:03d}.jpg" for number in range(240)]
    return SampleTable.from_columns(
        {
            "sample_id": [f"own/{path}" for path in paths],
            "dataset": ["own"] * 240,
            "path": paths,
            "age_years": random.integers(16, 80, 240).astype(float),
            "age_kind": ["real"] * 240,
            "gender": np.where(person % 4, "male", "female"),
            "ethnicity": np.where(person % 8 < 4, "White", "Black"),
            "subject": [f"p{number}" for number in person],
            "split": np.array(["train", "train", "valid", "test"])[person % 4],
            "fold": person % 10,
        }
    )


def _splits(name: str, table: SampleTable, **options: Any) -> tuple[Split, ...]:
    return PROTOCOLS[name](**CASES[name][0])(table, **options)


def _parts(split: Split) -> dict[str, frozenset[str]]:
    return {part: frozenset(ids) for part, ids in split.parts.items()}


def test_every_protocol_has_a_case() -> None:
    assert {*CASES} == {*PROTOCOLS}


@pytest.mark.parametrize("name", PROTOCOLS)
def test_parts_are_disjoint_filled_and_of_the_table(name: str, table: SampleTable) -> None:
    splits = _splits(name, table)
    assert len(splits) == CASES[name][1]
    assert len({split.name for split in splits}) == len(splits)
    for split in splits:
        ids = pd.concat(split.parts.values())
        assert ids.is_unique
        assert {*ids} <= {*table.frame["sample_id"]}
        assert {"train", "test"} <= {*split.part_names}
        assert all(split.counts.values())


@pytest.mark.parametrize("name", PROTOCOLS)
def test_row_order_and_repetition_change_nothing(name: str, table: SampleTable) -> None:
    mixed = SampleTable(table.frame.sample(frac=1, random_state=1))
    first = [_parts(split) for split in _splits(name, table, seed=3)]
    assert first == [_parts(split) for split in _splits(name, table, seed=3)]
    assert first == [_parts(split) for split in _splits(name, mixed, seed=3)]


@pytest.mark.parametrize("name", [name for name in PROTOCOLS if PROTOCOLS[name].by_subject])
def test_protocols_by_subject_do_not_leak(name: str, table: SampleTable) -> None:
    for split in _splits(name, table):
        assert describe_leaks(split, table).subject_exclusive is True


@pytest.mark.parametrize("name", ["subject-k-fold", "random-80-20", "lopo", "hash", "custom"])
def test_near_duplicates_stay_whole_where_parts_are_chosen(name: str, table: SampleTable) -> None:
    ids = table.frame["sample_id"]
    duplicates = pd.Series(np.arange(30) // 3, index=ids.iloc[np.arange(30) * 8])
    for split in _splits(name, table, duplicates=duplicates):
        report = describe_leaks(split, table, duplicates)
        assert [leak for leak in report.leaks if leak.kind == "near-duplicate group"] == []


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_split_is_written_and_read_back(name: str, table: SampleTable, tmp_path) -> None:
    split = _splits(name, table)[0]
    write_splits([split], table, tmp_path / "out", allow_leaks=True)
    again = read_split(tmp_path / "out")
    assert _parts(again) == _parts(split)
    assert again.protocol == split.protocol


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_protocol_says_what_it_is(name: str) -> None:
    protocol = protocol_class(name)
    assert protocol.name == name
    assert protocol.summary
    assert inspect.getdoc(protocol)


def test_an_unknown_protocol_is_refused_with_those_there_are() -> None:
    with pytest.raises(UnknownNameError, match=r"Did you mean 'lopo'\?.*subject-k-fold"):
        protocol_class("lop")
