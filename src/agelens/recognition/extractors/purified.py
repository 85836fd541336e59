"""An extractor with a purifier behind it, which takes age out of its embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from agelens.imaging.align import Aligner
from agelens.imaging.detectors.base import Detector
from agelens.inference.cards import ChipInput
from agelens.recognition.embedding_table import EmbeddingModel
from agelens.recognition.extractors.base import Extractor, Vectors, l2_normalise
from agelens.recognition.purifier import Purifier
from agelens.records import RGB


class PurifiedExtractor:
    """See `agelens.recognition.extractors.base.Extractor`.

    Args:
        base: the extractor that the purifier was trained behind. Where it concatenates two
            crops, each is purified by itself.
        purifier: see there.

    Raises:
        TableError: the purifier was trained behind another extractor.
    """

    def __init__(self, base: Extractor, purifier: Purifier) -> None:
        self.base = base
        self.purifier = purifier
        self._model = purifier.model_of(base.model)

    @property
    def model(self) -> EmbeddingModel:
        """What makes the purified vectors."""
        return self._model

    @property
    def input(self) -> ChipInput:
        """The chips of the base."""
        return self.base.input

    @property
    def document(self) -> Mapping[str, Any]:
        """The purifier's card."""
        return self.purifier.document

    def aligner(self, detector: Detector) -> Aligner:
        """What cuts the chips of the base."""
        return self.base.aligner(detector)

    def embed(self, chips: RGB) -> Vectors:
        """Purified vectors float32 [N, D] of length 1 for chips uint8 [N, S, S, 3]."""
        vectors = self.base.embed(chips)
        crops = np.split(vectors, self.model.dimension // self.purifier.base.dimension, axis=1)
        return l2_normalise(np.hstack([self.purifier.apply(l2_normalise(crop)) for crop in crops]))
