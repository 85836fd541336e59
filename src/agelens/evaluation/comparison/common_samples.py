"""The samples of a dataset that every compared network has answered: only these are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.errors import TableError, UsageError
from agelens.evaluation.bootstrap.grouped_metrics import GroupedMetrics, bootstrap
from agelens.evaluation.bootstrap.groupings import (
    Codes,
    Grouping,
    percentile_interval,
    person_codes,
)
from agelens.evaluation.groups import RatesOfRows
from agelens.evaluation.metrics import METRICS
from agelens.evaluation.metrics.base import Metric, Sums
from agelens.evaluation.metrics.errors import LEGAL_AGES
from agelens.evaluation.table_checks import check_mixed_kinds, check_unlabelled
from agelens.records import Floats
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


def check_same_network(tables: Sequence[ComparedTable]) -> None:
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


_SHOWN = 3


@dataclass(frozen=True, slots=True, eq=False)
class CommonSamples:
    """N samples with an age and an estimate of every network.

    `people` [N] are numbered from 0, each sample of nobody known as somebody of its own; `named`
    samples say whose they are. `estimates` by model are [seeds, N], in the order of `seeds`.
    """

    dataset: str
    age_years: Floats
    people: Codes
    named: int
    estimates: dict[str, Floats]
    seeds: dict[str, tuple[int | None, ...]]

    @property
    def people_count(self) -> int:
        """How many people are behind the samples, as far as intervals tell them apart."""
        return int(self.people.max(initial=-1)) + 1

    @property
    def known_people(self) -> int | None:
        """How many people the samples name; None where they name nobody."""
        unnamed = len(self.people) - self.named
        return self.people_count - unnamed if self.named else None


def common_samples(
    tables: Sequence[ComparedTable], *, mix_age_kinds: bool = False
) -> CommonSamples:
    """The samples that all `tables` of one dataset answer, found by `sample_id`.

    People are told apart by the table that knows the most subjects.

    Raises:
        TableError: a table has no age in years; two tables give one sample different ages.
        UsageError: no sample has an estimate and an age in all of them; kinds of age are mixed
            without `mix_age_kinds`.
    """
    for table in tables:
        check_unlabelled(table.frame)
    if not mix_age_kinds:
        check_mixed_kinds(_labels(tables))
    usable = [table.frame[_answered(table.frame)] for table in tables]
    ids = _common_ids(usable)
    if not len(ids):
        raise UsageError(_nothing_common(tables))
    rows = [_rows_of(frame, ids) for frame in usable]
    _check_other_ages(tables, rows)
    best = max(rows, key=lambda frame: int(frame["subject"].notna().sum()))
    estimates: dict[str, list[Floats]] = {}
    seeds: dict[str, list[int | None]] = {}
    for table, frame in zip(tables, rows, strict=True):
        estimates.setdefault(table.model, []).append(frame["estimate_years"].to_numpy(np.float64))
        seeds.setdefault(table.model, []).append(table.seed)
    return CommonSamples(
        tables[0].dataset,
        rows[0]["age_years"].to_numpy(np.float64),
        person_codes(best),
        int(best["subject"].notna().sum()),
        {model: np.stack(found) for model, found in estimates.items()},
        {model: tuple(found) for model, found in seeds.items()},
    )


def _labels(tables: Sequence[ComparedTable]) -> pd.DataFrame:
    names = ["age_years", "age_low", "age_high", "age_kind"]
    return pd.concat([table.frame[names].astype({"age_kind": object}) for table in tables])


def _answered(frame: pd.DataFrame) -> NDArray[np.bool_]:
    return (frame["estimate_years"].notna() & frame["age_years"].notna()).to_numpy()


def _common_ids(frames: Sequence[pd.DataFrame]) -> pd.Index:
    ids = frames[0]["sample_id"]
    for frame in frames[1:]:
        ids = ids[ids.isin(frame["sample_id"])]
    index: pd.Index = pd.Index(ids)
    return index


def _rows_of(frame: pd.DataFrame, ids: pd.Index) -> pd.DataFrame:
    rows: pd.DataFrame = frame.iloc[pd.Index(frame["sample_id"]).get_indexer(ids)]
    return rows


def _check_other_ages(tables: Sequence[ComparedTable], rows: Sequence[pd.DataFrame]) -> None:
    ages = rows[0]["age_years"].to_numpy()
    for table, frame in zip(tables[1:], rows[1:], strict=True):
        other = np.flatnonzero(frame["age_years"].to_numpy() != ages)
        if other.size:
            first = rows[0].iloc[other[0]]
            raise TableError(
                f"{tables[0].name} and {table.name} give {other.size} samples different ages, such "
                f"as {first['sample_id']!r}: {ages[other[0]]:g} and "
                f"{frame['age_years'].iloc[other[0]]:g}. Take both labels from one table: --labels"
            )


def _nothing_common(tables: Sequence[ComparedTable]) -> str:
    """Between which two there is nothing, and how their samples are called."""
    first = tables[0]
    for table in tables[1:]:
        if not len(_common_ids([first.frame, table.frame])):
            return (
                f"{first.name} and {table.name} have no sample in common, so that nothing can be "
                f"compared: the samples of one are called {_first_names(first)}, of the other "
                f"{_first_names(table)}. "
                "Where these are the same pictures, give both the same sample_id; where not, name "
                "the datasets apart in the column dataset"
            )
    which = ", ".join(table.name for table in tables)
    return f"no sample has an age and an estimate of all: {which}"


def _first_names(table: ComparedTable) -> str:
    return ", ".join(map(repr, table.frame["sample_id"].head(_SHOWN)))


WITHIN_YEARS: Final = 5
FIGURES: Final = ("mae", "cs@5", "bias")
"""What is measured of each model; each is a mean over samples, and then over seeds."""
LEGAL_FIGURES: Final = tuple(
    f"{rate}@{legal}" for rate in ("false_adult", "false_minor") for legal in LEGAL_AGES
)
"""Beside them, of those on one side of each legal age, over samples and seeds."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and its bootstrap interval; the ends are NaN where fewer than two people are."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, eq=False)
class ModelErrors:
    """The figures of models on M common samples.

    `absolute` by model is the absolute error of each sample [M], mean of the seeds;
    `draws` by model are D resampled MAEs, the same people being drawn for every model;
    `by_seed` by model the MAE of each seed.
    """

    figures: dict[str, dict[str, Interval]]
    absolute: dict[str, Floats]
    draws: dict[str, Floats]
    by_seed: dict[str, tuple[float, ...]]


