"""Nearest faces: exactly, and by faiss, which must agree with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agelens.errors import TableError
from agelens.recognition.nearest_faces import ExactSearch, FaissSearch


def people(count: int, photos: int, dimension: int = 32) -> np.ndarray:
    chance = np.random.default_rng(0)
    centres = np.repeat(chance.normal(size=(count, dimension)), photos, axis=0)
    vectors = centres + 0.3 * chance.normal(size=centres.shape)
    return np.float32(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def test_exact_search_is_a_sort_of_all_similarities(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agelens.recognition.nearest_faces._BLOCK", 7)
    vectors = people(20, 3)
    alike = vectors @ vectors[4]
    rows, found = ExactSearch(vectors).nearest(vectors[4], 9)
    np.testing.assert_array_equal(rows, np.argsort(-alike, kind="stable")[:9])
    np.testing.assert_allclose(found, alike[rows], atol=1e-6)
    assert rows[0] == 4


def test_equal_faces_come_in_their_order_and_never_more_than_there_are() -> None:
    same = np.repeat(people(1, 1), 5, axis=0)
    rows, _ = ExactSearch(same).nearest(same[0], 3)
    assert rows.tolist() == [0, 1, 2]
    assert len(ExactSearch(same).nearest(same[0], 99)[0]) == 5
    assert len(ExactSearch(same[:0]).nearest(same[0], 3)[0]) == 0


def test_faiss_agrees_with_exact_search(tmp_path: Path) -> None:
    vectors = people(2_000, 5)
    FaissSearch.build(vectors).write(tmp_path / "faces.faiss")
    lists, exact = FaissSearch.read(tmp_path / "faces.faiss"), ExactSearch(vectors)
    assert len(lists) == len(vectors)
    agreed = 0
    for query in range(0, 1_000, 10):
        rows, alike = lists.nearest(vectors[query], 5)
        expected, similarity = exact.nearest(vectors[query], 5)
        agreed += len(set(rows) & set(expected))
        np.testing.assert_allclose(alike[0], similarity[0], atol=1e-5)
    assert agreed >= 0.99 * 500


def test_a_damaged_inverted_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "faces.faiss").write_bytes(b"no")
    with pytest.raises(TableError, match="cannot be read by faiss"):
        FaissSearch.read(tmp_path / "faces.faiss")
