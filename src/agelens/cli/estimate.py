"""`agelens estimate`: its options. What it does is in `estimate_run`, loaded on demand."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from agelens.errors import UsageError

_SMALL_FACES_PX: Final = 1920


def add_command(commands: Any) -> None:
    """Add `estimate` to the parser's subcommands."""
    parser = commands.add_parser(
        "estimate",
        help="estimate the ages of the faces in photos, videos or a camera",
        description="Estimate how old the faces in photos look. Without --output, rows go to "
        "standard output: a table on a terminal, JSON Lines elsewhere.",
        epilog="Exit status: 0 all photos were read, 1 the output could not be written, 2 wrong "
        "usage, 3 some photos failed and their rows say why, 130 interrupted.",
    )
    parser.set_defaults(run=_run)
    _add_inputs(parser)
    _add_outputs(parser)
    _add_model(parser)


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("input")
    group.add_argument(
        "inputs",
        nargs="*",
        metavar="INPUT",
        help="photos, videos, folders, patterns in quotes, or - for a list on standard input",
    )
    group.add_argument(
        "--aligned",
        action="store_true",
        help="pictures are chips of one face each, aligned as the model's training data were: "
        "take them whole, look for no faces",
    )
    group.add_argument("-r", "--recursive", action="store_true", help="walk into sub-folders")
    group.add_argument(
        "--camera",
        metavar="N",
        help="use a camera instead of files: its number, 0 for the first, or an address that "
        "OpenCV opens, such as rtsp://host/stream",
    )
    group.add_argument(
        "--every", type=_at_least(1), default=1, metavar="N", help="use every N-th frame of a video"
    )
    group.add_argument(
        "--max-megapixels",
        type=_at_least(1),
        default=100,
        metavar="N",
        help="refuse larger photos before they are decoded (default 100)",
    )


def _add_outputs(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("output")
    group.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="write FILE.jsonl, FILE.csv or .parquet"
    )
    exists = group.add_mutually_exclusive_group()
    exists.add_argument(
        "--resume",
        action="store_true",
        help="go on where an earlier run with the same inputs and options stopped",
    )
    exists.add_argument("--overwrite", action="store_true", help="replace what is there")
    group.add_argument("--draw", type=Path, metavar="DIR", help="write annotated pictures to DIR")
    group.add_argument(
        "--distribution", action="store_true", help="add each face's whole age distribution"
    )
    group.add_argument(
        "--raw",
        action="store_true",
        help="add each face's ordinal logits, for models of CORAL's kind; JSON Lines only",
    )
    group.add_argument(
        "--json-dir",
        type=Path,
        metavar="DIR",
        help="also write one JSON file a photo, named after it, into DIR",
    )
    group.add_argument("-q", "--quiet", action="store_true", help="no table and no progress bar")


def _add_model(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("model")
    group.add_argument(
        "--model",
        default="agelens-1",
        help="age model: a name, a card, or the folder of a run (agelens-1)",
    )
    group.add_argument(
        "--gender",
        action="store_true",
        help="also answer female or male, as the model sees it, or else cc0-gender",
    )
    group.add_argument("--detector", default="retinaface", help="face detector (retinaface)")
    parser.set_defaults(longest_side=640)
    side = group.add_mutually_exclusive_group()
    side.add_argument(
        "--small-faces",
        dest="longest_side",
        action="store_const",
        const=_SMALL_FACES_PX,
        help=f"find small faces in large photos: the same as --longest-side {_SMALL_FACES_PX}",
    )
    side.add_argument(
        "--longest-side",
        type=_at_least(32),
        metavar="PIXELS",
        help="the detector searches a copy of at most this size (default 640)",
    )
    group.add_argument(
        "--uncalibrated",
        action="store_true",
        help="the network's own intervals, whose coverage nobody has measured",
    )
    group.add_argument(
        "--threshold",
        type=_probability,
        metavar="P",
        help='of models of CORAL\'s kind: how probable "older than" has to be, instead of the '
        "card's",
    )
    group.add_argument("--mirror", action="store_true", help="average with the mirrored face")
    group.add_argument("--device", default="cpu", help="cpu or cuda")
    group.add_argument(
        "--workers",
        type=_at_least(1, 1024),
        metavar="N",
        help="threads (default: all available cores)",
    )


def _at_least(least: int, most: int = 10**9) -> Callable[[str], int]:
    def whole_number(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if not least <= number <= most:
            limits = f"from {least}" if number < least else f"from {least} to {most}"
            raise argparse.ArgumentTypeError(f"must be a whole number {limits}, got {text!r}")
        return number

    return whole_number


def _probability(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 < number < 1:
        raise argparse.ArgumentTypeError(f"must be a number above 0 and below 1, got {text!r}")
    return number


def _run(options: argparse.Namespace) -> int:
    if bool(options.inputs) == (options.camera is not None):
        raise UsageError("name photos, folders or -, or else --camera N; see agelens estimate -h")
    if options.aligned and options.camera is not None:
        raise UsageError("a camera sees no --aligned chips; leave one of the two out")
    if options.resume and options.output is None:
        raise UsageError("--resume goes on with an --output file; name it")
    if options.resume and options.camera is not None:
        raise UsageError("a camera cannot --resume; use --overwrite or another --output")
    for name in ("threshold", "json_dir"):
        if options.resume and getattr(options, name) is not None:
            option = f"--{name.replace('_', '-')}"
            raise UsageError(f"--resume cannot tell how {option} was before: use --overwrite")
    if options.raw and options.output is not None and options.output.suffix.lower() != ".jsonl":
        raise UsageError("--raw adds lists to each face, which a table cannot hold: use .jsonl")
    # Only now: `agelens --help` must not wait for OpenCV and onnxruntime.
    from agelens.cli.estimate_run import run  # noqa: PLC0415

    return run(options)
