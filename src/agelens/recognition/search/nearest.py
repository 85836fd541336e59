"""The faces nearest to one: exactly, by looking at all of them."""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

EXACT_BELOW: Final = 100_000
"""Faces. Fewer are compared one by one; more go into faiss where the index is kept."""

_BLOCK: Final = 65_536


class NearestFaces(Protocol):
    """Searches vectors of length 1."""

    def nearest(
        self, query: NDArray[np.float32], top: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Rows [K] and cosine similarities [K] of the nearest to `query` [D], nearest first.

        K is `top`, or fewer where there are fewer vectors.
        """


class ExactSearch:
    """Compares a query with every vector, a block at a time.

    Args:
        vectors: float32 [N, D] of length 1.
    """

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        self._vectors = vectors

    def nearest(
        self, query: NDArray[np.float32], top: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """See `NearestFaces`; of equal similarities the earlier row comes first."""
        rows, alike = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
        for start in range(0, len(self._vectors), _BLOCK):
            block = self._vectors[start : start + _BLOCK] @ query
            rows = np.concatenate([rows, np.arange(start, start + len(block))])
            alike = np.concatenate([alike, block])
            best = np.argsort(-alike, kind="stable")[:top]
            rows, alike = rows[best], alike[best]
        return rows, alike
