"""The samples of a dataset that every compared network has answered: only these are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.errors import TableError, UsageError
from agelens.evaluation.bootstrap import person_codes
from agelens.evaluation.bootstrap.groupings import Codes
from agelens.evaluation.comparison.compared_table import ComparedTable
from agelens.evaluation.table_checks import refuse_mixed_kinds, refuse_unlabelled
from agelens.records import Floats

_SHOWN = 3


@dataclass(frozen=True, slots=True, eq=False)
class CommonSamples:
    """N samples with an age and an estimate of every network.

    `people` [N] are numbered from 0. `estimates` by model are [seeds, N], in the order of
    `seeds`.
    """

    dataset: str
    age_years: Floats
    people: Codes
    estimates: dict[str, Floats]
    seeds: dict[str, tuple[int | None, ...]]

    @property
    def people_count(self) -> int:
        """How many people are behind the samples."""
        return int(self.people.max(initial=-1)) + 1


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
        refuse_unlabelled(table.frame)
    if not mix_age_kinds:
        refuse_mixed_kinds(_labels(tables))
    usable = [table.frame[_answered(table.frame)] for table in tables]
    ids = _common_ids(usable)
    if not len(ids):
        raise UsageError(_nothing_common(tables))
    rows = [_rows_of(frame, ids) for frame in usable]
    _refuse_other_ages(tables, rows)
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


def _refuse_other_ages(tables: Sequence[ComparedTable], rows: Sequence[pd.DataFrame]) -> None:
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
