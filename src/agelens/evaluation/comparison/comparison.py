"""What a comparison found."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from agelens.evaluation.comparison.model_errors import Interval
from agelens.evaluation.comparison.published import PublishedFigure
from agelens.evaluation.comparison.ranks import BlockRanks, DrawnRank
from agelens.evaluation.comparison.relation import Relation


@dataclass(frozen=True, slots=True)
class Cell:
    """A model on a dataset.

    `figures` by name are of the `samples` that all models of the dataset answered, means over
    `seeds`; `mae_of_seeds` has each seed's. `own_mae` is of all rows that this model answered.
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
    people: int
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
    people: int
    few: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """Models by datasets, in the order in which they were given.

    `seed_ranks` by dataset, of those where every model has two seeds or more; `dataset_ranks`
    over the datasets that all models answered, where there are two or more. `notes` are
    sentences that a reader must know. `published` are others' figures on these datasets.
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

    def cell(self, model: str, dataset: str) -> Cell | None:
        """The cell of a model on a dataset, None where it was not tried."""
        found = (one for one in self.cells if (one.model, one.dataset) == (model, dataset))
        return next(found, None)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types; null for NaN."""
        document: dict[str, Any] = _plain(asdict(self))
        return document


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
