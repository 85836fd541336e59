"""From a trained model to a folder that `agelens estimate --model` takes: weights and card."""

from __future__ import annotations

import copy
import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import torch

from agelens.data.training_input.geometry import ChipTransform
from agelens.errors import ExportError, OutputError, UsageError
from agelens.export.export_network import ExportNetwork, TrainedInput, output_names
from agelens.export.formats import (
    WEIGHTS_FILE,
    Format,
    Precision,
    check_choice,
    int8_layers,
    weights_of,
)
from agelens.export.torchscript import TracedRuntime
from agelens.inference.answers import Answers, OutputSpec, read_answers
from agelens.inference.cards import CARD_FILE, Card, read_card
from agelens.inference.network import ChipNetwork, normalised
from agelens.models.age_model import AgeModel
from agelens.models.mean_model import MeanModel
from agelens.records import RGB, Floats

TOLERANCE_YEARS: Final = 0.05
_DIGITS: Final = 5

LabelledChips: TypeAlias = Iterable[tuple[RGB, Floats]]
"""Batches of chips uint8 [N, S, S, 3] as a store has them, with ages in years [N]."""


@dataclass(frozen=True, slots=True)
class Parity:
    """How far the exported network's ages are from the trained one's, over `chips` chips.

    `largest_years` and `mean_years` are absolute differences of expected ages: a rank or the
    likeliest age may jump a whole year by a rounding. `mae_change_years` is the mean absolute
    error of the exported network less that of the trained one, of the ages that the card names.
    """

    chips: int
    largest_years: float
    mean_years: float
    mae_change_years: float

    def to_json(self) -> dict[str, Any]:
        """For the card."""
        years = ("largest_years", "mean_years", "mae_change_years")
        return {"chips": self.chips} | {n: round(getattr(self, n), _DIGITS) for n in years}


def measure_parity(
    model: AgeModel | MeanModel,
    transform: ChipTransform,
    network: ChipNetwork,
    chips: LabelledChips,
) -> Parity:
    """Compare `model`, seeing chips through `transform`, with the exported `network`.

    Raises:
        ExportError: there are no chips, or the model's own answers cannot be read.
        CardError: the exported network's answers are not what its card says.
    """
    differences, changes = [], []
    trained_model = copy.deepcopy(model).eval()
    for batch, age_years in chips:
        trained = _trained_answers(trained_model, transform, batch)
        exported = network.read(network.answers(batch))
        differences.append(np.abs(_smooth(exported) - _smooth(trained)))
        errors = (np.abs(read.estimate_years - age_years) for read in (exported, trained))
        changes.append(next(errors) - next(errors))
    apart = np.concatenate(differences) if differences else np.empty(0)
    if not len(apart):
        raise ExportError("no chips to compare the exported network with the trained one by")
    change = float(np.concatenate(changes).mean())
    return Parity(len(apart), float(apart.max()), float(apart.mean()), change)


def require_parity(parity: Parity, name: str, *, half: bool = False) -> None:
    """Insist on ages within `TOLERANCE_YEARS`; `half` says how the weights lie.

    Raises:
        ExportError: they are further apart.
    """
    if parity.largest_years > TOLERANCE_YEARS:
        way_out = "without --half" if half else "in the other --format, and report this one"
        raise ExportError(
            f"{name}: on {parity.chips} chips the exported network is up to "
            f"{parity.largest_years:.3f} years from the trained one (mean "
            f"{parity.mean_years:.3f}), more than {TOLERANCE_YEARS}; nothing was written. Export "
            f"{way_out}"
        )


@torch.no_grad()
def _trained_answers(model: AgeModel | MeanModel, transform: ChipTransform, chips: RGB) -> Answers:
    pixels = transform(torch.from_numpy(np.ascontiguousarray(chips.transpose(0, 3, 1, 2))))
    answer = model.answer(pixels.to(next(model.parameters()).device))
    try:
        return read_answers(answer.double().cpu().numpy(), model.method.spec)
    except ValueError as error:
        raise ExportError(f"the trained network's own answers cannot be read: {error}") from error


