"""Synthetic tables for the split tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import pytest

from agelens.tables import SampleTable

PeopleTable = Callable[..., SampleTable]


@pytest.fixture(scope="session")
def people_table() -> PeopleTable:
    """A maker of tables with as many photos of each person as asked for."""

    def make(
        photos: Sequence[int], *, unknown: int = 0, seed: int = 0, **columns: object
    ) -> SampleTable:
        random = np.random.default_rng(seed)
        subject = np.repeat(np.arange(len(photos)), photos)
        count = len(subject) + unknown
        start = random.integers(5, 60, len(photos))[subject]
        ages = np.concatenate([start + random.integers(0, 20, len(subject)), np.full(unknown, 33)])
        names = [f"p{number:04d}" for number in subject] + [None] * unknown
        paths = [f"{number:06d}.jpg" for number in range(count)]
        return SampleTable.from_columns(
            {
                "sample_id": [f"set/{path}" for path in paths],
                "dataset": ["set"] * count,
                "path": paths,
                "age_years": ages.astype(float),
                "age_kind": ["real"] * count,
                "subject": pd.Series(names, dtype=object),
                **columns,
            }
        )

    return make
