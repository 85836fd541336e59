"""Every long command, broken off in its middle: exit status, one sentence, nothing half-written.

What breaks it happens when it opens an input, in this process: no trial waits for anything.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from agelens.records import RGB
from agelens.tables import SampleTable, write_table

Run = Callable[..., Any]
PHOTOS = 5
COMMANDS = {
    "estimate": "estimate IN/photos -o OUT/ages.csv",
    "prepare": "data prepare IN/people.parquet -o OUT/store",
    "label": "data label IN/people.parquet --model TOY -o OUT/labelled.parquet",
    "audit": "data audit IN/people.parquet -o OUT/audit",
    "explore": "data explore IN/people.parquet -o OUT/explored",
    "predict": "predict IN/people.parquet --model TOY -o OUT/predicted.parquet",
    "stress": "stress IN/people.parquet --model TOY --draws 0 --corruptions noise -o OUT/stressed",
    "compare": "compare a=TOY b=TOY --on IN/people.parquet -o OUT/compared",
    "explain": "explain IN/photos/0.png IN/photos/1.png --model TOY --patch 8 -o OUT/explained",
    "embed": "identity embed IN/photos -o OUT/embedded.parquet",
    "search": "search IN/photos/0.png IN/photos --index OUT/index",
    "verify": "verify IN/photos/0.png IN/photos/1.png -o OUT/pair",
    "evaluate": "evaluate IN/predicted.csv -o OUT/evaluated",
    "calibrate": "calibrate IN/predicted.csv --anyway -o OUT/calibrated.csv",
}
_at_open: Callable[[str], None] | None = None


def _watch(event: str, given: tuple[Any, ...]) -> None:
    if _at_open is not None and event == "open" and isinstance(given[0], str | os.PathLike):
        _at_open(os.fspath(given[0]))


@pytest.fixture(scope="module", autouse=True)
def watching() -> None:
    sys.addaudithook(_watch)  # no hook can be taken off; without `_at_open` it does nothing


@contextmanager
def at_input(folder: Path, number: int, act: Callable[[], None], named: str = "") -> Iterator[None]:
    """`act` once, when the file of this number below `folder`, of those so named, is opened."""
    global _at_open  # noqa: PLW0603 - the audit hook is one for the process
    opened: set[str] = set()

    def look(path: str) -> None:
        global _at_open  # noqa: PLW0603
        if path.startswith(f"{folder}{os.sep}") and named in path:
            opened.add(path)
            if len(opened) == number:
                _at_open = None
                act()

    _at_open = look
    try:
        yield
    finally:
        _at_open = None


@pytest.fixture(scope="module")
def inputs(
    head: RGB, write_card: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Photos, a table of them, predictions, and beside them a toy model."""
    folder = tmp_path_factory.mktemp("given") / "inputs"
    (folder / "photos").mkdir(parents=True)
    for number in range(PHOTOS):
        Image.fromarray(np.roll(head, number, axis=1)).save(folder / "photos" / f"{number}.png")
    columns = {
        "sample_id": [f"set/{number}" for number in range(PHOTOS)],
        "dataset": "set",
        "path": [f"{number}.png" for number in range(PHOTOS)],
        "age_years": [20.0 + number for number in range(PHOTOS)],
        "age_kind": "real",
    }
    table = SampleTable.from_columns(columns).with_root(folder / "photos")
    write_table(table, folder / "people.parquet")
    rows = [f"{n},{n % 60 + 3}.5,{n % 60}" for n in range(120)]
    text = "\n".join(["sample_id,estimate_years,age_years", *rows, ""])
    (folder / "predicted.csv").write_text(text, encoding="utf-8")
    (folder.parent / "toy").mkdir()
    write_card(folder.parent / "toy")
    return folder


@pytest.fixture
def run(inputs: Path, agelens: Run, tmp_path: Path) -> Run:
    """Runs one of `COMMANDS`."""
    (toy,) = (inputs.parent / "toy").glob("*.json")
    places = {"IN": str(inputs), "OUT": str(tmp_path), "TOY": str(toy)}

    def ran(command: str, *further: str, **others: Path) -> Any:
        words = COMMANDS[command]
        for name, place in (places | {name: str(path) for name, path in others.items()}).items():
            words = words.replace(name, place)
        workers = ["--workers", "2"] if command == "estimate" else []
        return agelens(*words.split(), *further, *workers)

    return ran


