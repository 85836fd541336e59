"""Runs that are killed, and that `--resume` ends with the file of an uninterrupted run.

A run is held in its middle without any race: its inputs come on standard input, which
stays open while it is killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from agelens.records import RGB

Run = Callable[..., Any]
PHOTOS, FRAMES = 38, 8
LEFT_OUT = 5  # names that the run to be killed has not been told
DEADLINE = 120.0
SUFFIXES = [".jsonl", ".csv", ".parquet"]
# Where a shell has put pytest into the background, Ctrl-C is ignored by it and its children.
COMMAND = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from agelens.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def inputs(head: RGB, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Sheets of four faces, a missing photo, a damaged one, and a video in the middle."""
    folder = tmp_path_factory.mktemp("inputs")
    paths = [folder / f"{n:02}.png" for n in range(PHOTOS)]
    for n, path in enumerate(paths):
        Image.fromarray(np.roll(np.tile(head, (2, 2, 1)), 5 * n, axis=1)).save(path)
    paths[5].write_bytes(b"no photo")
    clip = folder / "clip.avi"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"MJPG"), 10, (96, 96))
    for n in range(FRAMES):
        writer.write(np.ascontiguousarray(np.roll(head, n, axis=0)[:, :, ::-1]))
    writer.release()
    return [*paths[:34], folder / "gone.png", clip, *paths[34:]]


@dataclass(frozen=True)
class Whole:
    """What is run, how, and the folder with the outputs of uninterrupted runs."""

    inputs: list[Path]
    agelens: Run
    folder: Path

    def resume(self, path: Path, *options: str | Path) -> Any:
        return self.agelens("estimate", *self.inputs, "-o", path, "--resume", *options)

    def like(self, path: Path) -> Path:
        return self.folder / f"ages{path.suffix}"


@pytest.fixture(scope="module")
def whole(inputs: list[Path], agelens: Run, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """All inputs, with one output of each kind."""
    folder = tmp_path_factory.mktemp("whole")
    for suffix in SUFFIXES:
        assert agelens("estimate", *inputs, "-o", folder / f"ages{suffix}").status == 3
    assert len((folder / "ages.jsonl").read_text().splitlines()) == PHOTOS + 1 + FRAMES
    return Whole(inputs, agelens, folder)


@pytest.fixture(scope="module")
def short(inputs: list[Path], agelens: Run, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """Two photos, the missing one, the video, two photos: quick to do again."""
    few = [*inputs[:2], *inputs[34:38]]
    folder = tmp_path_factory.mktemp("short")
    assert agelens("estimate", *few, "-o", folder / "ages.jsonl").status == 3
    return Whole(few, agelens, folder)


def journal_of(path: Path) -> Path:
    return path if path.suffix == ".jsonl" else path.with_name(path.name + ".partial.jsonl")


def interrupted(inputs: list[Path], path: Path, sent: signal.Signals) -> tuple[int, str]:
    """Kill a run once it has written rows; its exit status and what it said."""
    command = [sys.executable, "-c", COMMAND, "estimate", "-", "-o", str(path), "--workers", "2"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        try:
            process.stdin.write(b"".join(os.fsencode(p) + b"\n" for p in inputs))
            process.stdin.flush()
            wait_for_rows(process, journal_of(path))
            process.send_signal(sent)
            process.wait(DEADLINE)
        finally:
            process.kill()
        return process.returncode, process.stderr.read().decode()


def wait_for_rows(process: subprocess.Popen[bytes], journal: Path) -> None:
    end = time.monotonic() + DEADLINE
    while not (journal.exists() and b"\n" in journal.read_bytes()):
        assert process.poll() is None, "the run ended before it was killed"
        assert time.monotonic() < end, "the run wrote no row"
        time.sleep(0.01)


def same(ours: Path, theirs: Path) -> None:
    if ours.suffix == ".parquet":
        assert pq.read_table(ours).equals(pq.read_table(theirs))
    else:
        assert ours.read_bytes() == theirs.read_bytes()


@pytest.mark.parametrize(
    ("sent", "suffix"),
    [
        (signal.SIGKILL, ".jsonl"),
        (signal.SIGKILL, ".csv"),
        (signal.SIGKILL, ".parquet"),
        (signal.SIGTERM, ".parquet"),
        (signal.SIGINT, ".csv"),
    ],
)
def test_a_killed_run_leaves_valid_rows_and_resumes_to_the_same_file(
    sent: signal.Signals, suffix: str, whole: Whole, tmp_path: Path
) -> None:
    path = tmp_path / f"ages{suffix}"
    status, told = interrupted(whole.inputs[:-LEFT_OUT], path, sent)
    reference = (whole.folder / "ages.jsonl").read_bytes()
    rows = journal_of(path).read_bytes()
    assert rows.endswith(b"\n")
    assert reference.startswith(rows)
    assert 0 < len(rows) < len(reference)
    if sent == signal.SIGKILL:
        assert status == -signal.SIGKILL
        assert suffix == ".jsonl" or not path.exists()
    else:
        assert status == 130
        assert "agelens: interrupted; the rows so far are kept" in told
        assert "Traceback" not in told
        assert path.exists()
    ran = whole.resume(path)
    assert ran.status == 3
    total, ok = PHOTOS + 1 + FRAMES, PHOTOS - 1 + FRAMES
    assert ran.err.endswith(f"{total} rows: 1 missing, {ok} ok, 1 unreadable\n")
    same(path, whole.like(path))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("row", "torn"),
    [(0, 0), (0, 5), (1, 0), (2, 100), (3, 0), (5, 0), (7, 30), (11, 0), (12, -2), (13, 0)],
)
def test_rows_cut_off_anywhere_resume_to_the_same_file(
    row: int, torn: int, short: Whole, tmp_path: Path
) -> None:
    path = tmp_path / "ages.jsonl"
    lines = [*short.like(path).read_bytes().splitlines(keepends=True), b""]
    assert len(lines) == 5 + FRAMES + 1
    path.write_bytes(b"".join(lines[:row]) + lines[row][:torn])
    assert short.resume(path).status == 3
    same(path, short.like(path))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_finished_run_is_left_as_it_is(suffix: str, short: Whole, tmp_path: Path) -> None:
    path = tmp_path / f"ages{suffix}"
    assert short.agelens("estimate", *short.inputs, "-o", path).status == 3
    before = path.read_bytes()
    ran = short.resume(path)
    assert path.read_bytes() == before
    assert ran.out == ""
    assert list(tmp_path.iterdir()) == [path]
    if suffix != ".jsonl":
        assert f"{path} is whole already; nothing to do" in ran.err


@pytest.fixture
def copied(short: Whole, tmp_path: Path) -> Path:
    """The output of a finished run, to be resumed in some other way."""
    path = tmp_path / "ages.jsonl"
    path.write_bytes(short.like(path).read_bytes())
    return path


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--model", "CARD"], "was made with model 'agelens-1', this run has 'toy'"),
        (["--detector", "dlib"], "was made with detector 'retinaface', this run has 'dlib'"),
        (["--gender"], "was made without --gender"),
        (["--distribution"], "was made without --distribution"),
    ],
)
def test_other_options_are_refused(
    change: list[str], words: str, short: Whole, copied: Path, write_card: Callable[..., Path]
) -> None:
    card = write_card(copied.parent / "card")
    ran = short.resume(copied, *(card if word == "CARD" else word for word in change))
    assert (ran.status, ran.out) == (2, "")
    assert words in ran.err
    assert "or use --overwrite" in ran.err
    same(copied, short.like(copied))


