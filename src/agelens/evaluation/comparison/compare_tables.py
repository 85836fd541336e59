"""N models on M datasets: who is better, how surely, and on whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from agelens.errors import UsageError
from agelens.evaluation.bootstrap.groupings import Codes
from agelens.evaluation.comparison.common_samples import (
    CommonSamples,
    ComparedTable,
    ModelErrors,
    check_same_network,
    common_samples,
    interval_of_difference,
    model_errors,
)
from agelens.evaluation.comparison.comparison import (
    Cell,
    Comparison,
    PairedDifference,
    comparison_notes,
    published_on,
    relation_to_training,
    worst_relation,
)
from agelens.evaluation.comparison.ranks import BlockRanks, block_ranks, drawn_ranks
from agelens.evaluation.groups import FEW
from agelens.evaluation.metrics.errors import mae
from agelens.evaluation.table_checks import has_age, tally, words_in_use
from agelens.records import Floats


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


_BYTES_AT_A_TIME: Final = 64_000_000
_TIE: Final = 1e-12
"""Of the sum of all sizes: sums of the same numbers in another order differ by less."""


def sign_flip_test(
    differences: Floats, people: Codes, *, flips: int = 10_000, seed: int = 0
) -> Floats:
    """Two-sided p-values [P] that the mean of each column of `differences` [N, P] is 0.

    If two models were equally good, their errors on a person could as well be the other way
    round: all differences of the person would change sign together (Fisher's randomisation
    test; Ernst, Statistical Science 2004). The p-value is the share of such worlds whose
    mean difference is as large. Where there are at most `flips` of them all are counted, else
    `flips` are drawn and the world as it is counts as one more, so that no p-value is 0.

    Args:
        differences: of two models' errors on each sample, a column for each pair of models.
        people: the person [N] of each sample, numbered from 0.
        flips: how many sign changes are drawn.
        seed: of the draws.
    """
    count = int(people.max(initial=-1)) + 1
    sums = np.stack(
        [np.bincount(people, weights=column, minlength=count) for column in differences.T], axis=1
    )
    observed = np.abs(sums.sum(axis=0)) - _TIE * np.abs(sums).sum(axis=0)
    exact = count < 63 and 2**count <= flips
    signs = _all_signs(count) if exact else _drawn_signs(count, flips, seed)
    as_large = np.zeros(sums.shape[1])
    for part in signs:
        as_large += (np.abs(part @ sums) >= observed).sum(axis=0)
    return np.asarray(as_large / 2**count if exact else (as_large + 1) / (flips + 1))


def _all_signs(people: int) -> Iterator[Floats]:
    worlds = np.arange(2**people)[:, np.newaxis] >> np.arange(people)
    yield np.asarray(1 - 2 * (worlds & 1), dtype=np.float64)


def _drawn_signs(people: int, flips: int, seed: int) -> Iterator[Floats]:
    random = np.random.default_rng(seed)
    at_a_time = max(1, _BYTES_AT_A_TIME // (8 * people))
    for start in range(0, flips, at_a_time):
        size = (min(at_a_time, flips - start), people)
        yield 1 - 2 * random.integers(0, 2, size, dtype=np.int8).astype(np.float64)


def holm(p_values: ArrayLike) -> Floats:
    """Adjusted p-values [T] (Holm, Scandinavian Journal of Statistics 1979).

    Where those below 0.05 are called differences, any of them is called so wrongly in at most
    5 % of all studies, whatever the tests have to do with each other. The smallest is multiplied
    by T, the next by T - 1 and so on, and none is less than one before it:
    ``holm([0.01, 0.04, 0.03])`` is ``[0.03, 0.06, 0.06]``.
    """
    given = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(given, kind="stable")
    stepped = given[order] * np.arange(len(given), 0, -1)
    adjusted = np.empty_like(given)
    adjusted[order] = np.minimum(np.maximum.accumulate(stepped), 1)
    return adjusted


def compare_tables(
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
    check_same_network(tables)


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
                people=common.known_people,
                unnamed=len(common.people) - common.named,
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
            people=common.known_people,
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
