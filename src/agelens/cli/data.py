"""`agelens data`: options of its commands. What they do is in `data_*`, loaded on demand."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from agelens.cli.extras import require

Parser = argparse.ArgumentParser
_NEEDED: Final = ("pandas", "scipy", "matplotlib", "seaborn", "datasets", "imagehash", "yaml")


def add_commands(commands: Any) -> None:
    """Add `data` and its own subcommands to the parser's subcommands."""
    parser = commands.add_parser(
        "data",
        help="read, prepare, explore, split and audit datasets",
        description="Datasets as their owners ship them, to one table, chips, splits and reports.",
    )
    actions = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, help_text, add_options, home in (
        ("list", "datasets, formats and split protocols", _list, "data_tables:list_all"),
        ("read", "read a downloaded dataset, or a list, into a table", _read, "data_tables:read"),
        ("convert", "write a table in another format", _convert, "data_tables:convert"),
        ("prepare", "cut a table's faces into a chip store", _prepare, "data_store:prepare"),
        ("label", "give a table's faces the ages that a model sees", _label, "data_label:label"),
        ("explore", "draw a table: a page and pictures", _explore, "data_reports:explore"),
        ("split", "split a table, and refuse leaks", _split, "data_tables:split"),
        ("audit", "find duplicates, wrong labels, bad pictures", _audit, "data_reports:audit"),
    ):
        action = actions.add_parser(name, help=help_text, description=help_text)
        add_options(action)
        action.set_defaults(run=_on_demand(home))


def _on_demand(home: str) -> Callable[[argparse.Namespace], int]:
    def run(options: argparse.Namespace) -> int:
        require(_NEEDED, "data")
        module, _, function = home.partition(":")
        return int(getattr(import_module(f"agelens.cli.{module}"), function)(options))

    return run


