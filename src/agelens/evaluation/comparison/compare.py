"""N models on M datasets: who is better, how surely, and on whom."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from agelens.errors import UsageError
from agelens.evaluation.comparison.common_samples import CommonSamples, common_samples
from agelens.evaluation.comparison.compared_table import ComparedTable, refuse_same_network
from agelens.evaluation.comparison.comparison import Cell, Comparison, PairedDifference
from agelens.evaluation.comparison.holm import holm
from agelens.evaluation.comparison.model_errors import (
    ModelErrors,
    interval_of_difference,
    model_errors,
)
from agelens.evaluation.comparison.notes import comparison_notes
from agelens.evaluation.comparison.published import published_on
from agelens.evaluation.comparison.rankings import ranks_over_datasets, ranks_over_seeds
from agelens.evaluation.comparison.ranks import drawn_ranks
from agelens.evaluation.comparison.relation import relation_to_training, worst_relation
from agelens.evaluation.comparison.sign_flips import sign_flip_test
from agelens.evaluation.groups.group_rows import FEW
from agelens.evaluation.metrics import mae
from agelens.evaluation.row_counts import has_age, tally, words_in_use
from agelens.records import Floats


def compare(
    tables: Sequence[ComparedTable],
    *,
    remarks: Sequence[str] = (),
    mix_age_kinds: bool = False,
    draws: int = 1000,
    flips: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
) -> Comparison:
    """Compare models on the samples that all of them answer, dataset by dataset.

    Args:
        tables: one for each model, seed and dataset; a model need not be on every dataset.
        remarks: what is known of the models, to be told beside the figures.
        mix_age_kinds: whether real, apparent and estimated ages may be measured together.
        draws: of the bootstrap by person; 0 leaves the intervals out.
        flips: of the sign-flip test by person.
        level: of the intervals; tests call a difference one below 1 - `level`.
        seed: of draws and flips.

    Raises:
        TableError: a table without ages in years, or two with different ages of one sample.
        UsageError: no table; two of the same model, seed and dataset; models without a common
            sample; kinds of age mixed without `mix_age_kinds`; `draws`, `flips` or `level` that is
            no such thing.
    """
    _check(tables, draws, flips, level)
    datasets = tuple(dict.fromkeys(table.dataset for table in tables))
    by_dataset = {name: [t for t in tables if t.dataset == name] for name in datasets}
    common = {
        name: common_samples(some, mix_age_kinds=mix_age_kinds) for name, some in by_dataset.items()
    }
    errors = {
        name: model_errors(one, draws=draws, level=level, seed=seed) for name, one in common.items()
    }
    cells = tuple(
        cell
        for name in datasets
        for cell in _cells(by_dataset[name], common[name], errors[name], level)
    )
    pairs = [
        pair
        for name in datasets
        for pair in _pairs(common[name], errors[name], level=level, flips=flips, seed=seed)
    ]
    words = {word for table in tables for word in words_in_use(table.frame["dataset"])}
    return Comparison(
        tuple(dict.fromkeys(table.model for table in tables)),
        datasets,
        cells,
        _adjusted(pairs, level),
        ranks_over_seeds(common, errors, level),
        ranks_over_datasets(cells, level, mix_age_kinds=mix_age_kinds),
        published_on(words),
        (*comparison_notes(cells, by_dataset, mix_age_kinds=mix_age_kinds), *remarks),
        *(level, draws, flips, seed),
    )


def _check(tables: Sequence[ComparedTable], draws: int, flips: int, level: float) -> None:
    if not tables:
        raise UsageError("there is nothing to compare: no table was given")
    if draws < 0 or flips < 1 or not 0 < level < 1:
        raise UsageError(
            "draws are 0 or more, flips 1 or more, a level is between 0 and 1; got "
            f"{draws}, {flips}, {level}"
        )
    refuse_same_network(tables)


def _cells(
    tables: Sequence[ComparedTable], common: CommonSamples, errors: ModelErrors, level: float
) -> list[Cell]:
    ranks = drawn_ranks(errors.draws, level) if _is_ranked(common, errors) else {}
    found = []
    for model in errors.figures:
        frames = [table.frame for table in tables if table.model == model]
        rows = pd.concat([_counted(frame) for frame in frames])
        found.append(
            Cell(
                *(model, common.dataset, common.seeds[model]),
                errors.figures[model],
                errors.by_seed[model],
                ranks.get(model),
                samples=len(common.age_years),
                people=common.people_count,
                rows=len(rows),
                without_estimate=int(rows["estimate_years"].isna().sum()),
                without_age=int((~has_age(rows)).sum()),
                own_mae=float(np.mean([_own_mae(frame) for frame in frames])),
                age_kinds=tally(rows["age_kind"][has_age(rows)]),
                relation=worst_relation([relation_to_training(frame) for frame in frames]),
                few=len(common.age_years) < FEW,
            )
        )
    return found


def _is_ranked(common: CommonSamples, errors: ModelErrors) -> bool:
    drawn = all(len(one) for one in errors.draws.values())
    return drawn and len(errors.draws) > 1 and common.people_count > 1


def _counted(frame: pd.DataFrame) -> pd.DataFrame:
    names = ["estimate_years", "age_years", "age_low", "age_high", "age_kind"]
    return frame[names].astype({"age_kind": object})


def _own_mae(frame: pd.DataFrame) -> float:
    known = frame[["estimate_years", "age_years"]].dropna()
    return mae(known["estimate_years"], known["age_years"])


def _pairs(
    common: CommonSamples, errors: ModelErrors, *, level: float, flips: int, seed: int
) -> list[PairedDifference]:
    """All pairs of a dataset, p-values not adjusted yet."""
    chosen = list(combinations(errors.figures, 2))
    if not chosen:
        return []
    differences = np.stack([errors.absolute[a] - errors.absolute[b] for a, b in chosen], axis=1)
    p_values = sign_flip_test(differences, common.people, flips=flips, seed=seed)
    return [
        PairedDifference(
            *(common.dataset, model, other),
            interval_of_difference(errors, model, other, common, level),
            float(p_value),
            p_adjusted=float("nan"),
            better=None,
            samples=len(common.age_years),
            people=common.people_count,
            few=len(common.age_years) < FEW,
        )
        for (model, other), p_value in zip(chosen, p_values, strict=True)
    ]


def _adjusted(pairs: Sequence[PairedDifference], level: float) -> tuple[PairedDifference, ...]:
    """The pairs with Holm's correction over all of them, and whom it leaves better."""
    adjusted: Floats = holm([pair.p_value for pair in pairs])
    return tuple(
        PairedDifference(
            *(pair.dataset, pair.model, pair.other, pair.difference, pair.p_value),
            p_adjusted=float(p_adjusted),
            better=_better(pair) if p_adjusted < 1 - level and not pair.few else None,
            samples=pair.samples,
            people=pair.people,
            few=pair.few,
        )
        for pair, p_adjusted in zip(pairs, adjusted, strict=True)
    )


def _better(pair: PairedDifference) -> str:
    return pair.model if pair.difference.value < 0 else pair.other
