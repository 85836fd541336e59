"""What a comparison found."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import pandas as pd
import yaml

from agelens.evaluation.comparison.common_samples import ComparedTable, Interval
from agelens.evaluation.comparison.ranks import BlockRanks, DrawnRank
from agelens.evaluation.comparison.run_differences import RunDifference
from agelens.evaluation.groups import FEW
from agelens.evaluation.metrics import METRICS
from agelens.evaluation.table_checks import UNKNOWN_PEOPLE, spelled, words_in_use
from agelens.evaluation.training_overlap import TRAIN, training_overlaps

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
        datasets: names of the test set, as in `agelens data datasets`; the first stands for all.
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


RelationKind: TypeAlias = Literal["intra", "cross", "leak", "unclear", "not stated"]
_JOINED: Final = "+"
"""Between the names of several datasets in `train_data`."""
_UNKNOWN: Final = ("not stated", "unknown")
"""How a card says that nobody knows."""


@dataclass(frozen=True, slots=True)
class Relation:
    """One of five, and why.

    ``intra``: other people of a dataset it was trained on. ``cross``: of a dataset it never saw.
    ``leak``: it was trained on some of them. ``unclear``: some do not say whether it was.
    ``not stated``: nobody says what it was trained on, or which dataset this is.
    """

    kind: RelationKind
    text: str


def relation_to_training(frame: pd.DataFrame) -> Relation:
    """What the rows' `dataset` and `split` say beside their `train_data`."""
    trained_on = {
        name for words in words_in_use(frame["train_data"]) for name in words.split(_JOINED)
    }
    datasets = words_in_use(frame["dataset"])
    if not datasets or frame["dataset"].isna().any():
        return Relation("not stated", "the rows do not say which dataset they are of")
    unstated = frame["train_data"].isna().any() or not trained_on
    if unstated or any(name.startswith(_UNKNOWN) for name in trained_on):
        return Relation("not stated", "nobody says what it was trained on")
    overlaps = training_overlaps(frame, trained_on)
    if not overlaps:
        return Relation("cross", f"trained on {', '.join(sorted(trained_on))} only")
    trained = sum(one.trained for one in overlaps)
    unsaid = sum(one.unsaid for one in overlaps)
    if trained:
        return Relation("leak", f"{trained:,} of the {len(frame):,} rows are of its part {TRAIN}")
    if unsaid:
        return Relation(
            "unclear", f"{unsaid:,} of the {len(frame):,} rows do not say of which part they are"
        )
    return Relation("intra", f"parts {', '.join(words_in_use(frame['split']))} of its datasets")


def worst_relation(relations: Sequence[Relation]) -> Relation:
    """The one that a reader must know of, of several seeds of a model."""
    order = ("leak", "unclear", "not stated", "cross", "intra")
    return min(relations, key=lambda one: order.index(one.kind))


@dataclass(frozen=True, slots=True)
class Cell:
    """A model on a dataset.

    `figures` by name are of the `samples` that all models of the dataset answered, means over
    `seeds`; `mae_of_seeds` has each seed's. `people` are those whom the samples name, None where
    they name nobody, and `unnamed` the samples that do not. `own_mae` is of all rows that this
    model answered.
    `rows` to `without_age` count its rows, of all seeds together; `few` marks fewer than 30
    samples, which say nothing.
    """

    model: str
    dataset: str
    seeds: tuple[int | None, ...]
    figures: dict[str, Interval]
    mae_of_seeds: tuple[float, ...]
    rank: DrawnRank | None
    samples: int
    people: int | None
    unnamed: int
    rows: int
    without_estimate: int
    without_age: int
    own_mae: float
    age_kinds: dict[str, int]
    relation: Relation
    few: bool


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """MAE of `model` less that of `other` on the same samples of a dataset.

    `p_value` is of the sign-flip test by person, `p_adjusted` after Holm over all pairs of the
    comparison; `better` is the model with the lower MAE where that is below the level's rest.
    """

    dataset: str
    model: str
    other: str
    difference: Interval
    p_value: float
    p_adjusted: float
    better: str | None
    samples: int
    people: int | None
    few: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """Models by datasets, in the order in which they were given.

    `seed_ranks` by dataset, of those where every model has two seeds or more; `dataset_ranks`
    over the datasets that all models answered, where there are two or more. `notes` are
    sentences that a reader must know. `published` are others' figures on these datasets.
    `differences` are those of the runs among the models, `compared_runs`, in what they were given.
    """

    models: tuple[str, ...]
    datasets: tuple[str, ...]
    cells: tuple[Cell, ...]
    pairs: tuple[PairedDifference, ...]
    seed_ranks: dict[str, BlockRanks]
    dataset_ranks: BlockRanks | None
    published: tuple[PublishedFigure, ...]
    notes: tuple[str, ...]
    level: float
    draws: int
    flips: int
    seed: int
    compared_runs: tuple[str, ...] = ()
    differences: tuple[RunDifference, ...] = ()

    def cell(self, model: str, dataset: str) -> Cell | None:
        """The cell of a model on a dataset, None where it was not tried."""
        found = (one for one in self.cells if (one.model, one.dataset) == (model, dataset))
        return next(found, None)


