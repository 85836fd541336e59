"""`agelens verify`: options; the work is loaded on demand."""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import Any

from agelens.cli.extras import require
from agelens.cli.identity_embed import NEEDED, add_face_choice, add_model


def add_verify(commands: Any) -> None:
    """Add `verify` to the parser's subcommands."""
    parser = commands.add_parser(
        "verify",
        help="are two photos of the same person?",
        description="Compare the faces of two photos: their similarity, a decision at a stated "
        "false match rate, and how old both look. Nothing is kept.",
        epilog="No proof of identity: see the README for what recognition must not be used for.",
    )
    parser.add_argument("first", metavar="A", help="a photo")
    parser.add_argument("second", metavar="B", help="another one")
    add_model(parser)
    parser.add_argument(
        "--false-match-rate",
        type=float,
        default=0.001,
        metavar="SHARE",
        help="of pairs of different people that may be called the same (0.001)",
    )
    add_face_choice(parser)
    parser.add_argument("--detector", default="retinaface", help="finds the faces (retinaface)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    require(NEEDED, "verify", "identity")
    return int(import_module("agelens.cli.verify_run").run(options))
