"""One reader of foreign files, given damaged ones: run as a process of its own, for it may die.

    python tests/fuzz/trials.py READER FILE TARGET --seed 0 --seconds 4 --trials 400

FILE is damaged anew for each trial, then TARGET (FILE itself, or the folder it is in) is read.
Of a folder, each trial damages one file.
What the reader did wrong is printed as JSON; a trial's number and seed give it again.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

from agelens.errors import AgelensError

CPU_SECONDS = 30
LEAST_TRIALS = 20
# A line for each row that is wrong, and for each type that a value is not of.
SEVERAL_LINES = ("table", "csv", "predictions", "result table", "configuration")
ODD_VALUES = (b"1" * 400, b"1e999", b"-1", b"NaN", b'"', b"[" * 5000, b"{}", b"=1", b"\x00")


def damaged(content: bytes, chance: random.Random) -> bytes:
    """`content` with one to four things done to it that disks, networks and enemies do."""
    data = bytearray(content)
    for _ in range(chance.choice([1, 1, 2, 4])):
        size = len(data)
        at, length = chance.randrange(size + 1), chance.choice([1, 2, 4, 64, 1000])
        match chance.randrange(9):
            case 0:
                del data[at:]
            case 1:
                for _ in range(chance.choice([1, 1, 8])):
                    if size:
                        data[chance.randrange(size)] ^= 1 << chance.randrange(8)
            case 2:
                data[at : at + length] = bytes(len(data[at : at + length]))
            case 3:
                data[at : at + length] = b"\xff" * len(data[at : at + length])
            case 4:
                data[at:at] = chance.randbytes(length)
            case 5:
                data[at:at] = data[chance.randrange(size + 1) :][:length]
            case 6:
                del data[at : at + length]
            case 7:
                number = chance.choice(
                    [b"1" * 400, b"1e999", b"-1", b"NaN", b'"', b"[" * 5000, b"{}"]
                )
                data[at : at + chance.choice([0, 1, 4])] = number
            case _:
                data[: min(size, 64)] = chance.randbytes(min(size, 64))
    return bytes(data)


def _store(folder: Path) -> None:
    from agelens.data.store.chip_store import ChipStore

    store = ChipStore.open(folder)
    _ = store.table, store.outcomes, store.has_chip, store.size
    for row in range(len(store)):
        try:
            store[row]
        except AgelensError:
            continue


def _network(path: Path) -> None:
    import numpy as np

    from agelens.inference.runtimes import OnnxRuntime

    network = OnnxRuntime(path.read_bytes(), name="toy", size=16, width=81)
    network(np.zeros((2, 3, 16, 16), np.float32))


def _results(path: Path) -> None:
    from agelens.inference.result_files import ResultFile

    with ResultFile(path, if_exists="resume") as results:
        list(results.done())
    journal = path.with_name("ages.csv.partial.jsonl")
    shutil.copy(path, journal)
    try:
        with ResultFile(path.with_name("ages.csv"), if_exists="resume") as results:
            list(results.done())
    finally:
        journal.unlink(missing_ok=True)
        journal.with_name("ages.csv").unlink(missing_ok=True)


def _frames(path: Path) -> None:
    from agelens.imaging.video import read_frames

    for _, frame in zip(range(30), read_frames(path), strict=False):
        assert frame.rgb.ndim == 3


def _csv(path: Path) -> None:
    from agelens.tables import read_table

    rows = len(read_table(path, extra=None))
    lines = [line for line in path.read_bytes().replace(b"\r", b"\n").split(b"\n") if line.strip()]
    if b'"' not in path.read_bytes():
        assert rows >= len(lines) - 1, f"{len(lines) - 1} rows were written, {rows} read"


def _named(name: str) -> Callable[[Any], Any]:
    """A public reader, ``module:function`` or ``module:Class.method``."""
    from importlib import import_module

    module, _, attribute = name.partition(":")
    found: Any = import_module(module)
    for part in attribute.split("."):
        found = getattr(found, part)
    return found  # type: ignore[no-any-return]


def _yaml(path: Path) -> None:
    from agelens.cli.training import checked_words
    from agelens.training.config_schema import AGE_RUN
    from agelens.training.configuration import parse_run, run_parser

    words = checked_words(["--config", str(path)], "agelens train", AGE_RUN, starts=False)
    parse_run(run_parser(), words)


def _json_lines(path: Path) -> None:
    from agelens.evaluation.given_tables import Reading, one_table

    one_table(path, Reading(labels=path.with_name("labels.csv")))


def _dataset(root: Path) -> None:
    from agelens.data.datasets import dataset_reader

    dataset_reader(root.name)(root)


READERS: dict[str, Callable[[Path], Any] | str] = {
    "photo": "agelens.imaging.photos:read_photo",
    "video": _frames,
    "network": _network,
    "card": "agelens.inference.cards:load_card",
    "configuration": _yaml,
    "checkpoint": "agelens.training.checkpoints:read_checkpoint",
    "weights": "agelens.models.backbones.weights:read_tensors",
    "store": _store,
    "table": lambda path: _named("agelens.tables:read_table")(path, extra=None),
    "csv": _csv,
    "predictions": "agelens.tables:read_predictions",
    "embeddings": "agelens.recognition.embedding_table:read_embeddings",
    "datasets": _dataset,
    "mat": lambda p: _named("agelens.data.datasets.mat:read_mat_struct")(p, "imdb", ["dob"]),
    "labels": lambda p: _named("agelens.data.datasets.base:read_labels")(p, ["file", "age"]),
    "database": "agelens.data.formats.unified:read_unified",
    "split": "agelens.data.splits:read_split",
    "results": _results,
    "result table": _json_lines,
    "gate": "agelens.inference.age_gates:AgeGate.read",
    "embedding card": "agelens.recognition.extractors.network:read_embedding_card",
    "trained file": "agelens.importing.contents:read_contents",
    "graph": "agelens.models.backbones.weights:read_tfjs",
}


def _label_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)


def _target(given: argparse.Namespace, file: Path) -> Path:
    if given.target.is_file() or given.file.is_file():
        return Path(given.target)
    return Path(given.target) / file.relative_to(given.file).parts[0]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("reader", choices=READERS)
    parser.add_argument("file", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--trials", type=int, default=10**9, help="no more, however fast")
    given = parser.parse_args()
    named = READERS[given.reader]
    read = _named(named) if isinstance(named, str) else named
    files = [given.file] if given.file.is_file() else _label_files(given.file)
    read(_target(given, files[0]))  # whole, it is read

    def too_long(*_: object) -> None:
        raise TimeoutError(f"more than {CPU_SECONDS} seconds")

    signal.signal(signal.SIGPROF, too_long)
    warnings.simplefilter("ignore")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wrong: list[str] = []
    trial, end = 0, monotonic() + given.seconds
    while (trial < LEAST_TRIALS or (monotonic() < end and trial < given.trials)) and len(wrong) < 5:
        chance = random.Random(f"{given.seed}/{trial}")
        file = chance.choice(files)
        content = file.read_bytes()
        file.write_bytes(damaged(content, chance))
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        try:
            read(_target(given, file))
        except AgelensError as error:
            if "\n" in str(error) and given.reader not in SEVERAL_LINES:
                wrong.append(f"trial {trial}, {file}: more than a sentence: {error}")
        except Exception:  # noqa: BLE001 - anything at all is what is looked for
            wrong.append(f"trial {trial}, {file}: {traceback.format_exc(limit=-4)}")
        signal.setitimer(signal.ITIMER_PROF, 0)
        file.write_bytes(content)
        trial += 1
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    json.dump({"trials": trial, "wrong": wrong, "grown_mb": grown}, sys.stdout)


if __name__ == "__main__":
    main()
