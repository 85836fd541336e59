"""A small network, the facts that its card needs, and chips to compare by."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from agelens.export.bundle import CardFacts
from agelens.records import RGB, Floats


@pytest.fixture(scope="session")
def facts() -> CardFacts:
    """What a card says of the small network."""
    return CardFacts(
        name="small",
        summary="dex on small-net",
        method="dex",
        backbone="small-net",
        paper="none",
        age_kind="real (3 samples)",
        trained_on=[{"dataset": "toy", "split": "hash", "licence": "none"}],
        metrics=[{"part": "test", "mae": 3.0, "table": "predictions-test.parquet"}],
        licences={"code": "MIT", "weights": "none", "data": "none"},
        notes=["a note"],
    )


@pytest.fixture(scope="session")
def labelled() -> Callable[..., list[tuple[RGB, Floats]]]:
    """Makes batches of noisy chips with ages."""

    def make(size: int = 16, *, batches: int = 3) -> list[tuple[RGB, Floats]]:
        chance = np.random.default_rng(12)
        shape = (5, size, size, 3)
        return [
            (chance.integers(0, 256, shape, dtype=np.uint8), chance.uniform(10, 40, 5))
            for _ in range(batches)
        ]

    return make
