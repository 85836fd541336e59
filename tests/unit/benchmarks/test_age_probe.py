from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from benchmarks.age_probe import _told, age_probe, probe_errors
from scipy import linalg

from agelens.errors import TableError
from agelens.recognition.embedding_table import EmbeddingModel, EmbeddingTable
from agelens.recognition.protocols import Resampling


def _table(vectors: np.ndarray, ages: np.ndarray, people: np.ndarray) -> EmbeddingTable:
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    frame = pd.DataFrame(
        {
            "sample_id": [str(row) for row in range(len(ages))],
            "dataset": "made-up",
            "subject": [f"p{person}" for person in people],
            "age_years": ages,
            "age_kind": "real",
            "path": "x.jpg",
            "status": "ok",
        }
    )
    model = EmbeddingModel("made-up", "1", "ab" * 32, vectors.shape[1])
    return EmbeddingTable(frame, vectors.astype(np.float32), model)


def test_age_that_is_there_is_told_and_noise_tells_no_more_than_the_median() -> None:
    chance = np.random.default_rng(0)
    people = np.repeat(np.arange(30), 8)
    ages = chance.uniform(0, 70, 240)
    noise = chance.normal(size=(240, 6))
    known, _ = probe_errors(np.column_stack([noise, ages]), ages, people)
    unknown, constant = probe_errors(noise, ages, people)
    assert known.mean() < 1
    assert unknown.mean() == pytest.approx(constant.mean(), rel=0.1)


def test_a_person_is_no_help_with_their_own_ages() -> None:
    # Each person has one age and one vector: knowing the person would give the age away.
    chance = np.random.default_rng(1)
    people = np.repeat(np.arange(40), 5)
    ages = chance.uniform(0, 70, 40)[people]
    errors, constant = probe_errors(chance.normal(size=(40, 60))[people], ages, people)
    assert errors.mean() > 0.8 * constant.mean()


def test_the_regression_is_the_ridge_of_the_normal_equations() -> None:
    chance = np.random.default_rng(2)
    x, y, asked = chance.normal(3, 2, (30, 4)), chance.normal(40, 9, 30), chance.normal(size=(5, 4))
    size = np.sqrt(x.var(axis=0).mean())
    centred = (x - x.mean(0)) / size
    weights = linalg.solve(centred.T @ centred + 7 * np.eye(4), centred.T @ (y - y.mean()))
    expected = (asked - x.mean(0)) / size @ weights + y.mean()
    np.testing.assert_allclose(_told(x, y, asked, np.array([7.0]))[:, 0], expected)


def test_the_length_of_vectors_does_not_matter() -> None:
    chance = np.random.default_rng(3)
    people, ages = np.repeat(np.arange(20), 4), chance.uniform(0, 70, 80)
    vectors = chance.normal(size=(80, 5)) + ages[:, np.newaxis] / 30
    np.testing.assert_allclose(
        probe_errors(1e-3 * vectors, ages, people)[0], probe_errors(vectors, ages, people)[0]
    )


def test_rows_without_age_are_counted_and_the_interval_holds_the_mean() -> None:
    chance = np.random.default_rng(4)
    people, ages = np.repeat(np.arange(20), 4), chance.uniform(0, 70, 80)
    ages[:3] = np.nan
    found = age_probe(_table(chance.normal(size=(80, 5)), ages, people))
    assert (found.samples, found.people, found.left_out) == (77, 20, 3)
    assert found.low_years < found.mae_years < found.high_years
    bare = age_probe(
        _table(chance.normal(size=(80, 5)), ages, people), resampling=Resampling(draws=0)
    )
    assert np.isnan(bare.low_years)


def test_too_few_people_are_refused() -> None:
    chance = np.random.default_rng(5)
    with pytest.raises(TableError, match="needs 10 people"):
        age_probe(_table(chance.normal(size=(9, 5)), np.arange(9.0), np.arange(9)))


def test_vectors_that_are_all_the_same_tell_nothing() -> None:
    ages = np.linspace(0, 70, 40)
    errors, _ = probe_errors(np.ones((40, 3)), ages, np.arange(40))
    assert np.isfinite(errors).all()
