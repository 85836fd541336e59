"""`agelens data`, as its user types it, on a small dataset in its owner's layout."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from agelens.data.store import ChipStore
from agelens.tables import read_table

Agelens = Callable[..., Any]


@pytest.fixture
def fgnet(tmp_path: Path, head: Any) -> Path:
    """Two people at three ages each, as FG-NET ships them; one photo is damaged."""
    images = tmp_path / "FGNET" / "images"
    images.mkdir(parents=True)
    for name in ("001A02", "001A10", "001a30", "002A05", "002A06b", "002A40"):
        Image.fromarray(head).save(images / f"{name}.JPG", quality=95)
    (images / "002A40.JPG").write_bytes(b"no photo")
    return images.parent


@pytest.fixture
def table(fgnet: Path, agelens: Agelens, tmp_path: Path) -> Path:
    path = tmp_path / "t.parquet"
    assert agelens("data", "read", "fgnet", fgnet, "--output", path).status == 0
    return path


def test_list_names_datasets_formats_and_protocols(agelens: Agelens) -> None:
    runs = {name: agelens("data", name, "--json") for name in ("datasets", "formats", "splits")}
    listed = {name: json.loads(run.out) for name, run in runs.items()}
    assert {run.status for run in runs.values()} == {0}
    assert {row["dataset"] for row in listed["datasets"]} >= {"agedb", "utkface", "ms1mv3"}
    assert {row["format"] for row in listed["formats"]} == {
        *("rapl", "ldl", "coral", "unified", "mapped", "iefp")
    }
    assert {row["protocol"] for row in listed["splits"]} >= {"lopo", "subject-k-fold", "hash"}


def test_read_says_what_it_found(fgnet: Path, agelens: Agelens, tmp_path: Path) -> None:
    run = agelens("data", "read", "fgnet", fgnet, "-o", tmp_path / "t.csv")
    assert "6 samples of fgnet" in run.out
    assert "real ages 2 to 40" in run.out
    assert "2 people" in run.out
    assert len(read_table(tmp_path / "t.csv")) == 6


def test_a_wrong_root_says_what_was_looked_for(agelens: Agelens, tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("nothing here", encoding="utf-8")
    run = agelens("data", "read", "utkface", tmp_path, "-o", tmp_path / "t.parquet")
    assert run.status == 2
    assert "readme.txt" in run.err
    assert not (tmp_path / "t.parquet").exists()


def test_an_unknown_dataset_lists_the_valid_ones(agelens: Agelens, tmp_path: Path) -> None:
    run = agelens("data", "read", "fgnett", tmp_path, "-o", tmp_path / "t.parquet")
    assert run.status == 2
    assert "Did you mean 'fgnet'?" in run.err
    assert "rapl" in run.err


def test_a_rapl_list_shows_its_leak_when_it_is_read(agelens: Agelens, tmp_path: Path) -> None:
    rows = ["filename,age,gender,fold"]
    rows += [f"{n}_MariaCallas_{30 + n}_f.jpg,{30 + n},1,{fold}" for n, fold in enumerate(
        ("train", "train", "val", "test")
    )]  # fmt: skip
    (tmp_path / "agedb.csv").write_text("\n".join(rows), encoding="utf-8")
    run = agelens(
        *("data", "read", "rapl", tmp_path / "agedb.csv", "--dataset", "agedb"),
        *("-o", tmp_path / "t.parquet"),
    )
    assert run.status == 0
    assert "leak: 1 of 1 validation subjects also in training" in run.out


def test_a_list_needs_its_dataset(agelens: Agelens, tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("filename,age,fold\na.jpg,3,train\n", encoding="utf-8")
    run = agelens("data", "read", "rapl", tmp_path / "l.csv", "-o", tmp_path / "t.parquet")
    assert run.status == 2
    assert "also needs dataset" in run.err


def test_own_data_through_a_mapping(agelens: Agelens, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("file,Age,sex\na.jpg,31,1\nb.jpg,7,0\n", encoding="utf-8")
    (tmp_path / "m.yaml").write_text(
        'path: file\nage_years: Age\ngender: [sex, {"0": male, "1": female}]\n', encoding="utf-8"
    )
    run = agelens(
        *("data", "read", tmp_path / "p.csv", "--columns", tmp_path / "m.yaml"),
        *("--dataset", "ours", "--age-kind", "real", "-o", tmp_path / "t.parquet"),
    )
    assert run.status == 0, run.err
    frame = read_table(tmp_path / "t.parquet").frame
    assert frame["age_years"].tolist() == [31, 7]
    assert frame["gender"].tolist() == ["female", "male"]


def test_own_photos_take_one_step(agelens: Agelens, tmp_path: Path, head: Any) -> None:
    Image.fromarray(head).save(tmp_path / "a.png")
    (tmp_path / "people.csv").write_text("file,Age,sex\na.png,31,F\n", encoding="utf-8")
    read = ("data", "read", tmp_path / "people.csv", "-o", tmp_path / "t.parquet")
    told = agelens(*read)
    assert told.status == 2
    assert "--columns path=file,age_years=age,gender=sex" in told.err
    run = agelens(*read, "--columns", "path=file,age_years=Age,gender=sex")
    assert run.status == 0, run.err
    assert "unstated ages 31 to 31; gender known of 1" in run.out
    again = agelens(*read, "--columns", "path=file")
    assert (again.status, "--overwrite" in again.err) == (2, True)
    assert agelens(*read, "--columns", "path=file,age_years=Age", "--overwrite").status == 0
    stored = agelens("data", "prepare", tmp_path / "t.parquet", "-o", tmp_path / "store")
    assert (stored.status, "1 ok" in stored.out) == (0, True)


def test_split_refuses_leaks_unless_allowed(table: Path, agelens: Agelens, tmp_path: Path) -> None:
    leaking = ("data", "split", table, "--protocol", "random-80-20", "-o", tmp_path / "s")
    refused = agelens(*leaking)
    assert refused.status == 2
    assert "also in training" in refused.err
    assert not (tmp_path / "s").exists()
    allowed = agelens(*leaking, "--allow-leaks")
    assert allowed.status == 0
    report = json.loads((tmp_path / "s" / "split.json").read_text(encoding="utf-8"))
    assert report["subject_exclusive"] is False
    assert (tmp_path / "s" / "train.csv").is_file()


def test_split_by_a_protocol_of_ones_own(table: Path, agelens: Agelens, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        'name: by-hand\nsplits:\n  - train: {subject: "001"}\n    test: {subject: "002"}\n',
        encoding="utf-8",
    )
    run = agelens("data", "split", table, "--protocol", mine, "-o", tmp_path / "s")
    assert run.status == 0, run.err
    assert "train 3, test 3" in run.out


@pytest.mark.parametrize(
    "option", [("--age", "real"), ("--no-crops",), ("--prefix", "x"), ("--dataset", "fgnet")]
)
def test_a_reader_refuses_options_of_others(
    option: tuple[str, ...], fgnet: Path, agelens: Agelens, tmp_path: Path
) -> None:
    run = agelens("data", "read", "fgnet", fgnet, "-o", tmp_path / "t.parquet", *option)
    assert run.status == 2
    assert f"{option[0].removeprefix('--').removeprefix('no-')} does not go with" in run.err


def test_folders_go_out_and_come_back_as_the_unified_benchmarks(
    agelens: Agelens, tmp_path: Path, head: Any
) -> None:
    images = tmp_path / "FGNET" / "images"
    images.mkdir(parents=True)
    for person in range(1, 21):
        for age in (5, 25):
            Image.fromarray(head).save(images / f"{person:03}A{age:02}.JPG")
    table, out = tmp_path / "t.parquet", tmp_path / "folds"
    agelens("data", "read", "fgnet", images.parent, "-o", table)
    run = agelens("data", "split", table, "--protocol", "subject-k-fold", "-o", out)
    assert run.status == 0, run.err
    database = tmp_path / "fgnet.json"
    run = agelens("data", "convert", out / "folders.parquet", "--to", "unified", "-o", database)
    assert run.status == 0, run.err
    agelens("data", "read", "unified", database, "--dataset", "fgnet", "-o", tmp_path / "u.parquet")
    again = tmp_path / "again"
    run = agelens(
        *("data", "split", tmp_path / "u.parquet", "--protocol", out / "unified.yaml", "-o", again)
    )
    assert run.status == 0, run.err
    for number in range(5):
        ours, theirs = (
            pd.read_csv(folder / f"split_{number}" / "test.csv")["path"] for folder in (out, again)
        )
        assert {Path(p).name for p in ours} == {Path(p).name for p in theirs} != set()


def test_an_option_that_does_not_fit_is_named(
    table: Path, agelens: Agelens, tmp_path: Path
) -> None:
    run = agelens(
        *("data", "split", table, "--protocol", "lopo", "--repeats", "3", "-o", tmp_path / "s")
    )
    assert run.status == 2
    assert "repeats does not go with LeaveOnePersonOut" in run.err


def test_prepare_explore_audit_convert(
    table: Path, fgnet: Path, agelens: Agelens, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    prepared = agelens("data", "prepare", table, "-o", store, "--two-pass")
    assert prepared.status == 3, "one photo is damaged, and its row says so"
    assert "1 unreadable" in prepared.out
    assert ChipStore.open(store).has_chip.sum() == 5
    again = agelens("data", "prepare", table, "--root", fgnet, "-o", store, "--two-pass")
    assert "6 of them from an earlier run" in again.out

    placed = tmp_path / "store.parquet"
    assert read_table(placed, extra=None).frame["rotated_x1"].notna().sum() == 5
    early = agelens("data", "convert", placed, "--to", "ldl", "-o", tmp_path)
    assert early.status == 2
    assert "no row can be written: 6 in no part; agelens data split" in early.err
    by_person = ("data", "split", placed, "--protocol", "hash", "-o", tmp_path / "hash")
    split = agelens(*by_person, "--split-table", tmp_path / "parts.parquet")
    assert split.status == 0, split.err
    lists = agelens("data", "convert", tmp_path / "parts.parquet", "--to", "ldl", "-o", tmp_path)
    assert lists.status == 0, lists.err
    assert "5 rows" in lists.out
    first = next(tmp_path.glob("fgnet_*_align.csv")).read_text(encoding="utf-8").splitlines()
    assert first[0].startswith("photo,age,deg,box1,box2,box3,box4")

    audited = agelens("data", "audit", table, "-o", tmp_path / "audit")
    assert audited.status == 0, audited.err
    assert (tmp_path / "audit" / "index.html").is_file()
    joined = agelens(
        *("data", "split", table, "--protocol", "lopo", "--audit", tmp_path / "audit"),
        *("-o", tmp_path / "s"),
    )
    assert joined.status == 0, joined.err
    assert "near-duplicate with the person" in joined.out, "all photos are one picture"

    explored = agelens("data", "explore", table, "-o", tmp_path / "seen")
    assert explored.status == 0
    assert (tmp_path / "seen" / "samples_1.png").is_file()
    assert (tmp_path / "seen" / "index.html").is_file()
