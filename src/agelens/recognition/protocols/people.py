"""Who is on which row of tables of embeddings, and what is known of their ages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from agelens.evaluation.bootstrap import person_codes
from agelens.recognition.embeddings import EmbeddingTable
from agelens.recognition.protocols.mates import Codes
from agelens.records import Floats
from agelens.tables.dtypes import as_categories, as_plain

_WHO = ("sample_id", "dataset", "subject")


def people_of(tables: Sequence[EmbeddingTable]) -> list[Codes]:
    """A number [N] from 0 for the person of each row of each table, the same in all tables.

    Subjects of different datasets are different people; a row without a subject is somebody
    of its own.
    """
    frame = pd.concat([_plain(table.frame) for table in tables], ignore_index=True)
    frame = frame.assign(**{name: as_categories(frame[name]) for name in _WHO[1:]})
    ends = np.cumsum([len(table) for table in tables])[:-1]
    return np.split(person_codes(frame), ends)


def years_of(table: EmbeddingTable) -> Floats:
    """The age [N] of each row, NaN where it is unknown."""
    return table.frame["age_years"].to_numpy(dtype=np.float64, na_value=np.nan)


def age_kinds(tables: Sequence[EmbeddingTable]) -> dict[str, int]:
    """How many ages there are of each kind; those whose kind no column states are `not stated`."""
    kinds = [_kinds(table.frame) for table in tables]
    return {str(kind): int(n) for kind, n in pd.concat(kinds).value_counts().items()}


def _kinds(frame: pd.DataFrame) -> pd.Series:
    aged = frame["age_years"].notna()
    if "age_kind" not in frame:
        return pd.Series("not stated", index=frame.index[aged], dtype=object)
    return frame.loc[aged, "age_kind"].astype(object).fillna("not stated")


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({name: as_plain(frame[name]) for name in _WHO})
