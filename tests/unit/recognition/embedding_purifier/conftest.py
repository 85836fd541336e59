"""Embeddings of made-up people, which tell age along one direction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agelens.recognition.embedding_table import EmbeddingModel, EmbeddingTable

FEATURES = 16
MODEL = EmbeddingModel("made-up", "1", "ab" * 32, FEATURES)


@pytest.fixture(scope="session")
def aged_people() -> Callable[..., EmbeddingTable]:
    """Makes a table of people, each with faces over decades; see `_aged_people`."""
    return _aged_people


def _aged_people(
    people: int = 40, faces: int = 5, *, seed: int = 0, pull: float = 1.5, **columns: Any
) -> EmbeddingTable:
    """Vectors are person plus noise plus `pull` times the age along the first axis."""
    chance = np.random.default_rng(seed)
    rows = people * faces
    person = np.repeat(np.arange(people), faces)
    ages = chance.uniform(5, 75, rows)
    vectors = chance.normal(0, 1, (people, FEATURES))[person] + chance.normal(
        0, 0.4, (rows, FEATURES)
    )
    vectors[:, 0] = pull * (ages - 40) / 20
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    frame = {
        "sample_id": [f"made-up/{row}" for row in range(rows)],
        "dataset": "made-up",
        "subject": [f"p{number:03d}" for number in person],
        "age_years": ages,
        "age_kind": "estimated",
        "age_model": "toy 1",
        "path": [f"{row}.jpg" for row in range(rows)],
        "status": "ok",
    }
    return EmbeddingTable(pd.DataFrame(frame | columns), vectors.astype(np.float32), MODEL)
