"""Made-up people, estimated with known errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from agelens.ages import AgeScale
from agelens.tables import PredictionsTable


@pytest.fixture(scope="session")
def estimated_people() -> Callable[..., PredictionsTable]:
    """Makes a predictions table with distributions; keywords change columns."""
    return _estimated_people


def _estimated_people(
    count: int = 400, *, seed: int = 0, spread: float = 4.0, claimed: float = 4.0, **columns: Any
) -> PredictionsTable:
    """Normal errors of `spread` years under distributions that claim `claimed` years."""
    random = np.random.default_rng(seed)
    scale = AgeScale.yearly(0, 100)
    ages = random.integers(5, 90, count).astype(float)
    middle = np.clip(ages + random.normal(0, spread, count), 0, 100)
    years = np.asarray(scale.years)
    mass = np.exp(-0.5 * np.square((years - middle[:, None]) / claimed))
    distribution = (mass / mass.sum(axis=1, keepdims=True)).astype(np.float32)
    low, high = scale.interval(distribution, 0.9)
    known: dict[str, Any] = {
        "sample_id": [f"s{n}" for n in range(count)],
        "dataset": "people",
        "path": [f"{n}.png" for n in range(count)],
        "age_years": ages,
        "age_kind": "real",
        "gender": random.choice(["female", "male"], count),
        "ethnicity": random.choice(["A", "B"], count),
        "estimate_years": scale.expected(distribution),
        "low_years": low,
        "high_years": high,
        "interval_level": 0.9,
        "model": "toy",
        "yaw_proxy": random.normal(0, 0.1, count),
    }
    table = PredictionsTable.from_columns(known | columns)
    return PredictionsTable(table.frame, distribution, scale)
