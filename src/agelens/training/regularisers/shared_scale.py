"""A posterior over one age scale, as one over another."""

from __future__ import annotations

import numpy as np

from agelens.ages import AgeScale
from agelens.records import Floats


def rebinning(source: AgeScale, target: AgeScale) -> Floats:
    """Weights [K source, K target], rows of sum 1, that carry mass from scale to scale.

    The mass of a class counts as spread evenly over its cell of the age axis, as quantiles
    count it; what lies outside of `target` goes to its end classes. Equal scales give the
    identity. From 0-100 to 0-10, the row of age 50 is 1 in the last column.
    """
    if source == target:
        return np.eye(len(source))
    low, high = source.edges_years[:-1, None], source.edges_years[1:, None]
    edges = target.edges_years.copy()
    edges[[0, -1]] = -np.inf, np.inf
    inside = np.minimum(high, edges[1:]) - np.maximum(low, edges[:-1])
    return np.asarray(np.clip(inside, 0, None) / (high - low))
