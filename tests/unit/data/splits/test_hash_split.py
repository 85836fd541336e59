from __future__ import annotations

from hashlib import sha256

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from agelens.data.splits import HashSplit
from agelens.data.splits.split import fingerprints, seeded
from agelens.tables import SampleTable

FROZEN = [0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 0, 0]
FROZEN_PRINT = "89ca995469ae201f"


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 60), st.integers(0, 60), st.integers(0, 100))
def test_new_samples_move_no_other(people_table, people, joining, seed) -> None:
    larger = people_table([2] * (people + joining))
    smaller = SampleTable(larger.frame.iloc[: 2 * people])
    (before,), (after,) = HashSplit()(smaller, seed=seed), HashSplit()(larger, seed=seed)
    assert np.array_equal(before.codes, after.codes[: 2 * people])


def test_a_part_can_be_computed_by_hand(people_table) -> None:
    table = people_table([], unknown=3)
    (split,) = HashSplit({"train": 0.5, "test": 0.5})(table, seed=4)
    for sample, code in zip(table.frame["sample_id"], split.codes, strict=True):
        print_ = int(sha256(sample.encode()).hexdigest()[:16], 16)
        mixed = int(seeded(np.array([print_], dtype=np.uint64), 4)[0])
        assert code == (mixed >= 2**63)


def test_this_split_never_changes(people_table) -> None:
    """Experiments refer to it: a change here invalidates their published numbers."""
    (split,) = HashSplit()(people_table([], unknown=12), seed=0)
    assert split.codes.tolist() == FROZEN
    assert f"{fingerprints(['set/000000.jpg'])[0]:016x}" == FROZEN_PRINT


def test_shares_hold_on_average(people_table) -> None:
    (split,) = HashSplit()(people_table([], unknown=5000))
    shares = np.array(list(split.counts.values())) / 5000
    np.testing.assert_allclose(shares, [0.7, 0.1, 0.2], atol=3 * np.sqrt(0.25 / 5000))


def test_known_people_are_whole(people_table) -> None:
    table = people_table([6] * 40)
    (split,) = HashSplit()(table)
    assert (np.ptp(split.codes.reshape(40, 6), axis=1) == 0).all()
    (by_sample,) = HashSplit(by="sample")(table)
    assert (np.ptp(by_sample.codes.reshape(40, 6), axis=1) > 0).any()