def model_errors(
    common: CommonSamples, *, draws: int = 1000, level: float = 0.95, seed: int = 0
) -> ModelErrors:
    """Measure every model of `common`, with intervals clustered by person.

    A model of several seeds is measured by the mean of its seeds' figures. Its interval says how
    the figure moves with other people; how it moves with other seeds says `by_seed`.
    """
    errors = {model: one - common.age_years for model, one in common.estimates.items()}
    columns = {
        (model, name): column
        for model, error in errors.items()
        for name, column in _of_samples(error).items()
    }
    keyed = {f"{name} {model}": column for (model, name), column in columns.items()}
    everybody = Grouping.everybody(len(common.age_years))
    metrics = {key: Metric(_MEAN, (key,), "years", "lower", "mean") for key in keyed}
    measured = GroupedMetrics(metrics, keyed, common.people, [everybody])
    drawn = bootstrap(measured, draws=draws, seed=seed)[everybody.name] if draws else {}
    figures: dict[str, dict[str, Interval]] = {model: {} for model in errors}
    for (model, name), column in columns.items():
        key = f"{name} {model}"
        figures[model][name] = _with_ends(
            float(column.mean()), drawn[key][0] if draws else None, level, common
        )
    for model in errors:
        figures[model] |= _across_legal_ages(common, model, level if draws else None)
    return ModelErrors(
        figures,
        {model: columns[model, "mae"] for model in errors},
        {model: drawn[f"mae {model}"][0] if draws else np.empty(0) for model in errors},
        {model: tuple(np.abs(error).mean(axis=1).tolist()) for model, error in errors.items()},
    )


def interval_of_difference(
    errors: ModelErrors, model: str, other: str, common: CommonSamples, level: float
) -> Interval:
    """MAE of `model` less MAE of `other`, from draws of the same people (paired bootstrap)."""
    value = errors.figures[model]["mae"].value - errors.figures[other]["mae"].value
    drawn = errors.draws[model] - errors.draws[other] if len(errors.draws[model]) else None
    return _with_ends(value, drawn, level, common)


def _of_samples(errors: Floats) -> dict[str, Floats]:
    """The figures of each sample [M], of errors [seeds, M]: means over seeds."""
    return {
        "mae": np.abs(errors).mean(axis=0),
        "cs@5": (np.abs(errors) <= WITHIN_YEARS).mean(axis=0),
        "bias": errors.mean(axis=0),
    }


def _across_legal_ages(
    common: CommonSamples, model: str, level: float | None
) -> dict[str, Interval]:
    """False adults and false minors over all seeds, whose answers about one person go together."""
    estimates = common.estimates[model]
    ages, people = np.tile(common.age_years, len(estimates)), np.tile(common.people, len(estimates))
    found = {}
    for name in LEGAL_FIGURES:
        rates = RatesOfRows(
            METRICS[name], {"estimate_years": estimates.ravel(), "age_years": ages}, people
        )
        one = rates.of(np.ones(len(ages), dtype=bool), level=level or 0.95)
        known = level is not None and common.people_count > 1
        found[name] = Interval(one.share, *((one.low, one.high) if known else (np.nan, np.nan)))
    return found


def _with_ends(value: float, drawn: Floats | None, level: float, common: CommonSamples) -> Interval:
    """One person says nothing of others: an interval of one would have no width."""
    if drawn is None or common.people_count < 2:
        return Interval(value, np.nan, np.nan)
    return Interval(value, *percentile_interval(drawn, level, holding=value))


def _itself(column: Floats) -> Floats:
    return np.asarray(column, dtype=np.float64)


_MEAN: Final = Sums(_itself)
