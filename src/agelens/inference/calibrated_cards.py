"""Writing a calibration into a card, or into a copy of the model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from agelens.atomic import atomic_file, atomic_folder
from agelens.errors import UsageError
from agelens.inference.calibration import Calibration
from agelens.inference.cards import CARD_FILE, MODELS, Card, card_path, read_card

_NOTE: Final = (
    "Calibrated afterwards, see calibration: what other notes say of intervals is of those before."
)


def write_calibration(
    model: str | Path, calibration: Calibration, folder: Path | None = None
) -> Path:
    """Write `calibration` into the card of `model`, in place of the one that it may have.

    Args:
        model: name of a packaged model, or path of a card or of a folder that holds one.
        calibration: of this model.
        folder: a new folder for a copy with the calibrated card; the model itself is left as it
            is. The copy of a packaged model points at the package's weights. None writes the
            model's own card, whole or not at all.

    Returns:
        The path of the card.

    Raises:
        UsageError: a packaged model without a folder, or a folder that is not empty.
        UnknownNameError: no such model.
        CardError: its card is malformed.
        OutputError: the card cannot be written; what was there before is kept.
    """
    path = card_path(model)
    card = read_card(path)
    document = dict(card.document) | {"calibration": dict(calibration.document)}
    if folder is None:
        if path in MODELS.values():
            raise UsageError(
                f"{card.name} is a packaged model, whose card is not written to: name a new folder "
                "for a calibrated copy with -o"
            )
        _replace(path, document)
        return path
    with atomic_folder(folder, "calibrated model") as partial:
        _copy(card, document, partial)
    return folder / CARD_FILE


def _copy(card: Card, document: Mapping[str, Any], folder: Path) -> None:
    weights = dict(document["weights"])
    if "package" not in weights:
        weights["path"] = card.weights.name
        shutil.copyfile(card.weights, folder / card.weights.name)
    notes = [*document.get("notes", ()), _NOTE]
    path = folder / CARD_FILE
    path.write_bytes(_encoded({**document, "weights": weights, "notes": notes}))
    read_card(path)


def _replace(path: Path, document: Mapping[str, Any]) -> None:
    with atomic_file(path, "the card") as partial:
        partial.write_bytes(_encoded(document))
        read_card(partial)


def _encoded(document: Mapping[str, Any]) -> bytes:
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"
