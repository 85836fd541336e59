"""The nearest of many vectors: all compared one by one, or by an inverted file of faiss."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from agelens.atomic import atomic_file
from agelens.errors import MissingDependencyError, TableError

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


# The usual rule of four times the root; an eighth of the lists are looked at.
_LISTS_PER_ROOT: Final = 4
_LOOKED_AT: Final = 8
_TRAINED_ON: Final = 64  # vectors for each list, where there are so many
_LEAST_IN_LIST: Final = 39  # below which faiss warns that lists are ill-placed
_SEED: Final = 0


class FaissSearch:
    """Searches an inverted file; see `NearestFaces`."""

    def __init__(self, index: Any) -> None:
        self._index = index

    @classmethod
    def build(cls, vectors: NDArray[np.float32]) -> Self:
        """An inverted file of vectors float32 [N, D] of length 1.

        Raises:
            MissingDependencyError: faiss is not installed.
        """
        faiss = _faiss()
        count, dimension = vectors.shape
        lists = max(1, min(int(_LISTS_PER_ROOT * count**0.5), count // _LEAST_IN_LIST))
        index = faiss.IndexIVFFlat(
            faiss.IndexFlatIP(dimension), dimension, lists, faiss.METRIC_INNER_PRODUCT
        )
        index.nprobe = max(1, lists // _LOOKED_AT)
        sample = min(count, _TRAINED_ON * lists)
        chosen = np.random.default_rng(_SEED).choice(count, sample, replace=False)
        index.train(vectors[np.sort(chosen)])
        index.add(vectors)
        return cls(index)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def nearest(
        self, query: NDArray[np.float32], top: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """See `NearestFaces`."""
        alike, rows = self._index.search(query[None].astype(np.float32), min(top, len(self)))
        found = rows[0] >= 0  # -1 where the lists looked at hold fewer
        return rows[0][found], alike[0][found]

    def write(self, path: Path) -> None:
        """Write the inverted file; it appears whole or not at all.

        Raises:
            OutputError: it cannot be written.
        """
        with atomic_file(path, "the search index") as partial:
            _faiss().write_index(self._index, str(partial))

    @classmethod
    def read(cls, path: Path) -> Self:
        """What `write` wrote, mapped into memory: only the lists looked at are read.

        Raises:
            MissingDependencyError: faiss is not installed.
            TableError: the file is damaged.
        """
        faiss = _faiss()
        try:
            return cls(faiss.read_index(str(path), faiss.IO_FLAG_MMAP))
        except RuntimeError as error:
            raise TableError(f"{path} cannot be read by faiss: {error}") from error


def _faiss() -> Any:
    try:
        import faiss  # noqa: PLC0415 - only large folders need it
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "searching 100,000 faces and more needs faiss: pip install 'agelens[identity]'"
        ) from error
    return faiss
