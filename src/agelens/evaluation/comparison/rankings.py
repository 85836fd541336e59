"""Which ranks of a comparison may be formed: over seeds, and over datasets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from agelens.evaluation.comparison.common_samples import CommonSamples
from agelens.evaluation.comparison.comparison import Cell
from agelens.evaluation.comparison.model_errors import ModelErrors
from agelens.evaluation.comparison.ranks import BlockRanks, block_ranks


def ranks_over_seeds(
    common: Mapping[str, CommonSamples], errors: Mapping[str, ModelErrors], level: float
) -> dict[str, BlockRanks]:
    """By dataset, where there are two models or more and each has the same two seeds or more.

    A block is a seed: ranks within it are those of one training of each model.
    """
    found = {}
    for dataset, one in common.items():
        models = list(one.seeds)
        shared = _shared_seeds(one)
        if len(models) < 2 or len(shared) < 2:
            continue
        columns = [
            [errors[dataset].by_seed[model][one.seeds[model].index(seed)] for seed in shared]
            for model in models
        ]
        names = [f"seed {seed}" for seed in shared]
        found[dataset] = block_ranks(np.array(columns).T, models, names, level=level)
    return found


def _shared_seeds(common: CommonSamples) -> list[int]:
    sets = [set(seeds) - {None} for seeds in common.seeds.values()]
    shared = set.intersection(*sets)
    return sorted(seed for seed in shared if seed is not None)


def ranks_over_datasets(
    cells: Sequence[Cell], level: float, *, mix_age_kinds: bool = False
) -> BlockRanks | None:
    """Ranks by each dataset's MAE, where all models answered two datasets or more, none of few.

    An error against another's estimate is another thing than one against a real age: datasets
    of different kinds of age make no common ranking unless `mix_age_kinds`.
    """
    models = list(dict.fromkeys(cell.model for cell in cells))
    by_dataset: dict[str, dict[str, Cell]] = {}
    for cell in cells:
        by_dataset.setdefault(cell.dataset, {})[cell.model] = cell
    whole = {
        name: row
        for name, row in by_dataset.items()
        if len(row) == len(models) and not any(cell.few for cell in row.values())
    }
    kinds = {kind for row in whole.values() for cell in row.values() for kind in cell.age_kinds}
    if len(models) < 2 or len(whole) < 2 or (len(kinds) > 1 and not mix_age_kinds):
        return None
    errors = [[row[model].figures["mae"].value for model in models] for row in whole.values()]
    return block_ranks(np.array(errors), models, list(whole), level=level)
