"""Near-duplicates among hashes, without comparing each with each.

The 64 coarse bits are dealt into 12 bands. Two hashes that differ in at most 8 bits differ in at
most 8 bands, so they are equal in some 4: sorting by each of the 495 choices of 4 bands (21 bits)
brings every such pair side by side, and what meets by chance is compared in full. It is
multi-index hashing (Norouzi, Punjani and Fleet, 2012) with equal keys only. Four bands of 16 bits
and their neighbours at one bit find the same, but a tenth of UTKFace's chips shared one bucket, so
much alike are the low frequencies of aligned faces, and time grew with the square.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from agelens.data.audit.perceptual_hash import MOST_COARSE, MOST_FINE, WORDS, Hashes

Places = NDArray[np.int64]

_EQUAL_BANDS: Final = 4
_BANDS: Final = MOST_COARSE + _EQUAL_BANDS
_PAIRS_AT_ONCE: Final = 2_000_000


def near_duplicate_groups(hashes: Hashes, mirrored: Hashes | None = None) -> Places:
    """Group [N] of each hash: those joined by a chain of near-duplicates share one.

    Groups are numbered from 0 in order of their first members.

    Args:
        hashes: uint64 [N, 5], as `perceptual_hash` makes them.
        mirrored: those of the mirror images [N, 5], to find mirrored copies as well.
    """
    distinct, member = np.unique(_checked(hashes), axis=0, return_inverse=True)
    member = member.reshape(-1)
    ends = [near_duplicate_pairs(distinct)]
    if mirrored is not None:
        first, second = _matches(distinct, _checked(mirrored))
        ends.append((first, member[second]))
    left, right = (np.concatenate(side) for side in zip(*ends, strict=True))
    graph = coo_array((np.ones(len(left), np.int8), (left, right)), shape=(len(distinct),) * 2)
    found = connected_components(graph, directed=False)[1]
    return _by_first_member(found[member])


def near_duplicate_pairs(hashes: Hashes) -> tuple[Places, Places]:
    """All pairs of near-duplicates, as places [P] of the first and [P] of the second.

    The first is before the second; pairs are in order. Among n equal hashes there are
    n (n - 1) / 2 pairs: pass distinct hashes where many may be equal.
    """
    return _matches(_checked(hashes), None)


def nearest_matches(hashes: Hashes, others: Hashes) -> Places:
    """For each hash [N] the place of its nearest near-duplicate among `others` [M], or -1."""
    distinct, first = np.unique(_checked(others), axis=0, return_index=True)
    mine, theirs = _matches(_checked(hashes), distinct)
    distance = np.bitwise_count(hashes[mine, 1:] ^ distinct[theirs, 1:]).sum(axis=1)
    nearest = np.full(len(hashes), -1, dtype=np.int64)
    order = np.lexsort((first[theirs], distance))[::-1]  # the last written is the nearest
    nearest[mine[order]] = first[theirs[order]]
    return nearest


def _checked(hashes: Hashes) -> Hashes:
    if hashes.ndim != 2 or hashes.shape[1] != WORDS or hashes.dtype != np.uint64:
        raise ValueError(f"expected uint64 [N, {WORDS}], got {hashes.dtype} {hashes.shape}")
    return hashes


def _matches(hashes: Hashes, others: Hashes | None) -> tuple[Places, Places]:
    """Places of near-duplicates: across, or within `hashes` where there are no others."""
    count = len(hashes)
    both = hashes if others is None else np.concatenate([hashes, others])
    found = np.empty(0, dtype=np.int64)  # pairs as one number: many choices of bands find one pair
    fresh: list[Places] = []
    for first, second in _candidates(np.ascontiguousarray(both[:, 0])):
        near = np.bitwise_count(both[first, 1:] ^ both[second, 1:]).sum(axis=1) <= MOST_FINE
        if others is not None:
            near &= (first < count) & (second >= count)
        fresh.append(first[near] * len(both) + second[near])
        if sum(map(len, fresh)) > _PAIRS_AT_ONCE:
            found, fresh = np.unique(np.concatenate([found, *fresh])), []
    found = np.unique(np.concatenate([found, *fresh]))
    first, second = np.divmod(found, max(len(both), 1))
    return first, second if others is None else second - count


def _candidates(coarse: NDArray[np.uint64]) -> Iterator[tuple[Places, Places]]:
    """Pairs of the coarse words [N] that differ in at most `MOST_COARSE` bits, some repeated."""
    bands = [sum(1 << bit for bit in range(band, 64, _BANDS)) for band in range(_BANDS)]
    for chosen in combinations(bands, _EQUAL_BANDS):
        keys = coarse & np.uint64(sum(chosen))
        order = np.argsort(keys, kind="stable")
        for left, right in _equal_neighbours(keys[order]):
            first, second = order[left], order[right]
            near = np.bitwise_count(coarse[first] ^ coarse[second]) <= MOST_COARSE
            yield first[near], second[near]


def _equal_neighbours(keys: NDArray[np.uint64]) -> Iterator[tuple[Places, Places]]:
    """All pairs of equal keys among sorted ones [N], a bounded number at a time."""
    starts = np.flatnonzero(np.concatenate([keys[:1] == keys[:1], keys[1:] != keys[:-1]]))
    edges = np.append(starts, len(keys))
    lengths = np.diff(edges)
    later = np.repeat(edges[1:], lengths) - np.arange(len(keys)) - 1  # equals behind each key
    cuts = np.searchsorted(np.cumsum(later), np.arange(0, int(later.sum()), _PAIRS_AT_ONCE))
    for low, high in pairwise([*cuts, len(keys)]):
        here = later[low:high]
        left = np.repeat(np.arange(low, high), here)
        step = np.arange(int(here.sum())) - np.repeat(np.cumsum(here) - here, here)
        yield left, left + 1 + step


def _by_first_member(groups: NDArray[np.integer]) -> Places:
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse.reshape(-1)] if len(first) else np.empty(0, np.int64)
