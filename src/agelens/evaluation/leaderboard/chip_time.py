"""How long a network takes for one chip."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter

import numpy as np

from agelens.inference.estimator import AgeEstimator


def chip_milliseconds(model: str | Path, *, repetitions: int = 30, warm_up: int = 3) -> float:
    """Time in milliseconds of one chip, normalisation included, detection not.

    The shortest of the repetitions: what else runs on a machine can only add to it. The chip is
    noise, as what a network takes does not depend on what is in the picture.

    Args:
        model: of `AgeEstimator`.
        repetitions: that are measured.
        warm_up: before them.
    """
    estimator = AgeEstimator(model, workers=1)
    side = estimator.card.input.size
    chip = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    times = []
    for _ in range(warm_up + repetitions):
        start = perf_counter()
        estimator.estimate_chips([chip])
        times.append(1000 * (perf_counter() - start))
    return min(times[warm_up:])
