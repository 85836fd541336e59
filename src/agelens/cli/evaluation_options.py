"""Options that several commands of evaluation share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

Parser = argparse.ArgumentParser


def add_split(group: Any) -> None:
    """Options that `agelens.cli.chosen_rows` reads."""
    group.add_argument(
        "--split",
        help="a protocol, `column`, or a folder of agelens data split; as for agelens train",
    )
    group.add_argument("--split-seed", type=int, default=0, metavar="N", help="of the protocol")
    group.add_argument("--fold", help="which split, where there are several")
    group.add_argument("--part", help="only this part, such as valid or test")


def add_bootstrap(parser: Parser) -> None:
    """Draws of a bootstrap, its level and its seed."""
    parser.add_argument(
        "--draws", type=int, default=1000, metavar="N", help="of the bootstrap, by person (1000)"
    )
    parser.add_argument(
        "--level", type=float, default=0.95, metavar="SHARE", help="of the intervals (0.95)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the draws")


def add_reading(parser: Parser) -> None:
    """Options that `agelens.cli.read_tables` reads."""
    group = parser.add_argument_group("reading the tables")
    group.add_argument(
        "--columns",
        metavar="MAPPING",
        help="for other tools' files: estimate_years=pred,sample_id=file or a YAML file of such "
        "pairs; codes as `gender: [sex, {0: male}]`",
    )
    group.add_argument(
        "--age-kind",
        choices=("real", "apparent", "estimated"),
        help="what the ages are, where the file does not say",
    )
    group.add_argument(
        "--labels", type=Path, metavar="TABLE", help="take labels from this sample table"
    )
    group.add_argument(
        "--allow-mixed-age-kinds",
        action="store_true",
        help="measure real, apparent and estimated ages together",
    )