def _list(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")


def _read(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="a dataset or a format of `agelens data list`")
    parser.add_argument(
        "root", type=Path, metavar="ROOT", help="the downloaded folder, or the list"
    )
    _output(parser, "t.parquet or t.csv")
    chosen = parser.add_argument_group("for datasets that come in several forms")
    yes_no = argparse.BooleanOptionalAction
    chosen.add_argument("--crops", action=yes_no, help="the owner's crops (IMDB-WIKI, APPA-REAL)")
    chosen.add_argument("--aligned", action=yes_no, help="the owner's aligned faces (Adience, ...)")
    chosen.add_argument("--age", choices=("apparent", "real"), help="which label (APPA-REAL)")
    chosen.add_argument("--margin", choices=("025", "125"), help="which pictures (FairFace)")
    lists = parser.add_argument_group("for formats")
    lists.add_argument("--dataset", metavar="NAME", help="whose pictures the list is of")
    lists.add_argument("--age-kind", choices=("real", "apparent", "estimated"))
    lists.add_argument("--minimum-age", type=int, metavar="N", help="age of label 0 (coral)")
    lists.add_argument("--prefix", help="first word of the files' names (ldl, coral)")
    lists.add_argument("--mapping", type=Path, metavar="YAML", help="columns of own data (mapped)")
    lists.add_argument("--pictures", type=Path, metavar="DIR", help="where absolute paths lead to")


def _convert(parser: Parser) -> None:
    _table(parser)
    parser.add_argument("--to", required=True, metavar="FORMAT", help="a format of `data list`")
    _output(parser, "the file, or the folder where the format has several")
    parser.add_argument("--minimum-age", type=int, metavar="N", help="age of label 0 (coral)")
    parser.add_argument("--prefix", help="first word of the files' names (ldl, coral)")
    parser.add_argument("--mapping", type=Path, metavar="YAML", help="columns of own data (mapped)")
    parser.add_argument(
        "--round-ages", action="store_true", help="round half years for formats that count classes"
    )
    parser.add_argument(
        "--pictures", type=Path, metavar="DIR", help="where the table's pictures are (iefp)"
    )


def _prepare(parser: Parser) -> None:
    _table(parser)
    _root(parser, required=True)
    _output(parser, "the store's folder")
    parser.add_argument("--detector", default="retinaface", help="face detector (retinaface)")
    parser.add_argument("--template", help="frame of the landmarks (dlib-64)")
    parser.add_argument("--size", type=int, metavar="PIXELS", help="side of a chip")
    parser.add_argument(
        "--expand",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="more surroundings: 0.4 shows 1.4 times the frame, or the box with --two-pass",
    )
    parser.add_argument(
        "--fill",
        default="black",
        metavar="black|mirror",
        help="what stands beyond the photo: nothing, or its rim mirrored and blurred (black)",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--two-pass", action="store_true", help="turn by the eye line, find the box again, cut it"
    )
    how.add_argument("--aligned", action="store_true", help="chips already: resize, do not detect")
    parser.add_argument("--encoding", default="jpeg", help="jpeg, webp or png (jpeg)")
    parser.add_argument("--workers", type=int, metavar="N", help="threads (all available cores)")


def _label(parser: Parser) -> None:
    parser.description = (
        "Write the ages that a model sees into a table, as recognition across age trains on. They "
        "are marked as estimated, with the model's name in the column age_model; ages that are "
        "there already stay."
    )
    parser.add_argument(
        "faces", type=Path, metavar="TABLE|STORE", help="a table with --root, or a chip store"
    )
    parser.add_argument("--model", required=True, help="a packaged model, or the path of a card")
    _root(parser, required=False)
    _output(parser, "the labelled table, .parquet or .csv")
    parser.add_argument(
        "--replace", action="store_true", help="put them in the place of ages that are there"
    )
    parser.add_argument("--detector", default="retinaface", help="finds the faces of a table")
    parser.add_argument("--workers", type=int, metavar="N", help="threads (all available cores)")


def _explore(parser: Parser) -> None:
    _table(parser)
    _output(parser, "folder of the page and its pictures")
    _root(parser, required=False)
    parser.add_argument("--against", type=Path, metavar="TABLE", help="draw this one beside it")
    parser.add_argument("--against-root", type=Path, metavar="ROOT", help="its pictures")
    parser.add_argument("--seed", type=int, default=0, help="of the random samples")


def _split(parser: Parser) -> None:
    _table(parser)
    parser.add_argument(
        "--protocol",
        required=True,
        help="a protocol of `agelens data list`, or your own or the unified benchmark's YAML",
    )
    _output(parser, "a new folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, metavar="N", help="random-80-20 with N seeds")
    parser.add_argument(
        "--audit",
        type=Path,
        metavar="DIR",
        help="keep the near-duplicates that an audit found whole",
    )
    parser.add_argument(
        "--listed", type=Path, metavar="TABLE", help="the published list, read (rapl, unified)"
    )
    parser.add_argument(
        "--split-table",
        type=Path,
        metavar="TABLE",
        help="also write the table with its split column set; of several splits, one each",
    )
    parser.add_argument(
        "--allow-leaks", action="store_true", help="write a leaking split; the report says so"
    )


def _audit(parser: Parser) -> None:
    _table(parser)
    _root(parser, required=True)
    _output(parser, "folder of the page and its lists")
    parser.add_argument(
        "--against", type=Path, metavar="TABLE", help="duplicates with this one too"
    )
    parser.add_argument("--against-root", type=Path, metavar="ROOT", help="its pictures")
    parser.add_argument("--detector", default="retinaface", help="finds the faces (retinaface)")
    parser.add_argument("--mirrored", action="store_true", help="find mirrored copies as well")
    parser.add_argument("--model", help="show the labels that this model most disagrees with")
    parser.add_argument("--workers", type=int, metavar="N", help="threads (all available cores)")


def _table(parser: Parser) -> None:
    parser.add_argument("table", type=Path, metavar="TABLE", help="a table of `agelens data read`")


def _root(parser: Parser, *, required: bool) -> None:
    parser.add_argument(
        "--root", type=Path, required=required, metavar="ROOT", help="where its pictures are"
    )


def _output(parser: Parser, what: str) -> None:
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="PATH", help=what)
