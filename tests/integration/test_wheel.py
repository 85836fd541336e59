"""The wheel has everything that a photo needs, and runs from a folder of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
import skimage

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", place],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = place.glob("agelens-*.whl")
    ZipFile(wheel).extractall(place / "site")
    return place / "site"


def test_it_holds_weights_cards_recipes_pages_and_types_and_no_tests(unpacked: Path) -> None:
    package = unpacked / "agelens"
    for name in (
        *("inference/cards/agelens-1.onnx", "inference/cards/agelens-1.json", "py.typed"),
        *("recipes/base.yaml", "service/page/index.html", "data/splits/unified"),
    ):
        assert (package / name).exists() or (package / f"{name}.py").exists(), name
    assert {path.name for path in unpacked.iterdir()} == {"agelens", *_metadata(unpacked)}


def _metadata(unpacked: Path) -> set[str]:
    return {path.name for path in unpacked.glob("agelens-*.dist-info")}


def test_its_command_estimates_a_photo(unpacked: Path, tmp_path: Path) -> None:
    photo = Path(skimage.__file__).parent / "data" / "astronaut.png"
    ran = subprocess.run(
        [sys.executable, "-m", "agelens", "estimate", photo, "-o", tmp_path / "age.jsonl"],
        env=os.environ | {"PYTHONPATH": str(unpacked)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    row = json.loads((tmp_path / "age.jsonl").read_text())
    assert row["status"] == "ok"
    assert len(row["faces"]) == 1
    where = subprocess.run(
        [sys.executable, "-c", "import agelens; print(agelens.__file__)"],
        env=os.environ | {"PYTHONPATH": str(unpacked)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(where.stdout.strip()).is_relative_to(unpacked)
