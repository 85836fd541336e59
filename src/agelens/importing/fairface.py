"""FairFace's ResNet-34: seven groups of ethnicity, two genders, nine bands of ages."""

from __future__ import annotations

from typing import Final

from torchvision.models import resnet34

from agelens.importing.contents import Contents
from agelens.importing.imported_network import AgeBands, ImportedNetwork
from agelens.importing.layout import ChipChoice, Choices, Filled, Layout, fill, moves_into
from agelens.models.methods.dex import DEX

_ETHNICITIES: Final = (
    *("white", "black", "latino hispanic", "east asian", "southeast asian", "indian"),
    "middle eastern",
)
_BANDS: Final = (0, 3, 10, 20, 30, 40, 50, 60, 70)
_OUTPUTS: Final = 18


def _fill(contents: Contents, choices: Choices) -> Filled:
    bands = AgeBands(_BANDS)
    model = ImportedNetwork(
        resnet34(weights=None, num_classes=_OUTPUTS),
        DEX(str(bands.scale)),
        bands,
        slice(9, _OUTPUTS),
        {"gender": (("male", "female"), slice(7, 9)), "ethnicity": (_ETHNICITIES, slice(7))},
    )
    keys = fill(model, contents, moves_into(contents, "network."), "FairFace's ResNet-34")
    return Filled(
        network=model,
        keys=keys,
        backbone="resnet34 (torchvision)",
        method="cross entropy of nine bands of ages",
        size=choices.size,
        notes=(bands.note,),
    )


LAYOUT: Final = Layout(
    name="fairface",
    owner="FairFace (joojs/fairface, dchen236/FairFace)",
    paper="Karkkainen and Joo, FairFace, WACV 2021",
    chips=ChipChoice(
        size=224,
        template="dlib-64",
        margin=0.0714,  # dlib's padding of 0.25, where the template's is 0.2
        source="predict.py: dlib's face chips with padding 0.25, 224 pixels, ImageNet's mean and "
        "deviation.",
    ),
    recognises=lambda contents: (
        contents.shape("fc.weight") == (_OUTPUTS, 512) and contents.holds("layer4.2.conv2.weight")
    ),
    fill=_fill,
    takes=("size",),
    notes=("Of the file for four ethnic groups, only those are of use: its ages are untrained.",),
)