def test_other_inputs_are_refused(short: Whole, copied: Path) -> None:
    first, second, *rest = short.inputs
    for others in ([second, *rest], [first, second, *rest[:-1]], [second, first]):
        ran = short.agelens("estimate", *others, "-o", copied, "--resume")
        assert ran.status == 2
        assert "was made from other inputs" in ran.err
        same(copied, short.like(copied))


def test_further_inputs_are_added(short: Whole, tmp_path: Path) -> None:
    path = tmp_path / "ages.jsonl"
    assert short.agelens("estimate", *short.inputs[:2], "-o", path).status == 0
    assert short.resume(path).status == 3
    same(path, short.like(path))


def test_overwrite_begins_anew_over_a_torn_run(short: Whole, tmp_path: Path) -> None:
    path = tmp_path / "ages.jsonl"
    path.write_bytes(b'{"photo": "tor')
    assert short.agelens("estimate", *short.inputs, "-o", path, "--overwrite").status == 3
    same(path, short.like(path))


def test_drawings_go_on_under_the_names_of_an_uninterrupted_run(
    short: Whole, tmp_path: Path
) -> None:
    path, drawn = tmp_path / "ages.jsonl", tmp_path / "drawn"
    command = ["estimate", *short.inputs, *short.inputs[:2], "-o", path, "--draw", drawn]
    short.agelens(*command)
    names = sorted(p.name for p in drawn.iterdir())
    assert names == ["00-2.jpg", "00.jpg", "01-2.jpg", "01.jpg", "34.jpg", "35.jpg", "clip.mp4"]
    for drawing in drawn.iterdir():
        drawing.unlink()
    rows = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(rows[:-2]))
    short.agelens(*command, "--resume")
    assert sorted(p.name for p in drawn.iterdir()) == ["00-2.jpg", "01-2.jpg"]
