"""RAPL's trained models: IR-50, its heads for age, gender and position, and the re-weighting."""

from __future__ import annotations

from typing import Final

from agelens.importing.contents import Contents
from agelens.importing.layout import ChipChoice, Choices, Filled, Layout, Move, age_scale, fill
from agelens.models.age_model import AgeModel
from agelens.models.auxiliary import AuxiliaryTask, ParallelHeads
from agelens.models.backbones.ir50 import IR50
from agelens.models.methods.rapl import RAPL

_PARTS: Final = {
    "fc_age.": "head.fc_age.",
    "fc_feature.": "head.fc_feature.",
    "fc_pos.": "head.fc_pos.",
    "fc_gender.": "auxiliary.heads.0.",
    "parameter": "head.theta",
    "references": "head.references",
}
# CACD's ages are all of 14 to 62; AgeDB's 100 and AFAD's 57 have gaps that no file tells.
_KNOWN: Final = {49: "14-62"}


def _recognises(contents: Contents) -> bool:
    return contents.holds("fc_age.weight", "fc_pos.weight", "backbone.input_layer.0.weight")


def _fill(contents: Contents, choices: Choices) -> Filled:
    scale = age_scale(contents, len(contents.tensors["fc_age.weight"]), choices.ages, _KNOWN)
    tells = contents.holds("fc_gender.weight")
    genders = [AuxiliaryTask("gender", ("male", "female"))]
    backbone = IR50(choices.size or _CHIPS.size)
    auxiliary = ParallelHeads(genders, backbone.features, backbone.early_features)
    model = AgeModel(backbone, RAPL(str(scale)), auxiliary if tells else None)
    keys = fill(model, contents, _moves(contents), "RAPL's network", own=_OWN)
    return Filled(network=model, keys=keys, backbone=backbone.name, method=RAPL.name)


_OWN: Final = tuple(
    f"head.{name}" for name in ("ages", "references", "ready", "candidate", "steps")
)


def _moves(contents: Contents) -> list[Move]:
    return [Move(source, _named(source), tensor) for source, tensor in contents.tensors.items()]


def _named(source: str) -> str:
    if source.startswith("backbone.output_layer."):
        return ""  # of the face network that it started from; nothing looks at it
    part = next((part for part in _PARTS if source.startswith(part)), "")
    return f"{_PARTS.get(part, '')}{source.removeprefix(part)}"


_CHIPS: Final = ChipChoice(
    size=112,
    source="data_loader.py resizes whole pictures to 112 pixels (ImageNet's mean and deviation); "
    "which faces fill them is the dataset's. For photos, the frame of face recognition stands in.",
)
LAYOUT: Final = Layout(
    name="rapl",
    owner="RAPL (SeoulTech-HCIRLab/Relative-Age-Position-Learning)",
    paper=RAPL.paper,
    chips=_CHIPS,
    recognises=_recognises,
    fill=_fill,
    takes=("ages", "size"),
    notes=("Positions and references shape the features in training and are no part of answers.",),
)
