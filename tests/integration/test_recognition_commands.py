"""`agelens verify` and `search` with the default extractor on real faces."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.real_data
PEOPLE, PHOTOS = 5, 3


@pytest.fixture(scope="module")
def people(real_data: Path) -> list[list[Path]]:
    """Photos of the first people of LFW with enough of them."""
    folders = sorted(path for path in (real_data / "lfw").iterdir() if path.is_dir())
    photos = [sorted(folder.glob("*.jpg")) for folder in folders]
    return [found[:PHOTOS] for found in photos if len(found) >= PHOTOS][:PEOPLE]


@pytest.fixture(scope="module")
def folder(people: list[list[Path]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Links to those photos, but for the first of each person."""
    folder = tmp_path_factory.mktemp("photos")
    for photo in (photo for photos in people for photo in photos[1:]):
        (folder / photo.name).symlink_to(photo)
    return folder


def test_people_are_told_apart(agelens: Callable[..., Any], people: list[list[Path]]) -> None:
    options = ("--json", "--face", "largest", "--false-match-rate", "0.01")
    same = agelens("verify", people[0][0], people[0][1], *options).rows[0]
    different = agelens("verify", people[0][0], people[1][0], *options).rows[0]
    assert same["same_person"] is True
    assert different["same_person"] is False
    assert same["similarity"] > different["similarity"]
    assert same["model"]["name"] == "dlib-resnet29"
    for face in (same["first"], same["second"], different["second"]):
        assert face["low_years"] <= face["estimate_years"] <= face["high_years"]


def test_a_person_is_found_in_a_folder(
    agelens: Callable[..., Any], people: list[list[Path]], folder: Path, tmp_path: Path
) -> None:
    index = tmp_path / "index"
    right = 0
    for number, photos in enumerate(people):
        ran = agelens(
            "search", photos[0], folder, "--index", index, "--top", "1", "--json",
            "--face", "largest",
        )  # fmt: skip
        assert ran.status == 0
        row = ran.rows[0]
        assert row["photos_read"] == (PEOPLE * (PHOTOS - 1) if number == 0 else 0)
        right += row["found"][0]["photo"] in {photo.name for photo in photos[1:]}
    assert right >= PEOPLE - 1
