"""Folders that go away while a run reads their photos."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from agelens.errors import FolderGoneError, PhotoError
from agelens.imaging.folders import FOLDERS
from agelens.imaging.photos import read_photo
from agelens.imaging.sources import expand


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A folder of two people's photos."""
    for name in ("disk/a/1.png", "disk/b/1.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    return tmp_path / "disk"


def renamed(disk: Path) -> None:
    disk.rename(disk.with_name("elsewhere"))


def unmounted(disk: Path) -> None:
    """What is seen where a disk was mounted: an empty folder."""
    renamed(disk)
    disk.mkdir()


@pytest.mark.parametrize("go_away", [renamed, unmounted])
def test_a_photo_whose_folder_went_away(go_away: Callable[[Path], None], disk: Path) -> None:
    with FOLDERS.must_stay():
        read_photo(disk / "a" / "1.png")
        go_away(disk)
        with pytest.raises(FolderGoneError, match=r"disk: the folder went away"):
            read_photo(disk / "b" / "1.png")  # of a folder that nothing was read from


def test_a_photo_that_is_missing_alone(disk: Path) -> None:
    with FOLDERS.must_stay():
        read_photo(disk / "a" / "1.png")
        (disk / "a" / "1.png").unlink()
        for name in ("a/1.png", "c/1.png"):
            with pytest.raises(PhotoError) as failed:
                read_photo(disk / name)
            assert failed.value.status == "missing"
        (disk / "a" / "1.png").write_bytes(b"no picture")
        with pytest.raises(PhotoError, match="is not a photo"):
            read_photo(disk / "a" / "1.png")


def test_only_within_a_run(disk: Path) -> None:
    with FOLDERS.must_stay():
        read_photo(disk / "a" / "1.png")
    renamed(disk)
    for attempt in ("before", "in another run"):
        with pytest.raises(PhotoError) as failed:
            read_photo(disk / "a" / "1.png")
        assert failed.value.status == "missing", attempt


def test_a_listing_whose_folder_went_away(disk: Path) -> None:
    with FOLDERS.must_stay():
        for given in ([str(disk)], [str(disk / "*" / "*.png")]):
            sources = expand(given, recursive=True)
            assert next(sources).problem is None
            renamed(disk)
            with pytest.raises(FolderGoneError, match=r"disk: the folder went away"):
                list(sources)
            disk.with_name("elsewhere").rename(disk)
