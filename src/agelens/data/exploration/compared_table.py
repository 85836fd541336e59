"""One of the tables that a figure shows, and its columns as figures need them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd

from agelens.tables import SampleTable

OLDEST_DRAWN: Final = 120
"""Ages beyond are mistakes; one of them would squeeze all others into a corner."""

UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True, eq=False)
class ComparedTable:
    """A table under the name that figures give it."""

    name: str
    frame: pd.DataFrame

    @property
    def years(self) -> pd.Series:
        """Years [N] to draw: the age, or the middle of an age class; else missing.

        A class without an upper bound, an age below 0 and one above `OLDEST_DRAWN` are missing.
        """
        middle = (self.frame["age_low"] + self.frame["age_high"]) / 2
        years = self.frame["age_years"].fillna(middle)
        return years.where(years.between(0, OLDEST_DRAWN))

    def words(self, column: str) -> pd.Series:
        """A column of words [N] as plain objects, `UNKNOWN` where missing."""
        return self.frame[column].astype(object).fillna(UNKNOWN)


def sides(table: SampleTable, against: SampleTable | None) -> list[ComparedTable]:
    """The tables under the names of their datasets, told apart where these are the same."""
    shown = [ComparedTable(dataset_names(table), table.frame)]
    if against is None:
        return shown
    other = dataset_names(against)
    if other == shown[0].name:
        return [
            ComparedTable(f"{other} (1)", table.frame),
            ComparedTable(f"{other} (2)", against.frame),
        ]
    return [*shown, ComparedTable(other, against.frame)]


def dataset_names(table: SampleTable) -> str:
    """The names of a table's datasets, the largest first; at most three are spelled out."""
    counts = table.frame["dataset"].value_counts()
    names = [str(name) for name, count in counts.items() if count]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return (", ".join(names[:3]) + more) or "empty table"


def common_words(shown: Sequence[ComparedTable], column: str, limit: int) -> list[str]:
    """The commonest known words of a column over all tables, each table counting the same."""
    shares = [side.frame[column].value_counts(normalize=True) for side in shown]
    total = pd.concat([share.rename(index=str) for share in shares]).groupby(level=0).sum()
    found = total[total > 0].sort_index().sort_values(ascending=False, kind="stable")
    return [str(word) for word in found.index[:limit]]
