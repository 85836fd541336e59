"""The wheel has everything that a photo needs, and pip installs it, bare and with extras."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

import pytest
import skimage

ROOT = Path(__file__).parents[2]
PHOTO = Path(skimage.__file__).parent / "data" / "astronaut.png"
HEAVY = "train,identity,import,bulk"
LIGHT = "demo,serve,excel"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("wheel")
    _ran([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", place], ROOT)
    (built,) = place.glob("agelens-*.whl")
    return built


def _ran(words: list[object], place: Path) -> str:
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    told = subprocess.run(
        [str(word) for word in words],
        cwd=place,
        env=environment | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, f"{words}: {told.stdout[-2000:]} {told.stderr[-2000:]}"
    return told.stdout


def test_it_holds_weights_cards_recipes_pages_and_types_and_no_tests(
    wheel: Path, tmp_path: Path
) -> None:
    ZipFile(wheel).extractall(tmp_path)
    package = tmp_path / "agelens"
    for name in (
        *("inference/cards/agelens-1.onnx", "inference/cards/agelens-1.json", "py.typed"),
        *("recipes/base.yaml", "service/page/index.html", "data/splits/unified"),
    ):
        assert (package / name).exists() or (package / f"{name}.py").exists(), name
    metadata = {path.name for path in tmp_path.glob("agelens-*.dist-info")}
    assert {path.name for path in tmp_path.iterdir()} == {"agelens", *metadata}


def test_with_every_extra_it_trains_on_this_python(wheel: Path, tmp_path: Path) -> None:
    """In a fresh environment that sees the packages of this one, so that nothing is fetched."""
    python = _environment(sys.executable, tmp_path)
    packages = sysconfig.get_path("purelib")
    inside = python.parents[1] / Path(packages).relative_to(sys.prefix)
    (inside / "others.pth").write_text(f"{packages}\n")
    _install(python, "--no-deps", "--force-reinstall", wheel)
    # Were a requirement of theirs not here, or not of the version that it names, this would fail.
    _install(python, "--no-index", f"{wheel}[{LIGHT},{HEAVY}]")
    _ran([python, "-c", _TRAIN], tmp_path)
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert summary["epochs"] == 1
    _estimates(python, tmp_path, "--model", "run")


_TRAIN = """
from agelens import __file__ as here
from agelens.cli import main
def run(line):
    assert main(line.split()) == 0, line
assert "venv" in here, here
run("data sample -o sample --count 60")
run("data read sample/people.csv sample/photos --columns path=file,age_years=age,subject=person "
    "--dataset drawn --age-kind real -o people.parquet")
run("data prepare people.parquet -o store --size 64")
run("train --config utkface-dlib-resnet10 --data.stores store -o run --trainer.max_epochs 1")
"""


@pytest.mark.parametrize(
    "version", [one for one in ("3.11", "3.13") if one != f"3.{sys.version_info.minor}"]
)
def test_another_python_installs_it_bare_and_with_extras(wheel: Path, version: str) -> None:
    """What has no torch; a release tries all of them: `WHEEL_EXTRAS=train,identity`."""
    with TemporaryDirectory() as folder:
        place = Path(folder)
        python = _environment(_interpreter(version), place)
        if not _index_answers(place):
            pytest.skip("no package index can be reached")
        constraints = ("-c", ROOT / "constraints.txt")
        _install(python, *constraints, wheel)
        _estimates(python, place)
        told = _ran([python, "-c", "import agelens.cli, sys; print(*sys.modules)"], place)
        assert "torch" not in told.split()
        extras = os.environ.get("WHEEL_EXTRAS", "")
        _install(python, *constraints, f"{wheel}[{extras or LIGHT}]")
        _ran([python, "-c", "import fastapi, openpyxl, skimage" if not extras else _TRAIN], place)


def _interpreter(version: str) -> str:
    """A Python of that version that starts: on the path, or of pyenv."""
    of_pyenv = Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}")
    for candidate in (shutil.which(f"python{version}"), *map(str, of_pyenv)):
        words = [candidate, "-c", "import venv"]
        if candidate and subprocess.run(words, capture_output=True, check=False).returncode == 0:
            return candidate
    pytest.skip(f"no Python {version} is here")


def _index_answers(place: Path) -> bool:
    words = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", place, "rich"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def _environment(interpreter: str, place: Path) -> Path:
    """The Python of a new virtual environment, which has no package; pip is that of the tests."""
    _ran([interpreter, "-m", "venv", "--without-pip", place / "venv"], place)
    return place / "venv/bin/python"


def _install(python: Path, *words: object) -> None:
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    _ran([*pip, "install", "--quiet", "--no-compile", *words], python.parent)


def _estimates(python: Path, place: Path, *options: str) -> None:
    """The installed command does what `make demo` does."""
    words = ["estimate", PHOTO, "--output", "ages.jsonl", "--overwrite", "--draw", "drawn"]
    _ran([python.with_name("agelens"), *words, *options], place)
    row = json.loads((place / "ages.jsonl").read_text())
    assert row["status"] == "ok"
    assert len(row["faces"]) == 1
    assert (place / "drawn/astronaut.jpg").is_file()
