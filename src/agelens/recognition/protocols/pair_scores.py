"""Listed pairs of pictures, with the similarity of their embeddings."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from agelens.data.datasets.folder import folded
from agelens.data.datasets.pairs import PairTable
from agelens.errors import TableError
from agelens.recognition.embeddings import OK, EmbeddingTable
from agelens.recognition.protocols.mates import Codes
from agelens.recognition.protocols.people import people_of, years_of
from agelens.recognition.protocols.roc import Truths
from agelens.records import Floats

_PAIRS_AT_A_TIME: Final = 8192
_ABSENT: Final = -1
_NOT_THERE: Final = "not in the table"


@dataclass(frozen=True, slots=True, eq=False)
class ScoredPairs:
    """T pairs with a similarity each, and those without.

    `score` float32 [T] are cosines; `same` and `fold` [T] as listed; `person_a` and `person_b` [T]
    number people, of whom pictures of unknown subjects that a pair joins are one;
    `gap_years` [T] are NaN where an age is unknown. `left_out` names the other pairs, as
    `path_a`, `path_b`, `same`, `why`. `subjects_known` says whether the table has a subject
    for every picture; `contradictions` counts pairs that the table's subjects contradict.
    """

    score: NDArray[np.float32]
    same: Truths
    fold: Codes
    person_a: Codes
    person_b: Codes
    gap_years: Floats
    left_out: pd.DataFrame
    subjects_known: bool
    contradictions: int

    def __len__(self) -> int:
        return len(self.score)


def score_pairs(table: EmbeddingTable, pairs: PairTable) -> ScoredPairs:
    """The cosine similarity of each pair both of whose pictures have an embedding.

    A listed path is a picture of the table whose path is the same, or ends in it, whatever
    the case: lists name files without the folders above them.

    Raises:
        TableError: a listed path is that of several pictures; or no pair has two embeddings.
    """
    places = _Places(table.frame["path"])
    a, b = (places.of(pairs.frame[name]) for name in ("path_a", "path_b"))
    why = _reasons(table, pairs.frame, a, b)
    kept = why.isna().to_numpy()
    if not kept.any():
        listed = ", ".join(pairs.frame["path_a"][:3])
        raise TableError(
            f"none of {len(pairs):,} pairs has an embedding of both pictures; the list names "
            f"{listed}, ..., and the table {', '.join(table.frame['path'].dropna()[:3])}, ..."
        )
    same = pairs.frame["same"].to_numpy(dtype=bool)
    a, b, same = a[kept], b[kept], same[kept]
    years, stated = years_of(table), table.frame["subject"].notna().to_numpy()
    (subjects,) = people_of([table])
    known = stated[a] & stated[b]
    people = _joined(subjects, a[same], b[same])
    return ScoredPairs(
        score=_cosines(table.vectors, a, b),
        same=same,
        fold=pairs.frame["fold"].to_numpy(dtype=np.int64)[kept],
        person_a=people[a],
        person_b=people[b],
        gap_years=np.abs(years[a] - years[b]),
        left_out=pairs.frame.loc[~kept, ["path_a", "path_b", "same"]].assign(why=why[~kept]),
        subjects_known=bool(known.all()),
        contradictions=int((known & ((subjects[a] == subjects[b]) != same)).sum()),
    )


class _Places:
    """Rows of a table by the end of their path."""

    def __init__(self, paths: pd.Series) -> None:
        self._by_name: dict[str, list[tuple[str, int]]] = defaultdict(list)
        for row, path in enumerate(paths):
            if not pd.isna(path):
                whole = folded(str(path))
                self._by_name[whole.rpartition("/")[2]].append((whole, row))

    def of(self, listed: pd.Series) -> Codes:
        """The row [N] of each listed path, -1 where there is none."""
        return np.array([self._row(str(path)) for path in listed], dtype=np.int64)

    def _row(self, listed: str) -> int:
        end = folded(listed)
        named = self._by_name.get(end.rpartition("/")[2], [])
        rows = [row for whole, row in named if whole == end] or [
            row for whole, row in named if whole.endswith(f"/{end}")
        ]
        if len(rows) > 1:
            raise TableError(
                f"{listed!r} of the list is the end of {len(rows)} paths of the table, such as "
                f"{named[0][0]!r} and {named[1][0]!r}: embed one copy of the pictures only"
            )
        return rows[0] if rows else _ABSENT


def _reasons(table: EmbeddingTable, listed: pd.DataFrame, a: Codes, b: Codes) -> pd.Series:
    """Why each pair has no similarity; missing where it has one."""
    status = [*table.frame["status"].astype(str), _NOT_THERE]  # -1 is the last
    both = ({status[left], status[right]} - {OK} for left, right in zip(a, b, strict=True))
    why = pd.Series(["; ".join(sorted(words)) or None for words in both], index=listed.index)
    return why.astype(object).mask(why.notna() & listed["issue"].notna(), "file absent")


def _cosines(vectors: NDArray[np.float32], a: Codes, b: Codes) -> NDArray[np.float32]:
    blocks = (slice(at, at + _PAIRS_AT_A_TIME) for at in range(0, len(a), _PAIRS_AT_A_TIME))
    return np.concatenate([np.vecdot(vectors[a[at]], vectors[b[at]]) for at in blocks])


def _joined(people: Codes, a: Codes, b: Codes) -> Codes:
    """The person [N] of each row, where the rows `a` and `b` [M] are known to be of one."""
    count = int(people.max()) + 1
    links = sparse.coo_array((np.ones(len(a)), (people[a], people[b])), shape=(count, count))
    _, joined = csgraph.connected_components(links, directed=False)
    return np.asarray(joined[people], dtype=np.int64)
