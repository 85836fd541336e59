"""Duplicates among pictures that were looked at, as findings about rows of the table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from agelens.data.auditing.pictures import MOST_COARSE, MOST_FINE, WORDS, Hashes, Pictures
from agelens.data.exploration.samples import age_text
from agelens.tables import SampleTable

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


@dataclass(frozen=True, slots=True, eq=False)
class Duplicates:
    """`groups` by `sample_id`, of those that are not alone; `rows` says how they are alike."""

    groups: pd.Series
    rows: pd.DataFrame


def find_duplicates(table: SampleTable, pictures: Pictures) -> Duplicates:
    """Groups of equal and nearly equal pictures, the exact ones told apart.

    Rows that share one picture share its group. `rows` is `sample_id`, `group`, `alike`
    (``bytes``, ``pixels``, ``near``: the closest kin in the group) and `detail`, the age.
    """
    group = _groups(pictures)[pictures.place] if len(table) else np.empty(0, np.int64)
    sizes = np.bincount(group[group >= 0], minlength=1)
    shared = np.flatnonzero((group >= 0) & (sizes[group] > 1))
    numbers = pd.factorize(group[shared])[0]
    ids = table.frame["sample_id"].astype(object).iloc[shared]
    groups = pd.Series(numbers, index=pd.Index(ids, name="sample_id"), name="group")
    labels = table.frame.iloc[shared]
    rows = pd.DataFrame(
        {
            "sample_id": ids.to_numpy(),
            "group": numbers,
            "alike": _alike(pictures)[pictures.place[shared]],
            "detail": [_label(row) for _, row in labels.iterrows()],
        }
    )
    return Duplicates(groups, rows.sort_values("group", kind="stable", ignore_index=True))


def find_shared(mine: Pictures, theirs: Pictures) -> pd.DataFrame:
    """Pictures that another table has too: `dataset`, `path`, `alike`, `detail` (the other's)."""
    found: list[tuple[int, str, int]] = []
    for alike, other in (
        ("bytes", _equal(mine, theirs, "sha256")),
        ("pixels", _equal(mine, theirs, "pixels")),
        ("near", _nearest(mine, theirs)),
    ):
        taken = {place for place, *_ in found}
        rows = [place for place in np.flatnonzero(other >= 0).tolist() if place not in taken]
        found += [(place, alike, int(other[place])) for place in rows]
    found.sort()
    own = mine.frame[["dataset", "path"]].iloc[[place for place, *_ in found]]
    names = theirs.frame["dataset"].str.cat(theirs.frame["path"], sep=": ")
    return own.assign(
        alike=[alike for _, alike, _ in found], detail=[names.iloc[at] for *_, at in found]
    ).reset_index(drop=True)


def _groups(pictures: Pictures) -> Places:
    """Group [P] of each picture, -1 where it could not be read."""
    frame = pictures.frame
    hashed = frame["hashed"].to_numpy(dtype=bool)
    groups = np.full(len(frame), -1, dtype=np.int64)
    mirrored = None if pictures.mirrored is None else pictures.mirrored[hashed]
    groups[hashed] = near_duplicate_groups(pictures.hashes[hashed], mirrored)
    blank = ~hashed & (frame["status"] == "ok").to_numpy()  # no hash, but pixels to be equal in
    groups[blank] = len(frame) + pd.factorize(frame["pixels"][blank])[0]
    return groups


def _alike(pictures: Pictures) -> np.ndarray:
    alike = np.full(len(pictures.frame), "near", dtype=object)
    for name, word in (("pixels", "pixels"), ("sha256", "bytes")):
        known = pictures.frame[name].notna() & (pictures.frame[name] != "")
        alike[(known & pictures.frame[name].duplicated(keep=False)).to_numpy()] = word
    return alike


def _equal(mine: Pictures, theirs: Pictures, column: str) -> Places:
    known = theirs.frame[theirs.frame[column].fillna("") != ""].drop_duplicates(column)
    where = pd.Series(known.index, index=known[column])
    return mine.frame[column].map(where).fillna(-1).to_numpy(dtype=np.int64)


def _nearest(mine: Pictures, theirs: Pictures) -> Places:
    own, other = (np.flatnonzero(p.frame["hashed"].to_numpy(dtype=bool)) for p in (mine, theirs))
    nearest = np.full(len(mine.frame), -1, dtype=np.int64)
    found = nearest_matches(mine.hashes[own], theirs.hashes[other])
    nearest[own] = np.append(other, -1)[found]
    return nearest


def _label(row: pd.Series) -> str:
    gender = "" if pd.isna(row["gender"]) else f", {row['gender']}"
    return f"age {age_text(row)}{gender}" if age_text(row) != "no age" else f"no age{gender}"
