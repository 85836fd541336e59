"""A user's own protocol, stated as an object (the command line reads it from YAML).

    name: adults-by-subject       # a word
    keep:                         # optional: all of the conditions must hold
      dataset: [agedb, morph2]
      age_years: {at_least: 18, below: 70}
    shares: {train: 0.6, valid: 0.2, test: 0.2}
    by: subject                   # with shares: subject (default) or sample
    repeats: 5                    # with shares: default 1, seeds count up

or, in place of `shares`, one mapping a split with the conditions of each part:

    splits:
      - train: {fold: [0, 1, 2, 3, 4, 5]}
        valid: {fold: [6, 7]}
        test: {fold: [8, 9]}

A condition is a value, a list of values, or bounds: at_least, above, at_most, below.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.data.splits.split import By, RandomSplit, Split, uncovered
from agelens.errors import TableError, UnknownNameError, UsageError
from agelens.tables import COLUMNS, SampleTable

_BOUNDS: Final[dict[str, Callable[[pd.Series, Any], pd.Series]]] = {
    "at_least": lambda values, bound: values >= bound,
    "above": lambda values, bound: values > bound,
    "at_most": lambda values, bound: values <= bound,
    "below": lambda values, bound: values < bound,
}


def rows_where(table: SampleTable, conditions: Mapping[str, object]) -> NDArray[np.bool_]:
    """Which rows [N] fulfil all of the conditions; a missing value fulfils none.

    A condition is a value, a list of values, or bounds such as `{at_least: 18, below: 60}`.

    Raises:
        UnknownNameError: there is no such column, or no such bound.
        UsageError: a bound is no number, or the column holds no numbers.
    """
    rows = np.ones(len(table), dtype=bool)
    for column, condition in conditions.items():
        if column not in COLUMNS:
            raise UnknownNameError("column", column, COLUMNS)
        rows &= _fulfilled(table.frame[column], condition).fillna(False).to_numpy(bool)
    return rows


def _fulfilled(values: pd.Series, condition: object) -> pd.Series:
    if isinstance(condition, Mapping):
        return _within(values, condition)
    listed = isinstance(condition, Sequence) and not isinstance(condition, str)
    wanted = list(condition) if listed else [condition]  # type: ignore[call-overload]
    if not pd.api.types.is_numeric_dtype(values.dtype):
        wanted = [str(value) for value in wanted]  # YAML reads the subject 007 as a number
    return values.isin(wanted)


def _within(values: pd.Series, bounds: Mapping[str, object]) -> pd.Series:
    if not pd.api.types.is_numeric_dtype(values.dtype):
        raise UsageError(f"column {values.name!r} holds no numbers, so it has no bounds")
    inside = values.notna()
    for word, bound in bounds.items():
        if word not in _BOUNDS:
            raise UnknownNameError("bound", str(word), _BOUNDS)
        if isinstance(bound, bool) or not isinstance(bound, int | float):
            raise UsageError(f"column {values.name!r}: {word} is a number, not {bound!r}")
        inside &= _BOUNDS[word](values, bound).fillna(False)
    return inside


Conditions = Mapping[str, object]

_KEYS: Final = ("name", "keep", "shares", "by", "repeats", "splits")


@dataclass(frozen=True, slots=True)
class CustomProtocol:
    """Parts by conditions or by shares, of the rows that are kept.

    Args:
        label: the protocol's name in reports.
        keep: conditions on the rows that take part; the others are in no part.
        splits: conditions of each part, one mapping a split.
        shares: of the kept samples, by part.
        by: with shares, what stays whole.
        repeats: with shares, how many splits.

    Raises:
        UsageError: both or neither of `splits` and `shares` are given, or a value is wrong.
    """

    label: str = "custom"
    keep: Conditions = field(default_factory=dict)
    splits: tuple[Mapping[str, Conditions], ...] = ()
    shares: Mapping[str, float] = field(default_factory=dict)
    by: By = "subject"
    repeats: int = 1

    name: ClassVar[str] = "custom"
    summary: ClassVar[str] = "your own: parts by conditions or shares, from YAML"
    by_subject: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if bool(self.splits) == bool(self.shares):
            raise UsageError("a protocol has either `splits` or `shares`")

    @classmethod
    def from_object(cls, document: object) -> CustomProtocol:
        """The protocol of a parsed document.

        Raises:
            UsageError: it does not follow the schema.
            UnknownNameError: it has a key that the schema does not know.
        """
        if not isinstance(document, Mapping):
            raise UsageError(f"a protocol is a mapping with {', '.join(_KEYS)}, not {document!r}")
        for key in document:
            if key not in _KEYS:
                raise UnknownNameError("protocol key", str(key), _KEYS)
        given = dict(document)
        given["label"] = str(given.pop("name", "custom"))
        splits = given.get("splits", ())
        if not isinstance(splits, Sequence) or not all(map(_is_parts, splits)):
            raise UsageError("`splits` is a list of mappings from a part to its conditions")
        given["splits"] = tuple(splits)
        if not isinstance(given.get("keep", {}), Mapping):
            raise UsageError("`keep` is a mapping from a column to a condition")
        return cls(**given)

    def __call__(
        self, table: SampleTable, *, seed: int = 0, duplicates: pd.Series | None = None
    ) -> tuple[Split, ...]:
        """The protocol's splits; with conditions, `seed` and `duplicates` change nothing.

        Raises:
            TableError: a row fulfils the conditions of two parts, or none is kept.
            UnknownNameError: a condition is on a column that there is not.
        """
        kept = rows_where(table, self.keep)
        if not kept.any():
            raise TableError(f"protocol {self.label!r}: no row fulfils `keep`: {dict(self.keep)}")
        if self.splits:
            return tuple(
                self._by_conditions(number, table, kept) for number in range(len(self.splits))
            )
        return self._by_shares(table, kept, seed, duplicates)

    def _by_conditions(self, number: int, table: SampleTable, kept: NDArray[np.bool_]) -> Split:
        parts = self.splits[number]
        codes = np.full(len(table), -1, dtype=np.int8)
        for code, (part, conditions) in enumerate(parts.items()):
            rows = rows_where(table, conditions) & kept
            twice = int((codes[rows] >= 0).sum())
            if twice:
                raise TableError(
                    f"protocol {self.label!r}, split {number}: {twice} rows of part {part!r} are "
                    "in an earlier part too; make the conditions exclude each other"
                )
            codes[rows] = code
        ids = table.frame["sample_id"]
        return Split(
            f"split_{number}", ids, tuple(parts), codes, self.label, None, uncovered(codes)
        )

    def _by_shares(
        self, table: SampleTable, kept: NDArray[np.bool_], seed: int, duplicates: pd.Series | None
    ) -> tuple[Split, ...]:
        part = table.select(kept)
        drawn = RandomSplit(self.shares, self.repeats, self.by)(
            part, seed=seed, duplicates=duplicates
        )
        ids = table.frame["sample_id"]
        splits = []
        for split in drawn:
            codes = np.full(len(table), -1, dtype=np.int8)
            codes[kept] = split.codes
            notes = (*split.notes, *uncovered(codes))
            splits.append(
                Split(split.name, ids, split.part_names, codes, self.label, split.seed, notes)
            )
        return tuple(splits)


def _is_parts(parts: object) -> bool:
    return (
        isinstance(parts, Mapping)
        and len(parts) > 0
        and all(isinstance(conditions, Mapping) and conditions for conditions in parts.values())
    )
