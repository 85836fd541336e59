"""Figures that others have published, to stand beside measured ones: never ranked with them.

They were measured on other splits, crops and starting weights, and nobody here has repeated
them: each says by whom it was published, by what protocol, and how it came to be known here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import yaml

from agelens.evaluation.metrics import METRICS

Known: TypeAlias = Literal["paper", "quoted", "code", "readme", "logs"]
_FILE: Final = Path(__file__).parent / "published.yaml"

KNOWN_BY: Final[dict[Known, str]] = {
    "paper": "read in the paper itself",
    "quoted": "as another paper or repository quotes it, not seen at its source",
    "code": "read in the authors' code",
    "readme": "a table of the repository's README",
    "logs": "averaged from published training logs",
}


@dataclass(frozen=True, slots=True)
class PublishedFigure:
    """One figure of another's.

    Args:
        datasets: names of the test set, as in `agelens data list`; the first stands for all.
        method: as its authors call it, with what tells its rows apart.
        metric: a key of `METRICS`.
        value: the figure.
        spread: standard deviation over repetitions, where it was stated.
        train_data: what the network was trained on last; None where it was not stated.
        pretraining: what it was trained on before.
        protocol: how the test set was split off.
        subject_exclusive: whether nobody is in both training and test; None is unknown.
        source: who published it, where.
        known_by: a key of `KNOWN_BY`.
        quoted_in: where it was read, if it is ``quoted``.
    """

    datasets: tuple[str, ...]
    method: str
    metric: str
    value: float
    spread: float | None
    train_data: str | None
    pretraining: str | None
    protocol: str
    subject_exclusive: bool | None
    source: str
    known_by: Known
    quoted_in: str | None


@cache
def published_figures() -> tuple[PublishedFigure, ...]:
    """All figures of `published.yaml`."""
    document = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    return tuple(figure for table in document["tables"] for figure in _figures(table))


def published_on(datasets: Collection[str]) -> tuple[PublishedFigure, ...]:
    """The figures on those datasets, the best of each dataset and metric first."""
    chosen = [one for one in published_figures() if set(one.datasets) & set(datasets)]
    return tuple(sorted(chosen, key=_by_figure))


def _by_figure(figure: PublishedFigure) -> tuple[str, bool, str, float]:
    downwards = -1 if METRICS[figure.metric].better == "higher" else 1
    return figure.datasets[0], figure.metric != "mae", figure.metric, downwards * figure.value


def _figures(table: dict[str, Any]) -> list[PublishedFigure]:
    """A table's figures; what a row or a column does not say, the table says for all."""
    return [
        _figure({**table, **column, **row}, given)
        for row in table["rows"]
        for column, given in zip(table["columns"], row["values"], strict=True)
        if given is not None
    ]


def _figure(said: dict[str, Any], given: float | list[float]) -> PublishedFigure:
    value, spread = given if isinstance(given, list) else (given, None)
    names = said["dataset"]
    return PublishedFigure(
        datasets=(names,) if isinstance(names, str) else tuple(names),
        method=said["method"],
        metric=said.get("metric", "mae"),
        value=value / 100 if said.get("percent") else float(value),
        spread=spread,
        train_data=said.get("train_data"),
        pretraining=said.get("pretraining"),
        protocol=said["protocol"],
        subject_exclusive=said.get("subject_exclusive"),
        source=said["source"],
        known_by=said["known_by"],
        quoted_in=said.get("quoted_in"),
    )
