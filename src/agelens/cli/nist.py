"""`agelens nist`: options; the work is loaded on demand."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from agelens.cli.evaluation import numbers, on_demand
from agelens.cli.evaluation_options import add_bootstrap, add_reading


def add_command(commands: Any) -> None:
    """Add the command to the parser's subcommands."""
    parser = commands.add_parser(
        "nist",
        help="measure predictions as NIST's age estimation report does",
        description="The quantities of NIST's FATE AEV report on your own labelled predictions: "
        "error by sex and age, false positives and negatives of challenge ages, a room for 13 to "
        "16, failures to process, error by size and pose, time. These are no NIST results.",
    )
    parser.add_argument("predictions", type=Path, metavar="P", help="one model's, with ages")
    parser.add_argument("--legal", type=float, default=18.0, metavar="YEARS", help="legal age (18)")
    parser.add_argument(
        "--challenge",
        type=numbers,
        default=(18.0, 21.0, 25.0, 30.0),
        metavar="A,B",
        help="ages that a face must look to pass unasked (18,21,25,30)",
    )
    parser.add_argument(
        "--range",
        type=_years,
        default=(13, 16),
        metavar="A-B",
        help="whole years that a room is for, both included (13-16)",
    )
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="a new folder")
    parser.add_argument("--json", action="store_true", help="print JSON instead of sentences")
    add_bootstrap(parser)
    add_reading(parser)
    parser.set_defaults(run=on_demand("nist"))


def _years(text: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    if not dash or not first.strip().isdecimal() or not last.strip().isdecimal():
        raise argparse.ArgumentTypeError(f"whole years such as 13-16 are needed, got {text!r}")
    return int(first), int(last)
