"""`agelens predict`, `evaluate`, `calibrate` and `gate`: options; the work is loaded on demand."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from agelens.cli.evaluation_options import add_bootstrap, add_reading, add_split
from agelens.errors import MissingDependencyError

Parser = argparse.ArgumentParser
_NEEDED: Final = ("pandas", "scipy", "matplotlib", "seaborn", "fairlearn", "mapie", "yaml")


def add_commands(commands: Any) -> None:
    """Add the four commands to the parser's subcommands."""
    for name, help_text, description, add_options in (
        (
            "predict",
            "estimate labelled faces into a predictions table",
            "Estimate all rows of a chip store, or all photos of a table, into a predictions "
            "table, which agelens evaluate, calibrate and gate take.",
            _predict,
        ),
        (
            "evaluate",
            "measure predictions: metrics with intervals, by group, one page",
            "Measure predictions of agelens or of any other tool, one table or several side by "
            "side. Rows without estimate or label are counted. Without --output, only print.",
            _evaluate,
        ),
        (
            "calibrate",
            "make a model's intervals hold as often as they say",
            "Find on labelled faces how wide a model's intervals must be, and write it into its "
            "card; agelens estimate then states their coverage. The faces must be none that the "
            "model was trained on.",
            _calibrate,
        ),
        (
            "gate",
            "find the challenge age that keeps false accepts below a limit",
            "Find the lowest age that a face must look, so that at most a share of those under the "
            "legal age pass; print what it costs those who are old enough. An age estimate is no "
            "proof of age: who is not let pass must be able to show one.",
            _gate,
        ),
    ):
        parser = commands.add_parser(name, help=help_text, description=description)
        add_options(parser)
        parser.set_defaults(run=on_demand(name))


def on_demand(name: str) -> Callable[[argparse.Namespace], int]:
    """The `run` of module `agelens.cli.NAME_run`, loaded when it is called."""

    def run(options: argparse.Namespace) -> int:
        missing = [package for package in _NEEDED if find_spec(package) is None]
        if missing:
            raise MissingDependencyError(
                f"agelens {name} needs {', '.join(missing)}: pip install 'agelens[train]'"
            )
        return int(import_module(f"agelens.cli.{name}_run").run(options))

    return run


def _predict(parser: Parser) -> None:
    add_model(parser)
    source = parser.add_argument_group("faces: a store, or a table and its photos")
    add_store(source)
    source.add_argument(
        "--table", type=Path, metavar="TABLE", help="labelled photos, through the whole pipeline"
    )
    source.add_argument("--root", type=Path, metavar="ROOT", help="where the table's photos are")
    add_split(source)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="P",
        help="P.parquet or P.csv (predictions.parquet, unless there is one)",
    )
    parser.add_argument("--mirror", action="store_true", help="average with the mirrored face")
    parser.add_argument(
        "--own-intervals", action="store_true", help="leave out the calibration in the card"
    )
    parser.add_argument(
        "--gender", action="store_true", help="also estimate gender (with --table only)"
    )
    parser.add_argument("--detector", default="retinaface", help="for --table (retinaface)")
    parser.add_argument("--workers", type=int, metavar="N", help="threads (all available cores)")


def _evaluate(parser: Parser) -> None:
    parser.add_argument(
        "tables", nargs="+", type=Path, metavar="P", help="predictions, .parquet or .csv"
    )
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="a new folder")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--metrics", type=words, metavar="A,B", help="only these (all that the columns allow)"
    )
    parser.add_argument(
        "--by",
        type=words,
        metavar="A,B",
        help="columns to group by, two at a time as well (age_band, gender, ethnicity, dataset, "
        "inter_eye_px, yaw_proxy, sharpness; those that are there)",
    )
    add_bootstrap(parser)
    add_reading(parser)
    pictures = parser.add_argument_group(
        "pictures of the worst errors, in a folder of their own that is for this machine only"
    )
    add_store(pictures)
    pictures.add_argument("--root", type=Path, metavar="ROOT", help="the photos of the tables")


def _calibrate(parser: Parser) -> None:
    add_model(parser)
    parser.add_argument(
        "--data",
        required=True,
        type=Path,
        metavar="P|STORE",
        help="the model's predictions with labels, or a chip store to make them from",
    )
    parser.add_argument(
        "--score",
        default="quantile",
        help="quantile moves both ends by the same years, normalised widens by a factor, absolute "
        "puts the same years on both sides of the estimate (quantile)",
    )
    parser.add_argument(
        "--bins",
        type=int,
        metavar="N",
        help="of age, each corrected by itself (one for every 50 samples, at most 10)",
    )
    parser.add_argument(
        "--bins-of",
        default="estimate",
        help="estimate: people who look alike are held as often as promised; age: people who are "
        "alike, so that the old and the young are not missed; a little wider (estimate)",
    )
    parser.add_argument("--by", choices=("gender",), help="each gender by itself")
    parser.add_argument(
        "--each-dataset",
        action="store_true",
        help="hold every dataset of the table, not only their mix",
    )
    parser.add_argument(
        "--levels",
        type=numbers,
        default=(0.5, 0.8, 0.9, 0.95),
        metavar="A,B",
        help="shares that intervals are to hold (0.5,0.8,0.9,0.95); agelens estimate uses 0.9",
    )
    parser.add_argument(
        "--bias",
        action="store_true",
        help="also remove bias, for people of the same mix of ages as here",
    )
    parser.add_argument(
        "--allow-training-data",
        action="store_true",
        help="calibrate on what the model may have been trained on",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the folds that coverage is by")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="leave the model, write another there"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    add_split(parser.add_argument_group("for a store"))
    add_reading(parser)


def _gate(parser: Parser) -> None:
    parser.add_argument(
        "--predictions", required=True, type=Path, metavar="P", help="one model's, with ages"
    )
    parser.add_argument("--legal", required=True, type=float, metavar="YEARS", help="legal age")
    parser.add_argument(
        "--max-false-accept",
        required=True,
        type=float,
        metavar="SHARE",
        help="of people under the legal age who pass: 0.01 is one in a hundred",
    )
    parser.add_argument(
        "--from-age",
        type=float,
        default=0.0,
        metavar="YEARS",
        help="leave out younger ones: small children pass for nobody, and hide those of 17 (0)",
    )
    parser.add_argument(
        "--confidence", type=float, default=0.95, metavar="SHARE", help="of the promise (0.95)"
    )
    parser.add_argument(
        "--by",
        type=words,
        default=("gender", "ethnicity"),
        metavar="A,B",
        help="columns to show both rates by (gender,ethnicity)",
    )
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="a new folder")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    add_reading(parser)


def add_model(parser: Parser) -> None:
    """The option --model."""
    parser.add_argument(
        "--model", required=True, help="a name, a card, or a folder with card and weights"
    )


def add_store(group: Any) -> None:
    """The option --store."""
    group.add_argument("--store", type=Path, metavar="STORE", help="of agelens data prepare")


def words(text: str) -> tuple[str, ...]:
    """Words separated by commas, as an option takes them."""
    found = tuple(word.strip() for word in text.split(",") if word.strip())
    if not found:
        raise argparse.ArgumentTypeError("names, separated by commas, are needed")
    return found


def numbers(text: str) -> tuple[float, ...]:
    """Numbers separated by commas, as an option takes them."""
    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"numbers, separated by commas, are needed, got {text!r}"
        ) from None
