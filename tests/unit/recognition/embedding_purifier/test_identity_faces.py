from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agelens.errors import TableError, UsageError
from agelens.recognition.embedding_purifier.faces import (
    across_age,
    identity_faces,
    split_by_subject,
)
from agelens.recognition.embedding_table import EmbeddingTable


def test_rows_that_teach_nothing_are_counted_by_reason(
    aged_people: Callable[..., EmbeddingTable],
) -> None:
    table = aged_people(12, 3)
    frame, vectors = table.frame.copy(), table.vectors.copy()
    frame["status"] = ["no_face", *["ok"] * 35]
    vectors[0] = np.nan
    frame.loc[3, "age_years"] = np.nan
    subjects = frame["subject"].astype(object)
    subjects[6], subjects[9], subjects[10] = None, "alone", "p004"
    frame["subject"] = subjects
    faces = identity_faces(EmbeddingTable(frame, vectors, table.model))
    assert faces.left_out == {
        "no embedding: no_face": 1,
        "no age": 1,
        "no subject": 1,
        "the only face of its person": 2,
    }
    assert len(faces) == 31
    assert faces.age_kinds == {"estimated": 31}
    assert faces.age_models == ("toy 1",)
    assert np.bincount(faces.people).min() >= 2


def test_a_table_without_ages_is_refused(aged_people: Callable[..., EmbeddingTable]) -> None:
    with pytest.raises(TableError, match="data label"):
        identity_faces(aged_people(age_years=np.nan, age_kind=None))


def test_too_few_people_with_two_faces_are_refused(
    aged_people: Callable[..., EmbeddingTable],
) -> None:
    with pytest.raises(TableError, match=r"table has 0.*40 the only face of its person"):
        identity_faces(aged_people(40, 1))


def test_the_same_name_in_two_datasets_is_two_people(
    aged_people: Callable[..., EmbeddingTable],
) -> None:
    faces = identity_faces(aged_people(20, 4, dataset=["a", "a", "b", "b"] * 20))
    assert len(faces.names) == 40


@given(seed=st.integers(0, 2**32), share=st.floats(0.1, 0.9))
def test_nobody_is_in_both_parts_and_everybody_in_one(
    aged_people: Callable[..., EmbeddingTable], seed: int, share: float
) -> None:
    faces = identity_faces(aged_people(20, 3))
    train, valid = split_by_subject(faces, share, seed)
    assert {*train.names} | {*valid.names} == {*faces.names}
    assert not {*train.names} & {*valid.names}
    assert len(valid.names) == round(20 * share)
    for part in (train, valid):
        assert np.array_equal(np.unique(part.people), np.arange(len(part.names)))


def test_the_parts_do_not_hang_on_the_order_of_rows(
    aged_people: Callable[..., EmbeddingTable],
) -> None:
    table = aged_people(20, 3)
    order = np.random.default_rng(1).permutation(len(table))
    plain, mixed = (
        split_by_subject(identity_faces(one), 0.2, 5)[1] for one in (table, table.take(order))
    )
    assert plain.names == mixed.names


def test_a_part_of_one_person_is_refused(aged_people: Callable[..., EmbeddingTable]) -> None:
    with pytest.raises(UsageError, match="fewer than two"):
        split_by_subject(identity_faces(aged_people(12, 3)), 0.05, 0)


def test_pairs_of_one_person_are_far_in_age_and_others_near(
    aged_people: Callable[..., EmbeddingTable],
) -> None:
    faces = identity_faces(aged_people(30, 6))
    pairs = across_age(faces)
    assert (faces.people[pairs.same[:, 0]] == faces.people[pairs.same[:, 1]]).all()
    assert (faces.people[pairs.other[:, 0]] != faces.people[pairs.other[:, 1]]).all()
    assert np.abs(np.diff(faces.ages[pairs.other], axis=1)).max() <= 5
    assert pairs.weights.sum() == pytest.approx(1)
    for person in range(30):
        mine = pairs.weights[faces.people[pairs.same[:, 0]] == person]
        assert mine.sum() == pytest.approx(1 / 30)
        rows = np.flatnonzero(faces.people == person)
        gaps = np.sort(np.abs(faces.ages[rows][:, None] - faces.ages[rows]), axis=None)
        kept = pairs.same[faces.people[pairs.same[:, 0]] == person]
        # Every pair stands twice in the matrix, and 15 pairs of six faces leave eight.
        assert np.abs(np.diff(faces.ages[kept])).min() == pytest.approx(gaps[::-1][15])


def test_the_true_match_rate_is_that_of_a_plain_loop(
    aged_people: Callable[..., EmbeddingTable],
) -> None:
    faces = identity_faces(aged_people(15, 4))
    pairs = across_age(faces)
    others = sorted(float(faces.vectors[a] @ faces.vectors[b]) for a, b in pairs.other)
    threshold = np.quantile(others, 0.999)
    expected = sum(
        weight
        for (a, b), weight in zip(pairs.same, pairs.weights, strict=True)
        if faces.vectors[a] @ faces.vectors[b] > threshold
    )
    assert pairs.true_match_rate(faces.vectors) == pytest.approx(expected, abs=1e-6)


def test_an_embedding_without_age_verifies_better_across_age(
    aged_people: Callable[..., EmbeddingTable],
) -> None:
    faces = identity_faces(aged_people(40, 6, pull=3))
    clean = faces.vectors.copy()
    clean[:, 0] = 0
    clean /= np.linalg.norm(clean, axis=1, keepdims=True)
    pairs = across_age(faces)
    assert pairs.true_match_rate(clean) > pairs.true_match_rate(faces.vectors) + 0.1
