"""From a trained model to a folder that `agelens estimate --model` takes: weights and card."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agelens.errors import OutputError, UsageError
from agelens.export.answering import AnsweringNetwork
from agelens.export.card_facts import CardFacts
from agelens.export.formats import WEIGHTS_FILE, Format, Precision, check_choice, weights_of
from agelens.export.parity import LabelledChips, Parity, measure_parity, require_parity
from agelens.export.trained_input import TrainedInput
from agelens.inference.cards import CARD_FILE, Card, read_card
from agelens.inference.network import ChipNetwork, normalised
from agelens.models.age_model import AgeModel
from agelens.records import RGB


def export_model(
    model: AgeModel,
    facts: CardFacts,
    trained_input: TrainedInput,
    folder: Path,
    *,
    chips: LabelledChips,
    format: Format = "onnx",
    precision: Precision = "single",
    calibration: Iterable[RGB] = (),
) -> Parity:
    """Write `model` as weights with their card into `folder`, once it is proved to answer alike.

    Args:
        model: a trained one; it is left as it is.
        facts: for the card.
        trained_input: how the model saw chips.
        folder: made where it is absent; weights and card that are there are replaced.
        chips: of the validation part, drawn once; for ``int8`` best all of it.
        format: ``onnx`` or ``torchscript``.
        precision: ``single``; ``half`` keeps weights in half precision and reckons in single;
            ``int8`` reckons in whole numbers, and is for ``onnx`` only.
        calibration: batches of chips uint8 [N, S, S, 3] of the training part, for ``int8``.

    Returns:
        How the exported network compares with the trained one, as its card has it.

    Raises:
        UsageError: an unknown format or precision, two that do not go together, or int8
            without calibration chips.
        ExportError: the exported network is further than 0.05 years from the trained one in
            single or half precision, or there are no chips to compare by. Nothing is left.
        OutputError: the folder cannot be written.
    """
    check_choice(format, precision)
    wanted = trained_input.chip_input
    pixels = [normalised(batch, wanted) for batch in calibration] if precision == "int8" else []
    if precision == "int8" and not pixels:
        raise UsageError("int8 needs chips of the training part, to know what values to expect")
    network = AnsweringNetwork(model, trained_input)
    content = weights_of(network, pixels, format=format, precision=precision)
    made: dict[str, Any] = {"format": format, "precision": precision}
    card = facts.to_json(
        weights={"path": WEIGHTS_FILE[format], "sha256": hashlib.sha256(content).hexdigest()},
        chips=trained_input.to_json(),
        spec=model.method.spec,
        export=made,
    )
    with trial_folder(folder) as trial:
        (trial / WEIGHTS_FILE[format]).write_bytes(content)
        exported = ChipNetwork(_write_card(trial, card))
        parity = measure_parity(model, trained_input.transform, exported, chips)
        if precision != "int8":
            require_parity(parity, facts.name, half=precision == "half")
        made["parity"] = parity.to_json()
        _write_card(trial, card | {"export": made})
        put_in_place(trial, folder, WEIGHTS_FILE[format])
    return parity


@contextmanager
def trial_folder(folder: Path) -> Iterator[Path]:
    """A folder inside `folder` that is gone afterwards; so is `folder`, where it stayed empty."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as trial:
                yield Path(trial)
        finally:
            if not any(folder.iterdir()):
                folder.rmdir()
    except OSError as error:
        raise OutputError(f"cannot write the export to {folder}: {error}") from error


def _write_card(folder: Path, document: dict[str, Any]) -> Card:
    path = folder / CARD_FILE
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(f"{text}\n", encoding="utf-8")
    return read_card(path)


def put_in_place(made: Path, folder: Path, weights: str) -> None:
    """Put weights and card in place; no card ever stands beside another's weights."""
    (folder / CARD_FILE).unlink(missing_ok=True)
    for name in (weights, CARD_FILE):
        (made / name).replace(folder / name)
