"""Listed pairs of pictures, with the similarity of their embeddings."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from agelens.data.datasets.folder import folded
from agelens.data.datasets.pairs import PairTable
from agelens.errors import TableError
from agelens.recognition.embedding_table import OK, EmbeddingTable
from agelens.recognition.protocols.rates import Codes, people_of, years_of
from agelens.records import Floats

Truths: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class RocCurve:
    """Rates as the threshold falls; a pair matches where its similarity is at least that.

    `thresholds` [K + 1] fall strictly from infinity, where nothing matches; `false_match` and
    `true_match` [K + 1], or [D, K + 1] of D draws, rise from 0 to 1. They are NaN where there is no
    pair of two people, or none of one.
    """

    thresholds: Floats
    false_match: Floats
    true_match: Floats

    @property
    def area(self) -> Floats:
        """Area under the curve [...]: how often one person's pair is the more similar.

        Ties count half (Hanley and McNeil, 1982).
        """
        return np.asarray(np.trapezoid(self.true_match, self.false_match, axis=-1))

    @property
    def equal_error(self) -> Floats:
        """The rate [...] at which false matches equal false non-matches.

        The curve runs straight between its points, as where IEFP finds the root.
        """
        above = self.false_match - (1 - self.true_match)  # rises from -1 to 1
        after = np.maximum(np.argmax(above >= 0, axis=-1), 1)[..., np.newaxis]
        low, high = (np.take_along_axis(above, at, axis=-1) for at in (after - 1, after))
        from_, to = (np.take_along_axis(self.false_match, at, axis=-1) for at in (after - 1, after))
        return np.asarray((from_ + (to - from_) * -low / (high - low))[..., 0])

    def true_match_at(self, false_match: float) -> float:
        """The highest true match rate at which at most that share of two people's pairs match."""
        allowed = self.true_match[self.false_match <= false_match]
        return float(allowed.max()) if allowed.size else float("nan")


class SortedScores:
    """Scores of pairs, sorted once, for curves under any weights.

    Args:
        scores: similarity [T] of each pair.
        same: whether it is of one person [T].

    Raises:
        ValueError: a score is NaN.
    """

    def __init__(self, scores: NDArray[np.floating], same: Truths) -> None:
        if np.isnan(scores).any():
            raise ValueError("a pair without a score cannot be ranked: leave it out and count it")
        self._order = np.argsort(-scores, kind="stable")
        falling = scores[self._order].astype(np.float64)
        self._ends = np.flatnonzero(np.diff(falling, append=-np.inf))
        self._thresholds = np.concatenate([[np.inf], falling[self._ends]])
        self._same = same[self._order]

    def curve(self, weights: Floats | None = None) -> RocCurve:
        """The curve, each pair counting once or by `weights` [D, T]."""
        counts = np.ones(len(self._order)) if weights is None else weights[..., self._order]
        true_match = self._shares(counts * self._same)
        return RocCurve(self._thresholds, self._shares(counts * ~self._same), true_match)

    def _shares(self, counts: Floats) -> Floats:
        """Share [..., K + 1] of the counts [..., T] at or above each threshold."""
        running = np.cumsum(counts, axis=-1)
        total = running[..., -1:] if running.shape[-1] else np.zeros((*running.shape[:-1], 1))
        with np.errstate(invalid="ignore"):
            shares = running[..., self._ends] / total
        nothing = np.where(total > 0, 0.0, np.nan)
        return np.concatenate([nothing, shares], axis=-1)


def roc_curve(scores: NDArray[np.floating], same: Truths) -> RocCurve:
    """The curve of T pairs: similarity [T], and whether both pictures are of one person [T].

    Raises:
        ValueError: a score is NaN.
    """
    return SortedScores(scores, same).curve()


class GridCurve:
    """The mean over folds of the rates at given thresholds, as IEFP's code makes a ROC.

    Args:
        scores: similarity [T] of each pair.
        same: whether it is of one person [T].
        fold: of each pair [T].
        thresholds: [K], ascending.
    """

    def __init__(
        self, scores: NDArray[np.floating], same: Truths, fold: Codes, thresholds: Floats
    ) -> None:
        self._thresholds = np.asarray(thresholds, dtype=np.float64)
        # At how many thresholds each pair matches: those up to its score.
        self._reached = np.searchsorted(self._thresholds, scores, side="right")
        self._same = same
        self._folds = [fold == one for one in np.unique(fold)]

    def curve(self, weights: Floats | None = None) -> RocCurve:
        """The curve, each pair counting once or by `weights` [D, T]; thresholds fall."""
        counts = np.ones((1, len(self._same))) if weights is None else weights
        true_match, false_match = (
            np.mean([self._rates(counts, inside & kind) for inside in self._folds], axis=0)
            for kind in (self._same, ~self._same)
        )
        if weights is None:
            true_match, false_match = true_match[0], false_match[0]
        return RocCurve(self._thresholds[::-1], false_match, true_match)

    def _rates(self, counts: Floats, inside: Truths) -> Floats:
        """Share [D, K] of the pairs `inside` that match; 0 where a fold has none, as theirs."""
        places = len(self._thresholds)
        held = np.zeros((len(counts), places + 1))
        for place in np.unique(self._reached[inside]):
            held[:, place] = counts[:, inside & (self._reached == place)].sum(axis=1)
        matching = np.cumsum(held[:, ::-1], axis=1)[:, :-1]
        total = held.sum(axis=1, keepdims=True)
        shares = np.divide(matching, total, out=np.zeros_like(matching), where=total > 0)
        return np.asarray(shares)


IEFP_THRESHOLDS: Final = tuple(step / 100 for step in range(-100, 101))
"""-1 to 1 in steps of 0.01, as IEFP's own figures."""


def fold_thresholds(
    scores: NDArray[np.floating],
    same: Truths,
    fold: Codes,
    candidates: Floats | None = None,
) -> dict[int, float]:
    """The threshold for each fold: that with the highest accuracy on all other folds.

    A pair matches where its score is at least the threshold; of equally good thresholds the
    lowest is taken.

    Args:
        scores: similarity [T] of each pair.
        same: whether it is of one person [T].
        fold: of each pair [T].
        candidates: thresholds to choose from, ascending; by default all that decide differently,
            each half way between two neighbouring scores.

    Raises:
        ValueError: there is one fold only, which leaves no other to choose on.
    """
    folds = np.unique(fold)
    if len(folds) < 2:
        raise ValueError(f"a threshold is chosen on other folds, got {len(folds)} in all")
    found = {}
    for one in folds:
        others = fold != one
        choice = between(scores[others]) if candidates is None else candidates
        accuracy = _hits(scores[others], same[others], choice)
        found[int(one)] = float(choice[np.argmax(accuracy)])
    return found


def between(scores: NDArray[np.floating]) -> Floats:
    """All thresholds [K + 1] that decide differently on K distinct scores, ascending."""
    distinct = np.unique(scores).astype(np.float64)
    middle = (distinct[:-1] + distinct[1:]) / 2
    return np.concatenate([distinct[:1], middle, [np.nextafter(distinct[-1], np.inf)]])


def _hits(scores: NDArray[np.floating], same: Truths, thresholds: Floats) -> Codes:
    """How many pairs are decided rightly at each threshold [K]."""
    of_one, of_two = np.sort(scores[same]), np.sort(scores[~same])
    matched = len(of_one) - np.searchsorted(of_one, thresholds, side="left")
    return np.asarray(matched + np.searchsorted(of_two, thresholds, side="left"))


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
