"""`agelens search`: options; the work is loaded on demand."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path
from typing import Any

from agelens.cli.extras import require
from agelens.cli.identity_embed import NEEDED, add_face_choice, add_model


def add_search(commands: Any) -> None:
    """Add `search` to the parser's subcommands."""
    parser = commands.add_parser(
        "search",
        help="find a person in a folder of photos",
        description="Find the faces in a folder that are most like the face of one photo. "
        "Nothing is kept unless --index names a folder for it.",
        epilog="For your own photos and for consented research only: see the README for what "
        "recognition must not be used for.",
    )
    parser.add_argument("query", metavar="QUERY", help="a photo of the person")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="photos to look through")
    parser.add_argument(
        "--index",
        type=Path,
        metavar="DIR",
        help="keep the faces' embeddings here, and only read what changed the next time",
    )
    parser.add_argument("--top", type=int, default=10, metavar="N", help="faces to show (10)")
    add_model(parser)
    parser.add_argument(
        "--false-match-rate",
        type=float,
        default=0.001,
        metavar="SHARE",
        help="mark faces that would be called the same at it, as agelens verify does (0.001)",
    )
    add_face_choice(parser)
    parser.add_argument("--detector", default="retinaface", help="finds the faces (retinaface)")
    parser.add_argument("--workers", type=int, metavar="N", help="threads (all available cores)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    require(NEEDED, "search", "identity")
    return int(import_module("agelens.cli.search_run").run(options))
