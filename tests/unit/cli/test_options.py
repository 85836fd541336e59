"""What is wrong usage, said before anything is loaded or written."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agelens import __version__
from agelens.cli.estimate import add_command
from agelens.imaging.detectors import DEFAULT_LONGEST_SIDE, DETECTORS
from agelens.imaging.photos import DEFAULT_MAX_PIXELS
from agelens.inference.cards import DEFAULT_MODEL

Run = Callable[..., Any]


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_command(parser.add_subparsers())
    return parser.parse_args(["estimate", *arguments])


def test_defaults_are_those_of_the_library() -> None:
    options = parsed("a.jpg")
    assert options.model == DEFAULT_MODEL
    assert options.detector in DETECTORS
    assert options.longest_side == DEFAULT_LONGEST_SIDE
    assert options.max_megapixels * 1_000_000 == DEFAULT_MAX_PIXELS
    assert (options.every, options.workers, options.camera) == (1, None, None)


def test_small_faces_search_a_larger_copy() -> None:
    assert parsed("a.jpg", "--small-faces").longest_side == 1920
    assert parsed("a.jpg", "--longest-side", "333").longest_side == 333


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--every", "0"], "--every: must be a whole number from 1, got '0'"),
        (["--every", "x"], "--every: must be a whole number from 1, got 'x'"),
        (["--workers", "-3"], "--workers: must be a whole number from 1, got '-3'"),
        (["--longest-side", "31"], "--longest-side: must be a whole number from 32, got '31'"),
        (["--max-megapixels", "1.5"], "--max-megapixels: must be a whole number from 1"),
        (["--resume", "--overwrite"], "not allowed with argument --resume"),
        (["--small-faces", "--longest-side", "900"], "not allowed with argument"),
        (["--fast"], "unrecognized arguments: --fast; agelens estimate --help shows the options"),
        (["--json"], "unrecognized arguments: --json"),  # not --json-dir
    ],
)
def test_wrong_options_say_what_was_expected(
    arguments: list[str], words: str, agelens: Run
) -> None:
    ran = agelens("estimate", "a.jpg", *arguments)
    assert ran.status == 2
    assert words in ran.err
    assert ran.out == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name photos, folders or -, or else --camera N"),
        (["a.jpg", "--camera", "0"], "name photos, folders or -, or else --camera N"),
        (["a.jpg", "--resume"], "--resume goes on with an --output file; name it"),
        (["--camera", "0", "--resume", "-o", "x.jsonl"], "a camera cannot --resume"),
        (["--camera", "front"], "'front' is none of them"),
        (["--camera", "-1"], "a camera's index is 0 to 99, got -1"),
    ],
)
def test_options_that_do_not_go_together(
    arguments: list[str], words: str, agelens: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = agelens("estimate", *arguments)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("agelens: error: ")
    assert words in ran.err
    assert list(tmp_path.iterdir()) == []


def test_version(agelens: Run) -> None:
    assert agelens("--version").out == f"agelens {__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["guess"]])
def test_no_and_unknown_commands_are_wrong_usage(arguments: list[str], agelens: Run) -> None:
    ran = agelens(*arguments)
    assert ran.status == 2
    assert "usage: agelens" in ran.err


@pytest.mark.parametrize("command", [[], ["estimate"], ["models"], ["detectors"], ["export"]])
def test_help_is_printed(command: list[str], agelens: Run) -> None:
    ran = agelens(*command, "--help")
    assert ran.status == 0
    assert ran.out.startswith("usage: agelens")
