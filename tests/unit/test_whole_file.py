from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agelens.atomic import atomic_file, remove_partials, write_atomically, write_json
from agelens.errors import OutputError


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)


def test_the_file_appears_once_all_is_written(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with atomic_file(path) as partial:
        partial.write_text("half")
        assert partial.parent == tmp_path
        assert not path.exists()
        partial.write_text("whole")
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


def test_content_is_on_the_disk_before_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, synced = tmp_path / "a.txt", []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append((os.fstat(file), path.exists())))
    write_atomically(path, b"four")
    [(stat, there)] = synced
    assert (stat.st_size, stat.st_ino, there) == (4, path.stat().st_ino, False)


def test_a_full_disk_keeps_what_was_there(tmp_path: Path, full_disk: None) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")
    with pytest.raises(OutputError) as told:
        write_atomically(path, b"new")
    assert str(told.value) == (
        f"cannot write {path}: No space left on device. What was there before is kept"
    )
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_error_says_what_and_the_way_out(tmp_path: Path, full_disk: None) -> None:
    path = tmp_path / "a.csv"
    said = rf"^cannot write the table {path}: No space left on device\. Make room$"
    with (
        pytest.raises(OutputError, match=said),
        atomic_file(path, "the table", advice="Make room") as partial,
    ):
        partial.touch()


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_other_failures_keep_their_type_and_leave_nothing(
    failure: type[BaseException], tmp_path: Path
) -> None:
    with pytest.raises(failure), atomic_file(tmp_path / "a.txt") as partial:
        partial.write_text("half")
        raise failure
    assert not list(tmp_path.iterdir())


def test_a_folder_is_made_for_bytes_and_not_otherwise(tmp_path: Path) -> None:
    write_atomically(tmp_path / "new" / "a.txt", b"1")
    assert (tmp_path / "new" / "a.txt").read_bytes() == b"1"
    with pytest.raises(OutputError, match="No such file"), atomic_file(tmp_path / "no" / "a") as to:
        to.write_bytes(b"1")
    with pytest.raises(OutputError, match=r"Not a directory|File exists"):
        write_atomically(tmp_path / "new" / "a.txt" / "b", b"1")


def test_a_folder_in_the_way_stays(tmp_path: Path) -> None:
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(OutputError, match="Is a directory"):
        write_atomically(tmp_path / "a.txt", b"1")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_json_is_written_as_text_for_people(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"name": "Åse", "age": 30})
    assert json.loads(path.read_text(encoding="utf-8")) == {"name": "Åse", "age": 30}
    assert "Åse" in path.read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="Out of range"):
        write_json(path, float("nan"))
    assert json.loads(path.read_text(encoding="utf-8"))["age"] == 30


def test_what_killed_writers_left_can_be_removed(tmp_path: Path) -> None:
    kept = tmp_path / "a.txt"
    kept.touch()
    (tmp_path / ".a.txt.4711.partial").touch()
    (tmp_path / ".folder.partial").mkdir()
    remove_partials(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".folder.partial", "a.txt"]
    remove_partials(tmp_path / "absent")


def test_what_a_dead_writer_left_is_removed_and_a_living_ones_is_not(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        pass
    left = tmp_path / f".a.csv.{dead.pid}.partial"
    kept = [tmp_path / f".b.csv.{os.getppid()}.partial", tmp_path / ".mine.partial"]
    for path in (left, *kept):
        path.write_bytes(b"half")
    write_atomically(tmp_path / "c.csv", b"whole")
    assert not left.exists()
    assert all(path.exists() for path in kept)
