"""A dataset's folder: parts and pictures found whatever their case and composition."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agelens.data.datasets.folder import DatasetFolder, PictureFiles, folded, readable
from agelens.errors import DatasetError


def put(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


def test_pictures_come_from_one_sorted_scan_without_strays(tmp_path: Path) -> None:
    put(tmp_path, "b/2.JPG", "b/1.jpg", "b/Thumbs.db", "b/._1.jpg", "__MACOSX/b/1.jpg", "a.png")
    assert PictureFiles(tmp_path, ["."]).paths == ["a.png", "b/1.jpg", "b/2.JPG"]
    assert PictureFiles(tmp_path, ["b"]).paths == ["b/1.jpg", "b/2.JPG"]
    assert PictureFiles(tmp_path, ["."], suffixes=(".jpg",), without=("1.jpg",)).paths == [
        "b/2.JPG"
    ]


def test_links_that_lead_round_in_circles_are_passed_over(tmp_path: Path) -> None:
    put(tmp_path, "a/1.jpg")
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to(tmp_path / "self")
    (tmp_path / "b").symlink_to(tmp_path / "a")  # no circle
    assert PictureFiles(tmp_path, ["."]).paths == ["a/1.jpg", "b/1.jpg"]


def test_a_picture_is_found_in_other_spellings(tmp_path: Path) -> None:
    put(tmp_path, "Train/Rene\u0301e.JPG", "Train/a.jpg", "train2/a.jpg")
    files = PictureFiles(tmp_path, ["."])
    assert files.find("train/ren\u00e9e.jpg") == "Train/Rene\u0301e.JPG"
    assert files.find("./train\\A.jpg") == "Train/a.jpg"
    assert files.find("train/b.jpg") is None
    assert files.by_name[folded("A.JPG")] == "Train/a.jpg"


def test_an_exact_name_wins_over_another_case(tmp_path: Path) -> None:
    put(tmp_path, "A.jpg", "a.jpg")
    files = PictureFiles(tmp_path, ["."])
    assert [files.find("A.jpg"), files.find("a.jpg")] == ["A.jpg", "a.jpg"]


def test_parts_are_found_by_the_first_name_in_any_case(tmp_path: Path) -> None:
    put(tmp_path, "MORPH/album2/x.jpg", "List.TXT")
    folder = DatasetFolder(tmp_path, "MORPH")
    assert folder.folder("none", "morph/Album2") == "MORPH/album2"
    assert folder.folder("none", ".") == "."
    assert folder.file("list.txt").name == "List.TXT"
    assert folder.find("list.csv") is None
    assert folder.pictures("morph/Album2").paths == ["MORPH/album2/x.jpg"]


def test_an_error_says_what_was_looked_for_and_found(tmp_path: Path) -> None:
    put(tmp_path, *(f"{row}.txt" for row in range(12)))
    folder = DatasetFolder(tmp_path, "MORPH")
    with pytest.raises(DatasetError, match=r"MORPH: no folder a or b/c\..*'0\.txt'.* and 4 more"):
        folder.folder("a", "b/c")
    with pytest.raises(DatasetError, match=r"no folder 1\.txt"):
        folder.folder("1.txt")
    with pytest.raises(DatasetError, match=r"no \.jpg or .* file in"):
        folder.pictures(".")


def test_bytes_that_are_no_utf8_are_read_as_latin1() -> None:
    assert readable(os.fsdecode(b"Ren\xe9e")) == "Ren\u00e9e"
    assert readable("Rene\u0301e") == "Ren\u00e9e"
