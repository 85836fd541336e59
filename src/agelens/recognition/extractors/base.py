"""What every extractor does: chips in, vectors of length 1 out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agelens.imaging.align import Aligner
from agelens.imaging.detectors.base import Detector
from agelens.inference.cards import ChipInput
from agelens.recognition.embedding_table import EmbeddingModel
from agelens.records import RGB

Vectors: TypeAlias = NDArray[np.float32]


class Extractor(Protocol):
    """Turns aligned faces into embeddings; safe to share between threads.

    `model` names what makes the vectors, `input` says what its chips are, and `document` is
    its whole card.
    """

    @property
    def model(self) -> EmbeddingModel: ...  # noqa: D102

    @property
    def input(self) -> ChipInput: ...  # noqa: D102

    @property
    def document(self) -> Mapping[str, Any]: ...  # noqa: D102

    def aligner(self, detector: Detector) -> Aligner:
        """What cuts the chips that this extractor expects."""

    def embed(self, chips: RGB) -> Vectors:
        """Vectors [N, D] of length 1 for chips uint8 [N, S, S, 3]."""


def l2_normalise(vectors: NDArray[np.floating[Any]]) -> Vectors:
    """Rows [N, D] scaled to length 1; rows of zeros, which have no direction, stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), dtype=np.float32)
