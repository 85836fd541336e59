"""Who is on each chip: people told apart across datasets, and those seen only once."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.errors import UsageError
from agelens.tables import SampleTable

LoneIdentities: TypeAlias = Literal["refuse", "drop", "keep"]
_NAMED: Final = 5


def with_identities(table: SampleTable) -> SampleTable:
    """`table` with subjects that are people: `dataset/subject` where there are several datasets.

    Two datasets number their people alike, and subject 1 of one is not subject 1 of another.
    """
    frame = table.frame
    datasets = frame["dataset"].cat.remove_unused_categories()
    if len(datasets.cat.categories) < 2:
        return table
    subjects = frame["subject"].cat
    known = frame["subject"].notna().to_numpy()
    width = len(subjects.categories)
    codes = datasets.cat.codes.to_numpy(np.int64) * width + subjects.codes.to_numpy(np.int64)
    people, inverse = np.unique(codes[known], return_inverse=True)
    names = [
        f"{datasets.cat.categories[code // width]}/{subjects.categories[code % width]}"
        for code in people.tolist()
    ]
    places = np.full(len(frame), -1, dtype=np.int64)
    places[known] = inverse
    named = pd.Categorical.from_codes(places, pd.Index(names))
    return SampleTable(frame.assign(subject=named), table.extra)


def refuse_none(table: SampleTable, known: NDArray[np.bool_]) -> None:
    """Raise where no row says who it is.

    Raises:
        UsageError: so it is.
    """
    if not known.any():
        raise UsageError(
            f"none of the {len(table)} samples says who it is: recognition is learned from the "
            "column subject. Take a dataset that has it (agelens data list), or a table with it"
        )


def lone_rows(table: SampleTable) -> NDArray[np.bool_]:
    """Whether each row is the only one of its person [N]."""
    subjects = table.frame["subject"]
    return np.asarray(~subjects.duplicated(keep=False).to_numpy() & subjects.notna().to_numpy())


def refuse_lone(table: SampleTable, lone: NDArray[np.bool_]) -> None:
    """Raise where a person has one picture only.

    Raises:
        UsageError: so it is; the message counts and names them.
    """
    if not lone.any():
        return
    names = [str(name) for name in table.frame["subject"][lone].iloc[:_NAMED]]
    count = int(lone.sum())
    more = f" and {count - _NAMED} more" if count > _NAMED else ""
    raise UsageError(
        f"{count} of {table.frame['subject'].nunique()} identities have one picture only "
        f"({', '.join(names)}{more}), from which nobody can learn what stays the same: "
        "--data.lone_identities drop leaves them out and counts them, keep takes them as they are"
    )
