"""The folder that `agelens page` writes, and what it refuses."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from retinaface.weights import WEIGHTS

from agelens.errors import CardError, MissingDependencyError, UsageError
from agelens.inference.cards import load_card
from agelens.service import on_device
from agelens.service.on_device import RUNTIME, write_page

FILES = {name: name.encode() for name in on_device._RUNTIME_FILES}
ROOT = Path(__file__).parents[3]


@pytest.fixture
def packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of npm with small files, which count as the right ones."""
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    monkeypatch.setattr(on_device, "_RUNTIME_FILES", hashes)
    path = tmp_path / "runtime.tgz"
    _pack(path, FILES)
    return path


def _pack(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as file:
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))


def test_the_folder_has_all_that_the_page_loads(packed: Path, tmp_path: Path) -> None:
    card = write_page(tmp_path / "page", runtime=packed)
    device = tmp_path / "page" / "device"
    assert (device / "model" / "age.onnx").read_bytes() == card.read_weights()
    assert (device / "model" / "detector.onnx").read_bytes() == WEIGHTS
    assert json.loads((device / "model" / "age.json").read_text()) == dict(card.document)
    settings = json.loads((device / "model" / "settings.json").read_text())
    assert {task: len(points) for task, points in settings["template_points"].items()} == {"age": 5}
    assert {path.name for path in (device / "runtime").iterdir()} == {
        *FILES, "LICENSE", "ThirdPartyNotices.txt"
    }  # fmt: skip
    assert "Microsoft" in (device / "runtime" / "LICENSE").read_text()
    licences = (tmp_path / "page" / "LICENCES.txt").read_text()
    assert card.licences["weights"] in licences
    assert licences.count("MIT License") == 2
    index = (tmp_path / "page" / "index.html").read_text()
    assert 'data-runs="device"' in index
    assert "'wasm-unsafe-eval'" in index


def test_a_folder_of_node_modules_serves_as_well(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "node_modules" / "onnxruntime-web"
    with tarfile.open(packed) as file:
        file.extractall(tmp_path, filter="data")
    package.parent.mkdir()
    (tmp_path / "package").rename(package)
    monkeypatch.chdir(tmp_path)
    write_page(tmp_path / "named", runtime=package)
    write_page(tmp_path / "found")
    assert (tmp_path / "found" / "device" / "runtime" / "LICENSE").is_file()


def test_npm_fetches_it_where_that_is_asked_for(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    name = f"{RUNTIME.replace('@', '-')}.tgz"
    npm.write_text(f'#!/bin/sh\n[ "$*" = "pack --silent {RUNTIME}" ] && cp {packed} {name}\n')
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{npm.parent}:/bin:/usr/bin")
    write_page(tmp_path / "page", runtime="npm")
    npm.write_text("#!/bin/sh\necho no network >&2\nexit 1\n")
    with pytest.raises(UsageError, match="failed: no network"):
        write_page(tmp_path / "other", runtime="npm")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependencyError, match="npm is not installed"):
        write_page(tmp_path / "other", runtime="npm")
    assert not (tmp_path / "other").exists()


def test_without_a_runtime_it_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=rf"npm pack {RUNTIME}, then --runtime \S+\.tgz"):
        write_page(tmp_path / "page")


def test_a_runtime_that_is_not_the_one_tested_is_refused(packed: Path, tmp_path: Path) -> None:
    first, *others = FILES
    _pack(tmp_path / "changed.tgz", FILES | {first: b"something else"})
    _pack(tmp_path / "part.tgz", {name: FILES[name] for name in others})
    (tmp_path / "text.tgz").write_text("no archive")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=f"{first} is not that of"):
        write_page(tmp_path / "page", runtime=tmp_path / "changed.tgz")
    for name in ("part.tgz", "text.tgz", "absent.tgz", "empty"):
        with pytest.raises(UsageError, match=f"{name}: is not {RUNTIME}"):
            write_page(tmp_path / "page", runtime=tmp_path / name)
    assert not (tmp_path / "page").exists()


def test_models_that_no_browser_can_run_are_refused(
    packed: Path, tmp_path: Path, write_card: Callable[..., Path]
) -> None:
    def turned(card: dict[str, Any]) -> None:
        card["input"]["alignment"] = "rotate-crop"

    for model, complaint in (
        ("cc0-gender", "answers gender, not age"),
        (write_card(tmp_path / "turned", change=turned), "cuts faces by rotate-crop"),
    ):
        with pytest.raises(UsageError, match=complaint):
            write_page(tmp_path / "page", runtime=packed, model=model)


def test_a_network_that_does_not_run_here_is_not_published(
    packed: Path, tmp_path: Path, write_card: Callable[..., Path]
) -> None:
    card = write_card(tmp_path / "odd", content=b"no network")
    with pytest.raises(CardError, match="toy: cannot be read as an ONNX file"):
        write_page(tmp_path / "page", runtime=packed, model=card)
    assert not (tmp_path / "page").exists()


def test_the_command_says_what_it_wrote_and_whose_it_is(
    packed: Path, tmp_path: Path, agelens: Callable[..., Any]
) -> None:
    ran = agelens(
        *("page", "-o", tmp_path / "page", "--runtime", packed, "--model", "cc0-resnet10")
    )
    assert ran.status == 0
    assert "estimates by cc0-resnet10" in ran.out
    assert (tmp_path / "page" / "device" / "model" / "gender.onnx").is_file()
    assert load_card("cc0-resnet10").licences["weights"] in ran.out
    again = agelens("page", "-o", tmp_path / "page", "--runtime", packed)
    assert again.status == 2
    assert "is not empty" in again.err


def test_make_fetches_the_version_that_is_tested() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"RUNTIME := {RUNTIME.replace('@', '-')}\n" in makefile
