"""An extractor from a card and an ONNX network, such as those that agelens trains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import numpy as np

from agelens.errors import CardError, PhotoError, UsageError
from agelens.imaging.align import Aligner, SimilarityAligner
from agelens.imaging.detectors.base import Detector
from agelens.imaging.templates import template_named
from agelens.inference.cards import ChipInput
from agelens.inference.network import BATCH, normalised
from agelens.inference.runtimes import Runtime, open_runtime
from agelens.recognition.embeddings import Crops, EmbeddingModel
from agelens.recognition.extractors.base import Vectors, unit
from agelens.recognition.extractors.card import EmbeddingCard
from agelens.records import RGB

ONNX: Final = ".onnx"


class NetworkExtractor:
    """See `agelens.recognition.extractors.base.Extractor`.

    With two crops (Xie et al., TIFS 2022) a chip and its mirror image are embedded, each
    vector is scaled to length 1, and both stand beside each other or are added up; the result
    is scaled to length 1 again.

    Args:
        card: of the network.
        crops: ``single``, ``concatenated`` or ``added``.
        device: ``cpu`` or ``cuda``.

    Raises:
        CardError: weights that are not the card's, or a network that does not take and give
            what the card states.
        TableError: unknown `crops`.
        UsageError: a device that this machine lacks.
    """

    weights_suffix: ClassVar[str] = ONNX

    def __init__(
        self, card: EmbeddingCard, *, crops: Crops = "single", device: str = "cpu"
    ) -> None:
        self.card = card
        self._runtime = self._open(device)
        self._model = EmbeddingModel(
            card.name,
            card.version,
            card.sha256,
            card.dimension * (2 if crops == "concatenated" else 1),
            crops,
        )

    @property
    def model(self) -> EmbeddingModel:
        """What makes the vectors."""
        return self._model

    @property
    def input(self) -> ChipInput:
        """What the chips are."""
        return self.card.input

    @property
    def document(self) -> Mapping[str, Any]:
        """The whole card."""
        return self.card.document

    def aligner(self, detector: Detector) -> Aligner:  # noqa: ARG002 - others ask it for more
        """What cuts the chips that the network expects.

        Raises:
            UsageError: its chips are not cut by landmarks alone.
            UnknownNameError: no such template.
        """
        wanted = self.input
        if wanted.alignment != "similarity":
            raise UsageError(
                f"{self.card.name} takes chips of alignment {wanted.alignment!r}, which cannot be "
                "cut from photos for recognition; give it a chip store"
            )
        return SimilarityAligner(template_named(wanted.template), wanted.size, wanted.margin)

    def embed(self, chips: RGB) -> Vectors:
        """Vectors float32 [N, D] of length 1 for chips uint8 [N, S, S, 3].

        Raises:
            PhotoError: chips of another size or type than the card states.
            CardError: the network answers with something else than vectors.
        """
        self._check(chips)
        parts = [self._embed(chips[i : i + BATCH]) for i in range(0, len(chips), BATCH)]
        return np.concatenate([*parts, np.empty((0, self.model.dimension), np.float32)])

    def _embed(self, chips: RGB) -> Vectors:
        vectors = self._vectors(chips)
        if self.model.crops == "single":
            return vectors
        mirrored = self._vectors(chips[:, :, ::-1])
        if self.model.crops == "added":
            return unit(vectors + mirrored)
        return unit(np.hstack([vectors, mirrored]))

    def _vectors(self, chips: RGB) -> Vectors:
        found = np.asarray(self._runtime(normalised(chips, self.input)))
        if found.shape != (len(chips), self.card.dimension) or not np.isfinite(found).all():
            raise CardError(
                f"{self.card.name}: its card states embeddings of {self.card.dimension} numbers; "
                f"{len(chips)} chips gave {list(found.shape)}, or some that are not finite"
            )
        return unit(found)

    def _check(self, chips: RGB) -> None:
        expected = (self.input.size, self.input.size, 3)
        if chips.shape[1:] != expected or chips.dtype != np.uint8:
            raise PhotoError(
                f"{self.card.name} takes uint8 chips of shape {expected}, got {chips.dtype} "
                f"{chips.shape[1:]}; align faces with its template {self.input.template!r}"
            )

    def _open(self, device: str) -> Runtime:
        if self.card.weights.suffix.lower() != self.weights_suffix:
            raise CardError(
                f"{self.card.name}: weights end in {self.weights_suffix}, got {self.card.weights}"
            )
        return open_runtime(
            ONNX,
            self._onnx(self.card.read_weights()),
            name=self.card.name,
            size=self.card.input.size,
            width=self.card.dimension,
            device=device,
        )

    def _onnx(self, content: bytes) -> bytes:
        return content
