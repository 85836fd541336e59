"""A purifier: a small network behind an extractor, which takes age out of its embeddings.

Trained by `agelens.recognition.embedding_purifier`, applied here without torch. Its folder holds
`card.json`, which says whose embeddings it takes and how it was trained, and `purifier.onnx`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime as ort

from agelens.errors import CardError, TableError
from agelens.foreign_files import decoding, json_object
from agelens.inference.cards import checked_weights
from agelens.recognition.embedding_table import (
    EmbeddingModel,
    EmbeddingTable,
    Vectors,
    l2_normalise,
)
from agelens.sessions import open_session

CARD: Final = "card.json"
NETWORK: Final = "purifier.onnx"
FORMAT: Final = "agelens purifier 1"
INPUT: Final = "embedding"
OUTPUT: Final = "purified"
_BLOCK: Final = 8192


@dataclass(frozen=True, slots=True, eq=False)
class Purifier:
    """A network from embeddings [N, D] to purified ones [N, D].

    `base` made the embeddings that it was trained on; `document` is its whole card.
    """

    name: str
    version: str
    sha256: str
    base: EmbeddingModel
    document: Mapping[str, Any] = field(repr=False)
    session: ort.InferenceSession = field(repr=False)

    @classmethod
    def open(cls, folder: str | Path) -> Purifier:
        """The purifier in `folder`.

        Raises:
            CardError: its card or network is absent or damaged, or the network is not the
                card's.
        """
        card, network = Path(folder) / CARD, Path(folder) / NETWORK
        document = json_object(card, CardError, what="a card")
        if document.get("format") != FORMAT:
            raise CardError(f"{card} is no card of a purifier; its format must be {FORMAT!r}")
        with decoding(card, "a card", CardError):
            name, version = str(document["name"]), str(document["version"])
            sha256, base = str(document["sha256"]), EmbeddingModel(**document["base"])
        session = open_session(checked_weights(name, network, sha256), name=str(network))
        return cls(name, version, sha256, base, document, session)

    def apply(self, vectors: Vectors) -> Vectors:
        """Purified float32 [N, D], rows of length 1, of vectors float32 [N, D] of length 1.

        A row of NaN stays one.
        """
        width = self.base.dimension
        purified = np.full((len(vectors), width), np.nan, dtype=np.float32)
        there = np.flatnonzero(np.isfinite(vectors).all(axis=1))
        for start in range(0, len(there), _BLOCK):
            rows = there[start : start + _BLOCK]
            purified[rows] = self.session.run([OUTPUT], {INPUT: vectors[rows]})[0]
        return purified

    def model_of(self, model: EmbeddingModel) -> EmbeddingModel:
        """What makes the purified embeddings of `model`.

        Raises:
            TableError: `model` is another one than this was trained behind. Mirror images may be
                ``concatenated``, of which each half is purified by itself.
        """
        taken = self.base
        if (self.base.crops, model.crops) == ("single", "concatenated"):
            taken = replace(taken, crops="concatenated", dimension=2 * taken.dimension)
        if model != taken:
            raise TableError(
                f"{self.name} purifies embeddings of {self.base}, not of {model}: embed with the "
                "one it was trained behind, or train another (agelens identity purify)"
            )
        return replace(model, name=self.name, version=self.version, sha256=self.sha256)

    def purify(self, table: EmbeddingTable) -> EmbeddingTable:
        """`table` with purified vectors; rows without any stay as they are.

        Raises:
            TableError: see `model_of`.
        """
        model = self.model_of(table.model)
        return EmbeddingTable(table.frame, self.purify_vectors(table.vectors), model)

    def purify_vectors(self, vectors: Vectors) -> Vectors:
        """Purified [N, k * D], rows of length 1, of the vectors of k crops beside each other."""
        crops = np.split(vectors, vectors.shape[1] // self.base.dimension, axis=1)
        return l2_normalise(np.hstack([self.apply(l2_normalise(crop)) for crop in crops]))