def _smooth(read: Answers) -> Floats:
    """Expected ages [N]."""
    if read.distribution is None:
        return read.estimate_years
    return read.spec.scale.expected(read.distribution)


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """Facts for people, in the words of the card's sections.

    Args:
        name: what result rows call the model.
        summary: one line for lists.
        method: its name in `METHODS`.
        backbone: its name in `BACKBONES` or timm.
        paper: of the method.
        departures: where the method here is not as its authors' code has it; see `AgeMethod`.
        age_kind: what the ages were: real, apparent, estimated.
        trained_on: for each dataset its name, split, licence.
        metrics: each with the table that it can be recomputed from.
        licences: of `code`, `weights` and `data`.
        version: of this model.
        notes: what else a user has to know, one sentence each.
        provenance: of an imported model: the file that it comes from.
    """

    name: str
    summary: str
    method: str
    backbone: str
    paper: str
    age_kind: str
    trained_on: Sequence[Mapping[str, Any]]
    metrics: Sequence[Mapping[str, Any]]
    licences: Mapping[str, str]
    departures: Sequence[str] = field(default=())
    version: str = "1"
    notes: Sequence[str] = field(default=())
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def to_json(
        self,
        *,
        weights: Mapping[str, str],
        chips: Mapping[str, Any],
        spec: OutputSpec | None,
        told: Mapping[str, Sequence[str]] | None = None,
        export: Mapping[str, Any],
    ) -> dict[str, Any]:
        """The whole card: plain JSON types.

        Args:
            weights: ``path`` and ``sha256``.
            chips: the section ``input``.
            spec: what the ages of its answers are; None where it tells none.
            told: columns whose words' probabilities have outputs of their own after that of the
                ages, see `AgeModel.told`.
            export: how the weights were made, and how they compare.
        """
        return {
            "name": self.name,
            "version": self.version,
            "task": "age",
            "summary": self.summary,
            "weights": dict(weights),
            "input": dict(chips),
            "output": (output_section(spec) if spec else {}) | _told_section(told or {}),
            "age_kind": self.age_kind,
            "method": self.method,
            "backbone": self.backbone,
            "trained_on": [dict(part) for part in self.trained_on],
            "metrics": [dict(metric) for metric in self.metrics],
            "calibration": None,
            "limits": None,
            "licences": dict(self.licences),
            "paper": self.paper,
            "departures": list(self.departures),
            "export": dict(export),
            "notes": list(self.notes),
        } | ({"provenance": dict(self.provenance)} if self.provenance else {})


def _told_section(told: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """`labels` are the genders; `further` has the words of every other column.

    `outputs` are the names of the file's outputs: of the ages, the genders, each other column.
    """
    if not told:
        return {}
    further = {column: list(words) for column, words in told.items() if column != "gender"}
    labels = {"labels": list(told["gender"])} if "gender" in told else {}
    section = labels | ({"further": further} if further else {})
    return section | {"outputs": list(output_names(told))}


def output_section(spec: OutputSpec) -> dict[str, Any]:
    """The card's section ``output``."""
    section: dict[str, Any] = {
        "kind": spec.kind,
        "ages_years": [int(year) if year.is_integer() else year for year in spec.scale.years],
        "point": spec.point,
    }
    if spec.kind == "ordinal-logits":
        section["link"] = spec.link
    if spec.kind == "ordinal-logits" or spec.point == "rank":
        section["threshold"] = spec.threshold
    return section


def export_model(
    model: AgeModel | MeanModel,
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
    network = ExportNetwork(model, trained_input)
    content = weights_of(network, pixels, format=format, precision=precision)

    def compared(exported: ChipNetwork) -> Parity:
        parity = measure_parity(model, trained_input.transform, exported, chips)
        if precision != "int8":
            require_parity(parity, facts.name, half=precision == "half")
        return parity

    return write_bundle(
        content,
        facts,
        trained_input,
        folder,
        spec=model.method.spec,
        told=model.told,
        compared=compared,
        format=format,
        precision=precision,
    )


def write_bundle(
    content: bytes,
    facts: CardFacts,
    trained_input: TrainedInput,
    folder: Path,
    *,
    spec: OutputSpec,
    told: Mapping[str, Sequence[str]],
    compared: Callable[[ChipNetwork], Parity],
    format: Format = "onnx",
    precision: Precision = "single",
) -> Parity:
    """Write the weights `content` with their card, once `compared` has nothing against them.

    Args:
        content: of the weights file.
        facts: for the card.
        trained_input: how chips are cut for it, and what they pass.
        folder: see `export_model`.
        spec: what its answers are.
        told: see `AgeModel.told`.
        compared: how the written network compares with the one it comes from; it raises where
            that is too far.
        format: see `export_model`.
        precision: see `export_model`.

    Raises:
        ExportError: of `compared`; nothing is left.
        OutputError: the folder cannot be written.
    """
    made: dict[str, Any] = {"format": format, "precision": precision}
    if precision == "int8":
        made["layers"] = int8_layers(content)
    card = facts.to_json(
        weights={"path": WEIGHTS_FILE[format], "sha256": hashlib.sha256(content).hexdigest()},
        chips=trained_input.to_json(),
        spec=spec,
        told=told,
        export=made,
    )
    with trial_folder(folder) as trial:
        (trial / WEIGHTS_FILE[format]).write_bytes(content)
        # Compared as a program made here; of a file, agelens runs no TorchScript.
        runtime = TracedRuntime(content) if format == "torchscript" else None
        parity = compared(ChipNetwork(_write_card(trial, card), runtime=runtime))
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
