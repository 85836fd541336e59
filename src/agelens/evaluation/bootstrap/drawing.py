"""Drawing people with replacement, and measuring anew."""

from __future__ import annotations

from typing import Final

import numpy as np

from agelens.evaluation.bootstrap.grouped_metrics import GroupedMetrics
from agelens.evaluation.bootstrap.weights import drawn_weights
from agelens.records import Floats

_BYTES_AT_A_TIME: Final = 200_000_000
"""Whatever the number of rows, unless a single draw takes more."""


def bootstrap(
    measured: GroupedMetrics, *, draws: int = 1000, seed: int = 0
) -> dict[str, dict[str, Floats]]:
    """Each metric under `draws` resamplings of the people.

    The same people, `draws` and `seed` give the same resamplings, whatever the metrics: draws
    of two models on the same rows are paired.

    Returns:
        By grouping and name, [G, draws]; NaN where a metric is not defined in a draw.

    Raises:
        ValueError: `draws` is below 1.
    """
    if draws < 1:
        raise ValueError(f"a bootstrap takes at least 1 draw, got {draws}")
    found = {
        grouping.name: {name: np.full((len(grouping), draws), np.nan) for name in measured.metrics}
        for grouping in measured.groupings
    }
    at_a_time = max(1, _BYTES_AT_A_TIME // max(measured.bytes_a_draw, 1))
    start = 0
    for weights in drawn_weights(measured.people_count, draws, seed, at_a_time):
        for grouping, metrics in measured.under(weights).items():
            for name, values in metrics.items():
                found[grouping][name][:, start : start + len(weights)] = values
        start += len(weights)
    return found
