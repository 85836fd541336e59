"""A split: which samples are in which part."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from agelens.errors import TableError, UsageError
from agelens.tables import SampleTable

PartCodes = NDArray[np.int8]
"""[N] place of each sample's part in `part_names`, or -1 where it is in none."""

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Named parts of a sample table that share no sample.

    One byte a sample beside the table's own column of ids, so that the many splits of a
    protocol over millions of samples fit in memory.

    Args:
        name: tells the splits of one protocol apart; a folder name.
        sample_id: ids [N], each once.
        part_names: in reporting order, train first.
        codes: [N] part of each sample.
        protocol: name of the protocol that made it.
        seed: of its random choices; None where there were none.
        notes: what a reader of a result has to know, one sentence each.

    Raises:
        UsageError: the name or a part's cannot be a file's name, or a part repeats.
        TableError: ids and codes differ in length, or a code has no part.
    """

    name: str
    sample_id: pd.Series
    part_names: tuple[str, ...]
    codes: PartCodes
    protocol: str = ""
    seed: int | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = (self.name, *self.part_names)
        bad = [name for name in names if not _FILE_NAME.fullmatch(str(name))]
        if bad or len({*self.part_names}) < len(self.part_names):
            raise UsageError(
                f"split {self.name!r}: its name and its different parts {self.part_names} must be "
                "words of letters, digits, - and _, since they name files"
            )
        known = ((self.codes >= -1) & (self.codes < len(self.part_names))).all()
        if len(self.sample_id) != len(self.codes) or not known:
            raise TableError(f"split {self.name!r}: every sample needs one part code or -1")

    @classmethod
    def from_parts(
        cls, name: str, parts: Mapping[str, Iterable[str]], *, protocol: str = ""
    ) -> Split:
        """A split of lists of sample ids by part.

        Raises:
            TableError: a sample is listed twice; the message counts and shows them.
        """
        lists = [list(ids) for ids in parts.values()]
        ids = pd.Series([one for ids in lists for one in ids], dtype=pd.StringDtype("pyarrow"))
        twice = ids[ids.duplicated()]
        if len(twice):
            shown = ", ".join(twice.iloc[:5])
            raise TableError(f"split {name!r}: {len(twice)} sample(s) listed twice: {shown}")
        codes = np.repeat(np.arange(len(lists), dtype=np.int8), [len(ids) for ids in lists])
        return cls(name, ids, tuple(parts), codes, protocol)

    @property
    def counts(self) -> dict[str, int]:
        """Samples in each part."""
        found = np.bincount(self.codes[self.codes >= 0], minlength=len(self.part_names))
        return dict(zip(self.part_names, map(int, found), strict=True))

    @property
    def parts(self) -> dict[str, pd.Series]:
        """Sample ids of every part."""
        return {part: self.ids(part) for part in self.part_names}

    def ids(self, part: str) -> pd.Series:
        """Sample ids of one part, in the table's order.

        Raises:
            KeyError: there is no such part.
        """
        if part not in self.part_names:
            raise KeyError(f"split {self.name!r} has the parts {', '.join(self.part_names)}")
        ids: pd.Series = self.sample_id[self.codes == self.part_names.index(part)]
        return ids

    def codes_for(self, table: SampleTable) -> PartCodes:
        """Part codes [N] of the rows of `table`; a row that the split does not name gets -1.

        Raises:
            TableError: samples in a part are not in the table; some are listed.
        """
        ids = table.frame["sample_id"]
        if len(ids) == len(self.sample_id) and self.sample_id.equals(ids):
            return self.codes
        place = places(ids, self.sample_id)
        absent = self.codes >= 0
        absent[place[place >= 0]] = False
        if absent.any():
            shown = ", ".join(self.sample_id[absent].iloc[:5])
            raise TableError(
                f"split {self.name!r} was made for another table: {absent.sum()} of its samples "
                f"are not there, such as {shown}"
            )
        return np.where(place >= 0, self.codes[place], -1).astype(np.int8)


def uncovered(codes: NDArray[np.integer]) -> tuple[str, ...]:
    """The note that some samples are in no part, where some are."""
    count = int((codes < 0).sum())
    return (f"{count} of {len(codes)} samples are in no part",) if count else ()


def places(ids: pd.Series, among: pd.Series) -> NDArray[np.int64]:
    """The place of every one of `ids` [N] in `among` [M], all different, or -1: int64 [N]."""
    # Arrow hashes only `among`; an index over millions of Python strings takes gigabytes.
    texts, value_set = (pa.array(names).cast(pa.large_string()) for names in (ids, among))
    found = pc.fill_null(pc.index_in(texts, value_set=value_set), -1)
    return np.asarray(found, dtype=np.int64)
