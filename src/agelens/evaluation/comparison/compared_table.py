"""One network's estimates of one dataset: what a comparison is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.errors import UsageError
from agelens.tables import PredictionsTable

NOT_STATED: Final = "not stated"
"""The name of a dataset that a table does not name."""

_Parts: TypeAlias = dict[tuple[str, int, str], NDArray[np.int64]]
"""Rows by model, seed and dataset."""


@dataclass(frozen=True, slots=True, eq=False)
class ComparedTable:
    """The estimates of one trained network for one dataset.

    Networks of one `model` differ in `seed` only. `frame` is of a `PredictionsTable`, in
    which no `sample_id` repeats.
    """

    model: str
    seed: int | None
    dataset: str
    frame: pd.DataFrame

    @property
    def name(self) -> str:
        """For messages."""
        seed = "" if self.seed is None else f", seed {self.seed}"
        return f"{self.model}{seed} on {self.dataset}"


def compared_tables(
    predictions: PredictionsTable, model: str, *, rename: bool = False, seed: int | None = None
) -> list[ComparedTable]:
    """The table taken apart by the model, the seed and the dataset that its rows name.

    Args:
        predictions: of one network or of several, for one dataset or several.
        model: the name of the model where the rows name none.
        rename: take `model` whatever the rows say.
        seed: the seed where the rows state none.

    Raises:
        UsageError: `rename`, and the rows name several models.
    """
    frame = predictions.frame
    named = frame["model"].dropna().unique()
    if rename and len(named) > 1:
        raise UsageError(
            f"the predictions called {model} are of several models ({', '.join(map(str, named))}), "
            "which one name would hide: leave out the name"
        )
    models = frame["model"].astype(object)
    models = models.where(models.notna() & (not rename), model)
    datasets = frame["dataset"].astype(object)
    datasets = datasets.where(datasets.notna(), NOT_STATED)
    seeds = frame["seed"].astype(object)
    seeds = seeds.where(seeds.notna(), -1 if seed is None else seed)
    # A seed is a whole number from 0: -1 is that none was stated.
    parts = cast(_Parts, frame.groupby([models, seeds, datasets], sort=False).indices)
    return [
        ComparedTable(who, None if number < 0 else int(number), what, frame.iloc[np.sort(rows)])
        for (who, number, what), rows in sorted(parts.items(), key=lambda part: part[1].min())
    ]


def refuse_same_network(tables: Sequence[ComparedTable]) -> None:
    """Raise where two tables are of the same model, seed and dataset.

    Raises:
        UsageError: two are.
    """
    seen: set[tuple[str, int | None, str]] = set()
    for table in tables:
        key = (table.model, table.seed, table.dataset)
        if key in seen:
            raise UsageError(
                f"two tables are of {table.name}. Give each model a name (NAME=TABLE), or leave "
                "one out; runs of one model need different seeds"
            )
        seen.add(key)
