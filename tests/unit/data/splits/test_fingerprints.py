from __future__ import annotations

from hashlib import sha256

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from agelens.data.splits.split import fingerprints, seeded


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=20))
def test_a_fingerprint_is_the_start_of_sha256(texts: list[str]) -> None:
    expected = [int(sha256(text.encode()).hexdigest()[:16], 16) for text in texts]
    assert fingerprints(texts).tolist() == expected
    assert fingerprints(pd.Series(texts, dtype=pd.StringDtype("pyarrow"))).tolist() == expected


def test_chunks_join_in_order() -> None:
    texts = [str(number) for number in range(100_003)]
    assert fingerprints(texts)[-1] == fingerprints(["100002"])[0]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**63))
def test_seeding_keeps_prints_different(seed: int) -> None:
    prints = np.arange(1000, dtype=np.uint64)
    assert len(np.unique(seeded(prints, seed))) == 1000


def test_seeding_follows_splitmix64_in_plain_integers() -> None:
    def mixed(bits: int) -> int:
        bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EB % 2**64
        return bits ^ (bits >> 31)

    golden = 0x9E3779B97F4A7C15
    for seed in (0, 1, 12345):
        offset = mixed((seed + 1) * golden % 2**64)
        expected = [mixed((value + offset) % 2**64) for value in (0, 7, 2**64 - 1)]
        prints = np.array([0, 7, 2**64 - 1], dtype=np.uint64)
        assert seeded(prints, seed).tolist() == expected


def test_neighbouring_seeds_share_no_order() -> None:
    prints = fingerprints([str(number) for number in range(4000)])
    first, second = (seeded(prints, seed).argsort().argsort() for seed in (0, 1))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.06
