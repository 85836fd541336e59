"""The table of embeddings: one row a sample, whether or not it has a vector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.errors import TableError
from agelens.recognition.embeddings.columns import OK, check_columns, conformed
from agelens.recognition.embeddings.model import EmbeddingModel
from agelens.tables import refuse

_UNIT_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddingTable:
    """Embeddings beside the labels of their samples, checked.

    `frame` has `EMBEDDING_COLUMNS` in any order; what else it has is kept. `status` is ``ok``
    where there is an embedding and otherwise says why there is none (``no_face``, ...).
    `vectors` float32 [N, D] are rows of length 1, NaN throughout where there is none: such
    rows are counted, never dropped. `model` made them all.

    Raises:
        TableError: a column is missing; a value does not fit its column; a `sample_id`
            repeats; `vectors` has another shape than rows times `model.dimension`; a row is
            NaN beside the status ``ok``, or has a vector beside another one; or a vector is
            not of length 1.
    """

    frame: pd.DataFrame
    vectors: NDArray[np.float32]
    model: EmbeddingModel

    def __post_init__(self) -> None:
        object.__setattr__(self, "frame", conformed(self.frame))
        object.__setattr__(self, "vectors", np.asarray(self.vectors, dtype=np.float32))
        check_columns(self.frame)
        self._check_vectors()

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def has_embedding(self) -> NDArray[np.bool_]:
        """Which rows [N] have a vector."""
        return (self.frame["status"] == OK).to_numpy(dtype=bool)

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> EmbeddingTable:
        """The table of these rows, by number or by mask."""
        return EmbeddingTable(self.frame.loc[rows], self.vectors[rows], self.model)

    def with_embedding(self) -> EmbeddingTable:
        """The rows that have a vector; count the others before you leave them behind."""
        return self.take(self.has_embedding)

    def _check_vectors(self) -> None:
        expected = (len(self.frame), self.model.dimension)
        if self.vectors.shape != expected:
            raise TableError(
                f"embeddings of {self.model.name} must have the shape {expected}, "
                f"got {self.vectors.shape}"
            )
        status = self.frame["status"]
        lengths = np.sqrt(np.einsum("nd,nd->n", self.vectors, self.vectors))
        there = self.has_embedding
        refuse(status, there & ~np.isfinite(lengths), "stands beside no embedding")
        refuse(status, ~there & ~np.isnan(lengths), "stands beside an embedding")
        off = there & (np.abs(lengths - 1) > _UNIT_TOLERANCE)
        refuse(pd.Series(lengths, name="length"), off, "is not that of a normalised vector")


def same_model(first: EmbeddingTable, second: EmbeddingTable) -> None:
    """Make sure that one model made both tables.

    Raises:
        TableError: two did; the message names both.
    """
    if first.model != second.model:
        raise TableError(
            f"embeddings of two models cannot be compared: {first.model} and {second.model}. "
            "Embed both with one model (agelens identity embed)"
        )
