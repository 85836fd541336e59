"""IEFP's folders: pictures named by their age, as its training reads them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from agelens.data.datasets.ms1mv3 import read_ms1mv3_folders
from agelens.data.formats import read_iefp, write_iefp
from agelens.errors import DatasetError, OutputError, TableError, UsageError
from agelens.tables import SampleTable


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("000001/05179510.jpg", "000001/05179511.jpg", "b/Ann_Lee_0001.v2.JPG", "b/c.jpg"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(name.encode())
    return tmp_path / "in"


def table(**columns: object) -> SampleTable:
    paths = ["000001/05179510.jpg", "000001/05179511.jpg", "b/Ann_Lee_0001.v2.JPG", "b/c.jpg"]
    given = {
        "sample_id": paths,
        "dataset": "own",
        "path": paths,
        "subject": ["000001", "000001", "Ann Lee", "Ann Lee"],
        "age_years": [39.4, 7.0, 12.5, 80.0],
        "age_kind": "estimated",
    }
    return SampleTable.from_columns(given | columns)


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))


def test_pictures_carry_their_age_where_iefp_looks_for_it(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    written = write_iefp(table(), out, root=root)
    assert files(out) == [
        "000001/05179510_age_39.jpg",
        "000001/05179511_age_7.jpg",
        "Ann Lee/Ann-Lee-0001-v2_age_13.JPG",
        "Ann Lee/c_age_80.jpg",
    ]
    assert (written.rows, dict(written.left_out)) == (4, {})
    assert written.notes == ("rounded 2 ages to whole years", "ages: 4 estimated")
    assert (out / "000001/05179510_age_39.jpg").read_bytes() == b"000001/05179510.jpg"
    pieces = [re.split(r"_|\.", Path(name).name) for name in files(out)]
    assert [int(piece[2]) for piece in pieces] == [39, 7, 13, 80]


def test_what_is_written_comes_back(root: Path, tmp_path: Path) -> None:
    write_iefp(table(), tmp_path / "out", root=root)
    again = read_iefp(tmp_path / "out", dataset="own").frame
    assert again["subject"].astype(str).tolist() == ["000001", "000001", "Ann Lee", "Ann Lee"]
    assert again["age_years"].tolist() == [39, 7, 13, 80]
    assert set(again["age_kind"]) == {"estimated"}
    assert again["issue"].isna().all()
    other = write_iefp(
        SampleTable(again), tmp_path / "again", root=tmp_path / "out"
    )  # the age in the name is not written twice
    assert other.rows == 4
    assert files(tmp_path / "again") == files(tmp_path / "out")


def test_ms1mv3s_reader_takes_them_too(root: Path, tmp_path: Path) -> None:
    write_iefp(SampleTable(table().frame[:2]), tmp_path / "out", root=root)
    frame = read_ms1mv3_folders(tmp_path / "out").frame
    assert frame["age_years"].tolist() == [39, 7]


def test_a_picture_without_an_age_in_its_name_has_none(root: Path) -> None:
    frame = read_iefp(root, dataset="own").frame
    assert frame["age_years"].isna().all()
    assert frame["age_kind"].isna().all()
    assert len(frame) == 4


def test_what_cannot_be_written_is_counted(root: Path, tmp_path: Path) -> None:
    (root / "b/c.jpg").unlink()
    some = table(subject=["a", None, "b", "b"], age_years=[np.nan, 3.0, 4.0, 5.0])
    written = write_iefp(some, tmp_path / "out", root=root)
    assert dict(written.left_out) == {
        "without a subject": 1,
        "without an age": 1,
        "file absent": 1,
    }
    with pytest.raises(TableError, match="no row can be written"):
        write_iefp(SampleTable(some.frame[:2]), tmp_path / "none", root=root)
    assert not (tmp_path / "none").exists()


def test_names_that_would_meet_are_refused(root: Path, tmp_path: Path) -> None:
    (root / "000001/c.jpg").write_bytes(b"")
    paths = ["000001/c.jpg", "b/c.jpg"]
    columns = {"sample_id": paths, "path": paths, "subject": "x", "age_years": 5.2}
    two = SampleTable.from_columns({"dataset": "own", "age_kind": "real"} | columns)
    with pytest.raises(TableError, match="is the name of two pictures"):
        write_iefp(two, tmp_path / "out", root=root)


@pytest.mark.parametrize("subject", ["..", "a/b", "a\\b"])
def test_a_subject_that_leads_elsewhere_is_refused(
    root: Path, tmp_path: Path, subject: str
) -> None:
    with pytest.raises(TableError, match="cannot name a folder"):
        write_iefp(table(subject=subject), tmp_path / "out", root=root)
    assert not (tmp_path / "out").exists()


def test_places_that_are_none(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no folder"):
        write_iefp(table(), tmp_path / "out", root=tmp_path / "absent")
    with pytest.raises(UsageError, match="exists and is not empty"):
        write_iefp(table(), root, root=root)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="cannot write"):
        write_iefp(table(), tmp_path / "file" / "out", root=root)
    with pytest.raises(DatasetError, match="absent"):
        read_iefp(tmp_path / "absent", dataset="own")


def test_on_the_command_line(agelens, root: Path, tmp_path: Path) -> None:
    from agelens.tables import write_table

    write_table(table(), tmp_path / "t.parquet")
    command = ("data", "convert", tmp_path / "t.parquet", "--to", "iefp", "-o", tmp_path / "out")
    assert "--root" in agelens(*command).err
    ran = agelens(*command, "--root", root)
    assert ran.status == 0, ran.err
    assert "4 rows" in ran.out
    listed = tmp_path / "again.csv"
    ran = agelens("data", "read", "iefp", tmp_path / "out", "--dataset", "own", "-o", listed)
    assert ran.status == 0, ran.err
    assert "estimated ages 7 to 80" in ran.out
