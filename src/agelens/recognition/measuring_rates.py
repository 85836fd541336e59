"""Thresholds of an extractor for false match rates, measured on pairs of people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agelens.errors import TableError
from agelens.recognition.embedding_table import EmbeddingTable
from agelens.recognition.measured_rates import MeasuredRate, MeasuredRates

RATES: Final = tuple(step * 10.0**power for power in range(-1, -7, -1) for step in (1, 0.5, 0.2))
"""0.1, 0.05, 0.02, 0.01 and so on: which are tried."""

_BLOCK: Final = 4_000_000  # pairs at a time
_LEAST_PAIRS_OF_PEOPLE: Final = 30
_TAIL: Final = 0.025
_CUTS: Final = 600


@dataclass(frozen=True, slots=True, eq=False)
class _Likest:
    """The pairs of different people that are most alike, the likest first, and all counts.

    `similarity` float32 [M], `people` int64 [M, 2]; `faces` int64 [P] counts those of each person.
    """

    similarity: NDArray[np.float32]
    people: NDArray[np.int64]
    faces: NDArray[np.int64]
    same: NDArray[np.float32]

    @property
    def different_pairs(self) -> int:
        return int(self.faces.sum() ** 2 - (self.faces**2).sum()) // 2


def measure_rates(
    table: EmbeddingTable,
    dataset: str,
    *,
    rates: Sequence[float] = RATES,
    draws: int = 1000,
    seed: int = 0,
) -> MeasuredRates:
    """Thresholds for as many of `rates` as the faces of `table` can promise.

    Memory holds the share `max(rates)` of all pairs of different people.

    Args:
        table: with a `subject` for every row; rows without an embedding are left out.
        dataset: what the card calls the faces.
        rates: false match rates to try.
        draws: of people, for the intervals.
        seed: of the draws.

    Raises:
        TableError: a row has no subject, or there are no pairs of both kinds.
    """
    embedded = table.with_embedding()
    likest = _likest(embedded, max(rates))
    pairs = likest.different_pairs
    ranks = _ranks(likest, rates)
    low, high = _intervals(likest, ranks, draws, seed)
    apart = _pairs_of_people(likest.people, len(likest.faces), ranks)
    found = []
    for rate in sorted(rates, reverse=True):
        kept = np.flatnonzero((high <= rate) & (apart >= _LEAST_PAIRS_OF_PEOPLE))
        if not kept.size:
            continue
        place = int(kept[-1])
        threshold = float(likest.similarity[ranks[place] - 1])
        found.append(
            MeasuredRate(
                false_match_rate=float(f"{rate:.6g}"),
                threshold=threshold,
                measured=float((likest.similarity >= threshold).sum() / pairs),
                low=float(low[place]),
                high=float(high[place]),
                true_match_rate=float((likest.same >= threshold).mean()),
            )
        )
    return MeasuredRates(
        dataset, len(likest.faces), len(embedded), pairs, len(likest.same), tuple(found)
    )


def _likest(table: EmbeddingTable, share: float) -> _Likest:
    people = subject_codes(table)
    faces = np.bincount(people).astype(np.int64)
    wanted = int(share * (faces.sum() ** 2 - (faces**2).sum()) / 2)
    if not wanted or (faces < 2).all():
        raise TableError("measuring rates needs pairs of one person and of different people")
    similarity, pairs = np.empty(0, np.float32), np.empty((0, 2), np.int64)
    same = []
    for first, second, alike in pairs_of_rows(table.vectors):
        one = people[first] == people[second]
        same.append(alike[one])
        similarity = np.concatenate([similarity, alike[~one]])
        pairs = np.concatenate([pairs, np.stack([people[first], people[second]], 1)[~one]])
        if len(similarity) > wanted:
            kept = np.argpartition(-similarity, wanted - 1)[:wanted]
            similarity, pairs = similarity[kept], pairs[kept]
    order = np.argsort(-similarity, kind="stable")
    return _Likest(similarity[order], pairs[order], faces, np.concatenate(same))


def subject_codes(table: EmbeddingTable) -> NDArray[np.int64]:
    """The person of each row [N], numbered from 0.

    Raises:
        TableError: a row has no subject.
    """
    subjects = table.frame["subject"]
    if subjects.isna().any():
        raise TableError("measuring rates needs a subject in every row; some have none")
    _, people = np.unique(subjects.astype(str).to_numpy(dtype=object), return_inverse=True)
    return people.astype(np.int64)


def pairs_of_rows(
    vectors: NDArray[np.float32],
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]]:
    """All pairs of rows in blocks: both rows and their similarity, each [M]."""
    rows = max(1, _BLOCK // max(1, len(vectors)))
    for start in range(0, len(vectors), rows):
        block = vectors[start : start + rows] @ vectors[start:].T
        first, second = np.triu_indices(len(block), 1, block.shape[1])
        yield first + start, second + start, block[first, second]


def _ranks(likest: _Likest, rates: Sequence[float]) -> NDArray[np.int64]:
    """How many of the likest pairs to call the same: candidates for a threshold, rising."""
    most = len(likest.similarity)
    grid = np.geomspace(_LEAST_PAIRS_OF_PEOPLE, most, _CUTS)
    aimed = np.array(sorted(rates)) * likest.different_pairs
    return np.unique(np.concatenate([grid, aimed]).astype(np.int64).clip(1, most))


def _intervals(
    likest: _Likest, ranks: NDArray[np.int64], draws: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """95 % intervals of the false match rate at each rank, by drawing people."""
    chance = np.random.default_rng(seed)
    people = len(likest.faces)
    found = np.empty((draws, len(ranks)))
    for draw in range(draws):
        drawn = np.bincount(chance.integers(people, size=people), minlength=people)
        weights = drawn[likest.people[:, 0]] * drawn[likest.people[:, 1]]
        faces = drawn * likest.faces
        found[draw] = np.cumsum(weights)[ranks - 1]
        found[draw] /= (faces.sum() ** 2 - (faces**2).sum()) / 2
    return np.quantile(found, _TAIL, axis=0), np.quantile(found, 1 - _TAIL, axis=0)


def _pairs_of_people(
    pairs: NDArray[np.int64], people: int, ranks: NDArray[np.int64]
) -> NDArray[np.int64]:
    """How many pairs of people are among the likest pairs of photos, at each rank."""
    low, high = pairs.min(axis=1), pairs.max(axis=1)
    _, first = np.unique(low * people + high, return_index=True)
    return np.searchsorted(np.sort(first), ranks)