def left_in(folder: Path) -> list[str]:
    """What no command may leave: files that were being written, and locks."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    return [name for name in found if name.endswith((".partial", ".lock", ".tmp"))]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal(
    sent: signal.Signals, command: str, run: Run, inputs: Path, tmp_path: Path
) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        few = command in ("evaluate", "calibrate")
        with at_input(inputs, 1 if few else 2, lambda: signal.raise_signal(sent)):
            ran = run(command)
    finally:
        signal.signal(signal.SIGINT, before)
    assert ran.status == 130, ran
    assert ran.err.startswith("agelens: interrupted")
    assert ran.err.count("\n") == 1
    assert left_in(tmp_path) == []


@pytest.mark.parametrize(
    ("command", "at"),
    [
        ("train --config IN/grey.yaml -q -o OUT/run", "metrics.csv"),
        ("tune --config IN/grey.yaml -q -o OUT/run", "store.json"),
    ],
)
def test_sigterm_in_training(
    command: str, at: str, agelens: Run, bright_store: Run, tmp_path: Path
) -> None:
    bright_store(tmp_path / "store", samples=16)
    (tmp_path / "grey.yaml").write_text(
        f"method: l1\ndata: {{stores: {tmp_path / 'store'}, batch_size: 8}}\n"
        "backbone: {name: tinyagenet, size: 32}\ntrainer: {max_epochs: 2, accelerator: cpu}\n",
        encoding="utf-8",
    )
    words = command.replace("IN", str(tmp_path)).replace("OUT", str(tmp_path)).split()
    with at_input(tmp_path, 1, lambda: signal.raise_signal(signal.SIGTERM), named=at):
        ran = agelens(*words)
    assert ran.status == 130, ran
    assert ran.err.startswith("agelens: interrupted")
    assert ran.err.count("\n") == 1
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_inputs_that_vanish(command: str, run: Run, inputs: Path, tmp_path: Path) -> None:
    away = inputs.with_name("away")
    try:
        few = command in ("evaluate", "calibrate")
        with at_input(inputs, 1 if few else 2, lambda: inputs.rename(away)):
            ran = run(command)
    finally:
        away.rename(inputs)
    # No row says `missing` of a photo that is there again.
    assert ran.status in (1, 2), ran
    assert ran.err.startswith("agelens: error: ")
    assert str(inputs) in ran.err
    assert few or "went away" in ran.err
    assert ran.err.count("\n") == 1
    assert left_in(tmp_path) == []


@pytest.mark.parametrize(
    ("command", "result"),
    [("estimate", "ages.csv"), ("prepare", "store/store.json"), ("search", "index/faces.parquet")],
)
def test_inputs_that_come_back(
    command: str, result: str, run: Run, inputs: Path, tmp_path: Path
) -> None:
    for name in ("once", "twice"):
        (tmp_path / name).mkdir()
    assert run(command, OUT=tmp_path / "once").status == 0
    away = inputs.with_name("away")
    with at_input(inputs, 4, lambda: inputs.rename(away)):
        assert run(command, OUT=tmp_path / "twice").status == 2
    away.rename(inputs)
    further = ["--resume"] if command == "estimate" else []
    again = run(command, *further, OUT=tmp_path / "twice")
    assert again.status == 0, again
    once, twice = (readable(tmp_path / name / result) for name in ("once", "twice"))
    assert once == twice


def readable(result: Path) -> str:
    """A result without what differs from run to run."""
    if result.suffix != ".parquet":
        return result.read_text(encoding="utf-8")
    frame = pd.read_parquet(result)
    return str(frame[["path", "status", "face"]].sort_values("path").to_csv())


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk(command: str, run: Run, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, hard))
    try:
        ran = run(command)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert ran.status == 1, ran
    assert "agelens: error: cannot write" in ran.err
    assert ran.err.count("agelens: error: ") == 1
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_an_output_that_cannot_be_written(command: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    ran = run(command, OUT=tmp_path / "file")
    assert ran.status in (1, 2), ran
    assert ran.err.startswith("agelens: error: ")
    assert str(tmp_path / "file") in ran.err
    assert ran.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("command", [name for name, words in COMMANDS.items() if "TOY" in words])
def test_a_card_that_leads_out_of_its_folder(
    command: str, run: Run, write_card: Callable[..., Path], tmp_path: Path
) -> None:
    write_card(tmp_path)
    leads_out = {"path": "../toy.onnx"}
    card = write_card(
        tmp_path / "in", change=lambda document: document["weights"].update(leads_out)
    )
    ran = run(command, TOY=card)
    assert (ran.status, ran.out) == (2, "")
    assert "leads out of the card's folder" in ran.err
    assert ran.err.count("\n") == 1
