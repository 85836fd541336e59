from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from agelens.data import AgeData, ChipStore, prepare, read_dataset
from agelens.errors import DatasetError, UnknownNameError, UsageError
from agelens.tables import SampleTable, read_table, write_table


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """`people.csv`, with `File` and `Age` and `team`, beside forty small pictures."""
    chance = np.random.default_rng(0)
    names = [f"p{number}.png" for number in range(40)]
    for name in names:
        cv2.imwrite(str(tmp_path / name), chance.integers(0, 255, (32, 32, 3), dtype=np.uint8))
    frame = pd.DataFrame({"File": names, "Age": range(20, 60), "team": ["a", "b"] * 20})
    frame.to_csv(tmp_path / "people.csv", index=False)
    return tmp_path / "people.csv"


COLUMNS = {"path": "File", "age_years": "Age"}


def test_own_photos_from_a_csv_to_batches(people: Path) -> None:
    table = read_dataset(people, columns=COLUMNS)
    assert repr(table) == "SampleTable(40 samples of people; unstated ages 20 to 59)"
    assert "<table" in table._repr_html_()
    report = prepare(table, people.parent / "store", aligned=True, size=16)
    assert repr(report) == f"StoreReport({people.parent / 'store'}: 40 rows, 40 ok)"
    assert "40 chips of 16 pixels" in repr(report.open())
    assert AgeData(report, batch_size=8).folders == [str(report.folder)]
    assert AgeData([report.open()]).folders == AgeData(report.folder).folders


def test_the_root_outlives_a_parquet_file(people: Path) -> None:
    write_table(read_dataset(people, columns=COLUMNS), people.with_suffix(".parquet"))
    again = read_dataset(people.with_suffix(".parquet"))
    assert again.roots == {"people": str(people.parent)}
    report = prepare(people.with_suffix(".parquet"), people.parent / "s", aligned=True, size=16)
    assert report.statuses == {"ok": 40}
    moved = again.with_root(people.parent / "elsewhere")
    with pytest.raises(UsageError, match=r"under .*elsewhere.*--root"):
        prepare(moved, people.parent / "t", aligned=True)
    unknown = SampleTable(again.frame.set_axis(range(40)))
    unknown.frame.attrs = {}
    with pytest.raises(UsageError, match="does not say where the pictures of people are"):
        prepare(unknown, people.parent / "t", aligned=True)


def test_own_data_may_say_root(people: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "labels" / "people.csv"
    elsewhere.parent.mkdir()
    people.rename(elsewhere)
    table = read_dataset(elsewhere, columns=COLUMNS, root=tmp_path)
    assert table.roots == {"people": str(tmp_path)}
    with pytest.raises(UsageError, match="two folders for the pictures"):
        read_dataset(elsewhere, tmp_path, columns=COLUMNS, root=tmp_path)


def test_extra_columns_survive_a_store(people: Path) -> None:
    table = read_dataset(people, columns=COLUMNS)
    table = table.with_columns(
        age_model=["m 1", None] * 20, votes=range(40), weight=np.linspace(0, 1, 40)
    )
    prepare(table, people.parent / "store", aligned=True, size=16, rows_per_shard=16)
    kept = ChipStore.open(people.parent / "store").table
    assert kept.extra == ("age_model", "votes", "weight")
    assert kept.frame["age_model"].isna().tolist() == [False, True] * 20
    assert kept.frame["votes"].tolist() == list(range(40))
    assert kept.frame["weight"].tolist() == table.frame["weight"].tolist()


def read_toy(folder: str | Path, *, oldest: int = 90) -> pd.DataFrame:
    """A reader as a notebook defines one."""
    names = sorted(path.name for path in Path(folder).glob("*.png"))
    return pd.DataFrame({"path": names, "age_years": np.minimum(50, oldest), "subject": "x"})


def test_a_reader_of_ones_own_works_as_a_name_does(people: Path, monkeypatch) -> None:
    table = read_dataset(read_toy, people.parent, oldest=30)
    assert table.summary() == "40 samples of toy; 1 people; unstated ages 30 to 30"
    assert prepare(table, people.parent / "s", aligned=True, size=16).statuses == {"ok": 40}
    named = read_dataset(f"{__name__}.read_toy", people.parent)
    assert len(named) == 40
    with pytest.raises(UsageError, match="youngest does not go with read_toy, which takes oldest"):
        read_dataset(read_toy, people.parent, youngest=3)
    with pytest.raises(UsageError, match="give the one that was downloaded"):
        read_dataset(read_toy)
    with pytest.raises(UsageError, match="not int"):
        read_dataset(lambda _: 3, people.parent)


def test_frames_and_registered_names(people: Path) -> None:
    frame = pd.read_csv(people)
    table = read_dataset(frame, people.parent, columns=COLUMNS, dataset="club", age_kind="real")
    assert table.roots == {"club": str(people.parent)}
    assert set(table.frame["age_kind"]) == {"real"}
    with pytest.raises(DatasetError, match="UTKFace"):
        read_dataset("utkface", people.parent / "nowhere")
    with pytest.raises(UnknownNameError, match=r"Did you mean 'utkface'.*reader of your own"):
        read_dataset("utkfaces", people.parent)
    with pytest.raises(UnknownNameError, match="Nor can it be imported"):
        read_dataset("no_such_module.read", people.parent)


def test_a_list_keeps_a_root_that_is_given(people: Path) -> None:
    listed = people.with_name("rapl.csv")
    listed.write_text("filename,age,fold\np0.png,20,train\n", encoding="utf-8")
    assert read_dataset("rapl", listed, dataset="mine").roots == {}
    with pytest.raises(UsageError, match="also needs dataset"):
        read_dataset("rapl", listed)


def test_the_front_door_loads_nothing_until_it_is_used() -> None:
    code = "import sys, agelens.data; print({'torch', 'pandas', 'datasets'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_table_on_disk_that_has_its_columns_is_read_as_it_is(people: Path) -> None:
    table = read_dataset(people, columns=COLUMNS)
    write_table(table, people.with_name("t.csv"))
    pd.testing.assert_frame_equal(read_dataset(people.with_name("t.csv")).frame, table.frame)
    assert read_table(people.with_name("t.csv")).roots == {}


def test_data_to_train_on_say_what_they_are_before_they_are_opened(people: Path) -> None:
    data = AgeData(people.parent / "store", batch_size=8)
    said = f"AgeData({people.parent / 'store'}: split 'hash', batches of 8; not opened yet)"
    assert (repr(data), str(data)) == (said, said)
