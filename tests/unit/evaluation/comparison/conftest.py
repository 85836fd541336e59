"""Made-up networks that answered the same people."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from agelens.evaluation.comparison.common_samples import ComparedTable, compared_tables
from agelens.tables import PredictionsTable


@pytest.fixture(scope="session")
def network() -> Callable[..., ComparedTable]:
    """Makes the table of one network; keywords change columns."""
    return _network


def _network(
    model: str = "a",
    *,
    spread: float = 4.0,
    seed: int | None = None,
    dataset: str = "people",
    count: int = 200,
    rows: slice = slice(None),
    **columns: Any,
) -> ComparedTable:
    """The same people and ages for every model; errors are drawn by model, seed and dataset."""
    ages = np.random.default_rng(7).integers(5, 80, count).astype(float)
    key = [*map(ord, f"{model} {dataset}"), 0 if seed is None else 1 + seed]
    errors = np.random.default_rng(key).normal(0, spread, count)
    known: dict[str, Any] = {
        "sample_id": [f"{dataset}/{n}" for n in range(count)],
        "dataset": dataset,
        "age_years": ages,
        "age_kind": "real",
        "subject": [f"p{n // 4}" for n in range(count)],
        "estimate_years": np.maximum(ages + errors, 0),
        "train_data": "elsewhere",
    }
    table = PredictionsTable.from_columns(known | columns)
    (found,) = compared_tables(table.select(np.arange(count)[rows]), model, seed=seed)
    return found
