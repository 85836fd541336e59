"""Cards of embedding networks: as those of age networks, with vectors for an answer.

    {"name": ..., "version": ..., "task": "embedding", "summary": ...,
     "weights": {"path": "model.onnx", "sha256": ...},
     "input": {"size": 112, "color_order": "RGB", "mean": [...], "std": [...],
               "alignment": "similarity", "template": "arcface-112", "margin": 0.0},
     "output": {"kind": "embedding", "dimension": 512},
     "verification": null, "trained_on": [...], "metrics": [...],
     "licences": {"code": ..., "weights": ..., "data": ...}, "paper": ...}

`verification` holds measured false match rates, see `agelens.recognition.verification`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from agelens.errors import CardError, UnknownNameError
from agelens.inference.cards import CARD_FILE, ChipInput, chip_input
from agelens.inference.weights_file import checked_weights, locate_weights

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


def card_document(path: Path) -> dict[str, Any]:
    """The JSON object of the card at `path`.

    Raises:
        CardError: it cannot be read as one.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CardError(f"{path}: cannot be read as a card: {error}") from error
    if not isinstance(document, dict):
        raise CardError(f"{path}: a card is a JSON object, got {type(document).__name__}")
    return document


def read_embedding_card(path: Path) -> EmbeddingCard:
    """The card at `path`.

    Raises:
        CardError: it is malformed, or of a network that answers something else.
    """
    document = card_document(path)
    try:
        return _parse(document, path)
    except KeyError as error:
        raise CardError(f"{path}: the card lacks {error}") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise CardError(f"{path}: the card is malformed: {error}") from error


def own_card_path(model: str | Path, packaged: Mapping[str, Any]) -> Path:
    """Where the card of a network that is not packaged lies: a card, or a folder with one.

    Raises:
        UnknownNameError: it is neither; the message lists `packaged`.
        CardError: a folder without a card.
    """
    path = Path(model)
    try:
        if path.is_dir():
            path = path / CARD_FILE
            if not path.is_file():
                raise CardError(f"{path.parent}: no {CARD_FILE} in it. No card, no load.")
        found = path.is_file()
    except OSError as error:  # a folder that may not be entered, a name too long
        raise CardError(f"{path}: cannot be looked up: {error.strerror}") from error
    if not found:
        raise UnknownNameError(
            "extractor", str(model), packaged, " A folder with card.json, or its path, works too."
        )
    return path


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
