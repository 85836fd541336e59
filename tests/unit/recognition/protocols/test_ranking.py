"""Ranks by blocks equal loops over probes, mates and distractors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agelens.recognition.protocols.identification import (
    best_mate_ranks,
    pair_ranks,
    similarity_blocks,
)
from agelens.recognition.protocols.rates import GenuinePairs

people = st.lists(st.integers(0, 4), min_size=1, max_size=20).map(np.array)
blocks = st.sampled_from([1, 200, 10**6])


def unit(count, seed):
    vectors = np.random.default_rng(seed).normal(size=(count, 4)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def rank_by_loop(probe, mate, others):
    return 1 + sum(float(np.dot(probe, other)) >= float(np.dot(probe, mate)) for other in others)


@given(people, people, st.integers(0, 99), blocks)
def test_best_mates_of_a_gallery(left, right, seed, block_bytes):
    probes, gallery = unit(len(left), seed), unit(len(right), seed + 1)
    mates = GenuinePairs(left, right, itself=False)
    found = best_mate_ranks(probes, gallery, mates, block_bytes=block_bytes)
    for probe, who, rank in zip(probes, left, found, strict=True):
        others = gallery[right != who]
        ranks = [rank_by_loop(probe, mate, others) for mate in gallery[right == who]]
        assert rank == min(ranks, default=0)


@given(people, st.integers(0, 99), blocks)
def test_best_mates_among_all_others(who, seed, block_bytes):
    vectors = unit(len(who), seed)
    found = best_mate_ranks(
        vectors, vectors, GenuinePairs(who, who, itself=True), block_bytes=block_bytes
    )
    for row, rank in enumerate(found):
        mates = [i for i in range(len(who)) if who[i] == who[row] and i != row]
        others = vectors[who != who[row]]
        ranks = [rank_by_loop(vectors[row], vectors[mate], others) for mate in mates]
        assert rank == min(ranks, default=0)


@given(people, st.integers(0, 99), blocks, st.sampled_from([1, 3, 10]))
def test_every_mate_by_itself(who, seed, block_bytes, most):
    vectors, mates = unit(len(who), seed), GenuinePairs(who, who, itself=True)
    found = pair_ranks(vectors, mates, most=most, block_bytes=block_bytes)
    expected = [
        min(rank_by_loop(vectors[probe], vectors[mate], vectors[who != who[probe]]), most + 1)
        for probe in range(len(who))
        for mate in mates.pairs(slice(probe, probe + 1))[1]
    ]
    assert found.tolist() == expected


@given(people, people, st.booleans(), st.integers(1, 30))
def test_mates_are_all_of_one_person_but_itself(left, right, itself, at_a_time):
    right = left if itself else right
    mates = GenuinePairs(left, right, itself=itself)
    found = [
        pair for block in mates.blocks(at_a_time) for pair in zip(*mates.pairs(block), strict=True)
    ]
    expected = {
        (i, j)
        for i in range(len(left))
        for j in range(len(right))
        if left[i] == right[j] and not (itself and i == j)
    }
    assert len(found) == len(expected)
    assert set(found) == expected
    assert mates.counts.tolist() == [sum(i == row for i, _ in expected) for row in range(len(left))]


def test_least_gaps():
    mates = GenuinePairs(np.array([0, 0, 1, 2]), np.array([0, 0, 1, 3]), itself=False)
    gallery = np.array([10.0, np.nan, np.nan, 5.0])
    found = mates.least_gaps(np.array([12.0, 3.0, 4.0, 5.0]), gallery)
    np.testing.assert_array_equal(found, [2, 7, np.nan, np.nan])


def test_a_block_holds_no_more_than_asked():
    vectors = unit(50, 0)
    sizes = [similar.nbytes for _, similar in similarity_blocks(vectors, vectors, 1000)]
    assert max(sizes) <= 1000
    assert sum(sizes) == 50 * 50 * 4


def test_ties_count_against_the_mate():
    same = np.tile(np.float32([1, 0, 0, 0]), (4, 1))
    mates = GenuinePairs(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1]), itself=True)
    assert best_mate_ranks(same, same, mates).tolist() == [3] * 4
    assert pair_ranks(same, mates, most=10).tolist() == [3] * 4


def test_no_probe_has_no_rank():
    nobody = GenuinePairs(np.zeros(0, np.int64), np.zeros(0, np.int64), itself=True)
    nothing = np.zeros((0, 4), np.float32)
    assert pair_ranks(nothing, nobody, most=3).shape == (0,)
    assert best_mate_ranks(nothing, nothing, nobody) == pytest.approx(np.zeros(0))
