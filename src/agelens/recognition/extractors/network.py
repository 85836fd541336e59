"""An extractor from a card and an ONNX network, such as those that agelens trains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol

import numpy as np

from agelens.errors import CardError, PhotoError, UsageError
from agelens.foreign_files import decoding, json_object
from agelens.imaging.align import Aligner, SimilarityAligner, template_named
from agelens.imaging.detectors.base import Detector
from agelens.inference.cards import (
    ChipInput,
    checked_weights,
    chip_input,
    locate_weights,
)
from agelens.inference.network import BATCH, normalised
from agelens.inference.runtimes import ONNX, OnnxRuntime, Runtime
from agelens.recognition.embedding_table import Crops, EmbeddingModel, Vectors, l2_normalise
from agelens.recognition.purifier import Purifier
from agelens.records import RGB


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


class PurifiedExtractor:
    """An extractor with a purifier behind it, which takes age out of its embeddings.

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
        self.model = purifier.model_of(base.model)
        self.input = base.input
        self.document = purifier.document

    def aligner(self, detector: Detector) -> Aligner:
        """What cuts the chips of the base."""
        return self.base.aligner(detector)

    def embed(self, chips: RGB) -> Vectors:
        """Purified vectors float32 [N, D] of length 1 for chips uint8 [N, S, S, 3]."""
        return self.purifier.purify_vectors(self.base.embed(chips))


TASK: Final = "embedding"
_SPOKEN: Final = ("summary", "verification", "licences", "trained_on", "metrics", "paper")


@dataclass(frozen=True, slots=True)
class EmbeddingCard:
    """One embedding network, described; `document` is the whole JSON."""

    name: str
    version: str
    weights: Path
    sha256: str
    input: ChipInput
    dimension: int
    document: Mapping[str, Any] = field(repr=False)

    def read_weights(self) -> bytes:
        """The bytes of the weights file, once they are known to be the card's.

        Raises:
            CardError: the file is absent, too large, or of another hash.
        """
        return checked_weights(self.name, self.weights, self.sha256)


def read_embedding_card(path: Path) -> EmbeddingCard:
    """The card at `path`.

    Raises:
        CardError: it is malformed, or of a network that answers something else.
    """
    with decoding(path, "a card", CardError):
        return _parse(json_object(path, CardError, what="a card"), path)


def _parse(document: Mapping[str, Any], path: Path) -> EmbeddingCard:
    for spoken in _SPOKEN:
        document[spoken]  # people read these; a card without them is not a card
    output = document["output"]
    if document["task"] != TASK or output["kind"] != TASK:
        raise CardError(
            f"{path}: {document['name']} answers {document['task']} ({output['kind']}), and an "
            "extractor answers with embeddings"
        )
    return EmbeddingCard(
        name=str(document["name"]),
        version=str(document["version"]),
        weights=locate_weights(document["weights"], path),
        sha256=str(document["weights"]["sha256"]).lower(),
        input=chip_input(document["input"]),
        dimension=int(output["dimension"]),
        document=document,
    )


class NetworkExtractor:
    """A network in ONNX that answers with embeddings.

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
        self.input = card.input
        self.document = card.document
        dimension = card.dimension * (2 if crops == "concatenated" else 1)
        self.model = EmbeddingModel(card.name, card.version, card.sha256, dimension, crops)

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
            return l2_normalise(vectors + mirrored)
        return l2_normalise(np.hstack([vectors, mirrored]))

    def _vectors(self, chips: RGB) -> Vectors:
        found = np.asarray(self._runtime(normalised(chips, self.input)))
        if found.shape != (len(chips), self.card.dimension) or not np.isfinite(found).all():
            raise CardError(
                f"{self.card.name}: its card states embeddings of {self.card.dimension} numbers; "
                f"{len(chips)} chips gave {list(found.shape)}, or some that are not finite"
            )
        return l2_normalise(found)

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
        return OnnxRuntime(
            self._onnx(self.card.read_weights()),
            name=self.card.name,
            size=self.card.input.size,
            width=self.card.dimension,
            device=device,
        )

    def _onnx(self, content: bytes) -> bytes:
        return content
