"""Small tables of embeddings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agelens.recognition.embedding_table import EmbeddingModel, EmbeddingTable

MODEL = EmbeddingModel("toy", "1", "0" * 64, 8)


@pytest.fixture(scope="session")
def embedded() -> Callable[..., EmbeddingTable]:
    """Makes a table of given subjects; vectors lie around one of the person's own."""
    return _embedded


def _embedded(
    subjects: Sequence[str | None],
    *,
    seed: int = 0,
    noise: float = 1.0,
    statuses: Sequence[str] | None = None,
    prefix: str = "toy",
    model: EmbeddingModel = MODEL,
    **columns: Any,
) -> EmbeddingTable:
    rng = np.random.default_rng(seed)
    centre = {who: np.random.default_rng(hash_of(who)).normal(size=8) for who in subjects}
    rows = [
        centre[who] + noise * rng.normal(size=8) if who else rng.normal(size=8) for who in subjects
    ]
    vectors = np.array(rows, dtype=np.float32).reshape(-1, 8)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    status = np.array(statuses or ["ok"] * len(subjects), dtype=object)
    vectors[status != "ok"] = np.nan
    names = [f"{prefix}/{row}.jpg" for row in range(len(subjects))]
    frame = {
        "sample_id": names,
        "path": names,
        "dataset": "toy",
        "subject": list(subjects),
        "age_years": rng.integers(0, 70, len(subjects)).astype(float),
        "status": status,
    }
    return EmbeddingTable(pd.DataFrame(frame | columns), vectors, model)


def hash_of(who: str | None) -> int:
    return sum(map(ord, who or ""))