def comparison_notes(
    cells: Sequence[Cell],
    tables: Mapping[str, Sequence[ComparedTable]],
    *,
    mix_age_kinds: bool = False,
) -> tuple[str, ...]:
    """Sentences on leaks, left-out rows, small sets, and kinds of age, those that apply."""
    lines = [*_leaks(cells), *_left_out(cells, tables), *_kinds(cells, mix=mix_age_kinds)]
    return tuple(dict.fromkeys(lines))


def _leaks(cells: Sequence[Cell]) -> Iterator[str]:
    for cell in cells:
        where = f"{cell.model} on {cell.dataset}"
        if cell.relation.kind == "leak":
            yield (
                f"Leak: {where}: {cell.relation.text}. It was trained on them, and its error on "
                "new people is larger."
            )
        elif cell.relation.kind == "unclear":
            yield (
                f"Perhaps a leak: {where}: it was trained on that dataset, and "
                f"{cell.relation.text}."
            )
        elif cell.relation.kind == "not stated":
            yield f"{where}: {cell.relation.text}, so that a leak could not be seen."


def _left_out(
    cells: Sequence[Cell], tables: Mapping[str, Sequence[ComparedTable]]
) -> Iterator[str]:
    for cell in cells:
        if cell.without_estimate or cell.without_age:
            yield (
                f"{cell.model} on {cell.dataset}: {cell.without_estimate:,} of {cell.rows:,} rows "
                f"have no estimate, {cell.without_age:,} no age; nothing is measured on them."
            )
    for dataset, some in tables.items():
        samples = next(cell.samples for cell in cells if cell.dataset == dataset)
        most = max(len(table.frame) for table in some)
        if samples < most:
            yield (
                f"{dataset}: compared on the {samples:,} samples that all answered with an age, of "
                f"up to {most:,}; the rest may be harder or easier."
            )
        if samples < FEW:
            yield f"{dataset}: {samples} samples are too few to say anything."
        unnamed = next(cell.unnamed for cell in cells if cell.dataset == dataset)
        if unnamed:
            yield f"{dataset}: {UNKNOWN_PEOPLE.format(rows=unnamed)}"


def _kinds(cells: Sequence[Cell], *, mix: bool) -> Iterator[str]:
    kinds: dict[str, dict[str, int]] = {}
    for cell in cells:
        kinds.setdefault(cell.dataset, cell.age_kinds)
    for dataset, counts in kinds.items():
        if len(counts) > 1:
            yield f"{dataset}: ages of several kinds are measured together: {spelled(counts)}."
        elif "estimated" in counts:
            yield (
                f"{dataset}: its ages are themselves estimates, so that an error is a disagreement "
                "with them, not an error against the truth."
            )
    if len({kind for counts in kinds.values() for kind in counts}) > 1 and not mix:
        each = ", ".join(f"{name} {'/'.join(counts)}" for name, counts in kinds.items())
        yield f"The datasets have ages of different kinds ({each}): no ranking over all of them."
