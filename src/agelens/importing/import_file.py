"""From a trained file of another system to a folder that `agelens estimate --model` takes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np

from agelens.data.training_input.geometry import ChipTransform
from agelens.errors import CardError, ExportError, UnknownNameError, UsageError
from agelens.export.bundle import (
    CardFacts,
    LabelledChips,
    Parity,
    export_model,
    write_bundle,
)
from agelens.export.export_network import TrainedInput
from agelens.imaging.align import template_named
from agelens.importing import AUTO, IMPORTERS
from agelens.importing.contents import Contents, read_contents
from agelens.importing.layout import (
    UNKNOWN,
    ChipChoice,
    Choices,
    Filled,
    Layout,
    OnnxNetwork,
    Task,
)
from agelens.inference.cards import CARD_FILE
from agelens.inference.network import ChipNetwork, normalised
from agelens.models.backbones.weights import KeyReport
from agelens.recognition.purification import PurifiedBranch
from agelens.recognition.training.identity_bundle import export_branch
from agelens.sessions import open_session

ASK_AUTHORS: Final = "unknown: ask its authors"
_COMPARED: Final = 8
_SOUGHT: Final = 12


@dataclass(frozen=True, slots=True)
class ImportedModel:
    """What an import made.

    Args:
        folder: with weights and card.
        layout: whose file it was.
        keys: what became of every key of it.
        export: how the written network compares with the file's, as the card has it.
    """

    folder: Path
    layout: Layout
    keys: KeyReport
    export: Mapping[str, Any]


def import_model(
    file: str | Path,
    output: str | Path,
    *,
    layout: str = AUTO,
    ages: str | None = None,
    size: int | None = None,
    arch: str | None = None,
    task: Task = "age",
    threshold: float | None = None,
    template: str | None = None,
    margin: float | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    licence: str | None = None,
) -> ImportedModel:
    """Write a trained file of another system as a model of agelens; no code of the file runs.

    Args:
        file: the weights as their authors save them, or a folder of Hugging Face's.
        output: a new folder; its name becomes the model's.
        layout: one of `IMPORTERS`, or ``auto`` for the one that the file looks like.
        ages: the ages of its age layer, ``15-40``, or the list that it was trained on (.csv).
        size: side of its chips in pixels, where the file does not tell.
        arch: name of the network, where the file does not tell.
        task: ``embedding`` for the identity branch of a file that holds both.
        threshold: above which CORAL counts a rank.
        template: frame that photos are cut to; the layout's by default.
        margin: around that frame; see `Template.points_in`.
        mean: of pixels from 0 to 1, red, green and blue.
        std: likewise.
        licence: of the weights, in words.

    Raises:
        CardError: a file that is damaged, would run code, is another system's, or whose keys do
            not fit, each of them named.
        UsageError: an output that exists, or what has to be said of the file is not.
        UnknownNameError: no such layout, network or template.
        MissingDependencyError: a Keras file without h5py.
        ExportError: the written network does not answer as the file's; nothing is left.
        OutputError: it cannot be written.
    """
    folder = Path(output)
    if (folder / CARD_FILE).exists():
        raise UsageError(f"{folder} holds a model already; name another folder")
    if layout != AUTO and layout not in IMPORTERS:
        raise UnknownNameError("layout", layout, (AUTO, *IMPORTERS))
    if template is not None:
        template_named(template)
    contents = read_contents(Path(file))
    found = _chosen(contents, layout)
    choices = Choices(ages=ages, size=size, arch=arch, task=task, threshold=threshold)
    choices.check(found)
    filled = _filled(found, contents, choices)
    said: dict[str, Any] = {
        "size": filled.size or size,
        "mean": mean or filled.mean,
        "std": std or filled.std,
        "template": template,
        "margin": margin,
        "alignment": None if template is None else "similarity",
    }
    chips = replace(found.chips, **{key: value for key, value in said.items() if value is not None})
    provenance = {
        "layout": found.name,
        "file": contents.path.name,
        "sha256": hashlib.sha256(contents.path.read_bytes()).hexdigest(),
        "keys": filled.keys.summary,
    }
    facts = _facts(found, filled, folder, licence, provenance)
    facts = replace(facts, notes=(*facts.notes, f"Chips: {chips.source}"))
    made = _export(filled, facts, chips, folder)
    return ImportedModel(folder, found, filled.keys, made)


def _alike(contents: Contents) -> list[Layout]:
    layouts = map(layout_named, IMPORTERS)
    return [one for one in layouts if one.recognises is not None and one.recognises(contents)]


def layout_named(name: str) -> Layout:
    """One of `IMPORTERS`."""
    module, _, attribute = IMPORTERS[name].partition(":")
    layout: Layout = getattr(import_module(module), attribute)
    return layout


def _chosen(contents: Contents, name: str) -> Layout:
    """The layout called `name`, unless the file is plainly another's; or the one it looks like.

    Raises:
        CardError: it is another's, or nobody's.
    """
    like = _alike(contents)
    if name != AUTO:
        wanted = layout_named(name)
        if wanted.recognises is None or wanted in like:
            return wanted
        looks = f"; it looks like one of {like[0].owner}: --from {like[0].name}" if like else ""
        raise CardError(f"{contents.path} is no file of {wanted.owner}{looks}. {_keys(contents)}")
    if like:
        return like[0]
    if {"backbone", "head"} <= {key.partition(".")[0] for key in contents.tensors}:
        raise CardError(
            f"{contents.path} holds the weights of a run of agelens, which needs no import: "
            "--model takes the run's folder, and agelens export RUN writes its model"
        )
    raise CardError(
        f"{contents.path} looks like no file of {', '.join(IMPORTERS)}. Say whose it is (--from); "
        "a network of torchvision or timm also needs its name (--arch), and an ONNX network that "
        f"embeds faces is for agelens identity add. {_keys(contents)}".rstrip()
    )


def _filled(layout: Layout, contents: Contents, choices: Choices) -> Filled:
    """The network of `contents`; where it does not fit, whose it looks like is told as well."""
    try:
        return layout.fill(contents, choices)
    except CardError as error:
        like = [] if layout.recognises else _alike(contents)
        if not like:
            raise
        looks = f"it looks like one of {like[0].owner}: --from {like[0].name}"
        raise CardError(f"{error}; {looks}") from error


def _keys(contents: Contents) -> str:
    names = list(contents.tensors)
    more = f" and {len(names) - _SOUGHT} more" if len(names) > _SOUGHT else ""
    return f"Its keys: {', '.join(names[:_SOUGHT])}{more}" if names else ""


def _facts(
    layout: Layout,
    filled: Filled,
    folder: Path,
    licence: str | None,
    provenance: Mapping[str, Any],
) -> CardFacts:
    return CardFacts(
        name=folder.resolve().name,
        summary=f"{filled.backbone}, imported from a file of {layout.owner}",
        method=filled.method,
        backbone=filled.backbone,
        paper=layout.paper,
        age_kind=UNKNOWN,
        trained_on=[{"dataset": UNKNOWN, "split": UNKNOWN, "licence": UNKNOWN}],
        metrics=[],
        licences={
            "code": "MIT (agelens)",
            "weights": licence or ASK_AUTHORS,
            "data": "unknown: ask the weights' authors",
        },
        notes=(*layout.notes, *filled.notes),
        provenance=provenance,
    )


def _export(filled: Filled, facts: CardFacts, chips: ChipChoice, folder: Path) -> Mapping[str, Any]:
    settings = {
        "size": chips.size,
        "alignment": chips.alignment,
        "template": chips.template,
        "margin": chips.margin,
        "detector": "any",
    }
    trained_input = TrainedInput(
        settings, ChipTransform(chips.size, mean=list(chips.mean), std=list(chips.std))
    )
    if isinstance(filled.network, OnnxNetwork):
        return _export_graph(filled.network, facts, trained_input, folder)
    if isinstance(filled.network, PurifiedBranch):
        return export_branch(filled.network, facts, trained_input, folder)
    parity = export_model(filled.network, facts, trained_input, folder, chips=_noise(chips.size))
    return {"format": "onnx", "precision": "single", "parity": parity.to_json()}


def _noise(size: int) -> LabelledChips:
    """Chips that show nobody; their ages, which no figure of the card uses, are 0."""
    chance = np.random.default_rng(0)
    chips = chance.integers(0, 256, (_COMPARED, size, size, 3), dtype=np.uint8)
    return [(chips, np.zeros(_COMPARED))]


def _export_graph(
    network: OnnxNetwork, facts: CardFacts, trained_input: TrainedInput, folder: Path
) -> Mapping[str, Any]:
    """Write a graph with its card, once it answers of many chips as the original does of each."""
    original = open_session(network.original.SerializeToString(), name=facts.name)

    def compared(written: ChipNetwork) -> Parity:
        ((chips, _),) = _noise(trained_input.chip_size)
        pixels = normalised(chips, written.card.input)
        port = original.get_inputs()[0].name
        alone = [original.run(None, {port: pixels[i : i + 1]})[0] for i in range(len(pixels))]
        theirs = np.concatenate(alone)[:, 2] * 100
        apart = np.abs(written.answers(chips)[:, 0] - theirs)
        if not apart.max() < _TOLERANCE_YEARS:
            raise ExportError(
                f"{facts.name}: of several chips at once its network answers up to "
                f"{apart.max():.2f} years otherwise than of each alone; nothing was written"
            )
        return Parity(len(apart), float(apart.max()), float(apart.mean()), 0.0)

    parity = write_bundle(
        network.answering.SerializeToString(),
        facts,
        trained_input,
        folder,
        spec=network.spec,
        told=network.told,
        compared=compared,
    )
    return {"format": "onnx", "precision": "single", "parity": parity.to_json()}


_TOLERANCE_YEARS: Final = 0.01
