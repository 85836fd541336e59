"""The search finds what comparing each with each finds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agelens.data.auditing.duplicates import (
    near_duplicate_groups,
    near_duplicate_pairs,
    nearest_matches,
)
from agelens.data.auditing.pictures import MOST_COARSE, MOST_FINE


def bits(one: int, other: int) -> int:
    return (int(one) ^ int(other)).bit_count()


def near(one: np.ndarray, other: np.ndarray) -> bool:
    fine = sum(bits(a, b) for a, b in zip(one[1:], other[1:], strict=True))
    return bits(one[0], other[0]) <= MOST_COARSE and fine <= MOST_FINE


def brute_force_pairs(hashes: np.ndarray) -> list[tuple[int, int]]:
    count = range(len(hashes))
    return [(i, j) for i in count for j in count if i < j and near(hashes[i], hashes[j])]


def brute_force_groups(hashes: np.ndarray) -> list[int]:
    group = list(range(len(hashes)))
    for i, j in brute_force_pairs(hashes):
        old, new = max(group[i], group[j]), min(group[i], group[j])
        group = [new if g == old else g for g in group]
    names = list(dict.fromkeys(group))
    return [names.index(g) for g in group]


@st.composite
def families(draw: st.DrawFn) -> np.ndarray:
    """Random hashes and relatives of theirs, up to just beyond both bounds."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    count = draw(st.integers(0, 24))
    hashes = random.integers(0, 2**64, (count, 5), dtype=np.uint64)
    for row in range(1, count):
        if random.random() < 0.8:
            hashes[row] = hashes[random.integers(row)]
            for at in random.choice(64, draw(st.integers(0, MOST_COARSE + 2)), replace=False):
                hashes[row, 0] ^= np.uint64(1) << np.uint64(at)
            for at in random.choice(256, draw(st.integers(0, MOST_FINE + 3)), replace=False):
                hashes[row, 1 + at // 64] ^= np.uint64(1) << np.uint64(at % 64)
    return hashes


@given(families())
@settings(deadline=None, max_examples=60)
def test_pairs_and_groups_are_those_of_brute_force(hashes):
    first, second = near_duplicate_pairs(hashes)
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == brute_force_pairs(hashes)
    assert near_duplicate_groups(hashes).tolist() == brute_force_groups(hashes)


@given(families(), families())
@settings(deadline=None, max_examples=30)
def test_the_nearest_of_another_table_is_that_of_brute_force(hashes, more):
    others = np.concatenate([hashes[::2], more])
    expected = []
    for one in hashes:
        found = [place for place, other in enumerate(others) if near(one, other)]
        distance = [sum(bits(a, b) for a, b in zip(one[1:], others[p][1:])) for p in found]  # noqa: B905
        expected.append(found[int(np.argmin(distance))] if found else -1)
    assert nearest_matches(hashes, others).tolist() == expected


def test_the_coarse_bound_is_met_whichever_bits_differ():
    random = np.random.default_rng(1)
    base = random.integers(0, 2**64, 5, dtype=np.uint64)
    for _ in range(300):
        both = np.stack([base, base])
        for at in random.choice(64, MOST_COARSE, replace=False):
            both[1, 0] ^= np.uint64(1) << np.uint64(at)
        assert len(near_duplicate_pairs(both)[0]) == 1


def test_equal_hashes_are_one_group_at_once():
    hashes = np.repeat(np.arange(5, dtype=np.uint64)[None], 20_000, axis=0)
    assert not near_duplicate_groups(hashes).any()


def test_mirrored_copies_join_only_when_asked():
    random = np.random.default_rng(2)
    hashes = random.integers(0, 2**64, (2, 5), dtype=np.uint64)
    assert near_duplicate_groups(hashes).tolist() == [0, 1]
    assert near_duplicate_groups(hashes, hashes[::-1].copy()).tolist() == [0, 0]


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match="uint64"):
        near_duplicate_groups(np.zeros((3, 2), np.uint64))
