"""Faces of one folder in groups, a person each: average linkage, cut at a measured similarity."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.cluster import hierarchy

from agelens.errors import UsageError
from agelens.recognition.embedding_table import Vectors
from agelens.recognition.measured_rates import MeasuredRates

CUT_AT: Final = 0.001
"""Groups are joined while their faces are, on average, as alike as the threshold of this false
match rate: chosen on half the people of LFW and FG-NET (benchmarks/grouping.py)."""
MOST_FACES: Final = 15_000
"""All pairs are held at once: 0.9 GB at this many."""


def group_faces(
    vectors: Vectors, rates: MeasuredRates, *, cut_at: float = CUT_AT
) -> NDArray[np.int64]:
    """The group [N] of each face, the largest first, from 0; a face of nobody else stands alone.

    Args:
        vectors: embeddings [N, D] of length 1.
        rates: of their extractor, whose overall threshold cuts.
        cut_at: the false match rate of that threshold.

    Raises:
        UsageError: more faces than are compared pair by pair, or a rate that was not measured.
    """
    if len(vectors) > MOST_FACES:
        raise UsageError(
            f"{len(vectors):,} faces are too many to group; up to {MOST_FACES:,} are. Search in a "
            "folder below, or leave out --group"
        )
    if len(vectors) < 2:
        return np.zeros(len(vectors), dtype=np.int64)
    first, second = np.triu_indices(len(vectors), 1)
    apart = np.float64(1) - (vectors @ vectors.T)[first, second]
    del first, second
    tree = hierarchy.linkage(np.maximum(apart, 0), "average")
    groups = hierarchy.fcluster(tree, 1 - rates.at(cut_at).threshold, "distance") - 1
    sizes = np.bincount(groups)
    places = np.argsort(np.argsort(-sizes, kind="stable"))
    return np.asarray(places[groups], dtype=np.int64)
