"""The label-distribution system's checkpoints: ThinAge, TinyAge, and networks by their names."""

from __future__ import annotations

from typing import Final

from agelens.errors import CardError, UsageError
from agelens.importing.contents import Contents
from agelens.importing.layout import ChipChoice, Choices, Filled, Layout, Move, age_scale, fill
from agelens.models.age_model import AgeModel
from agelens.models.auxiliary import AuxiliaryTask, FeedsAgeHeads
from agelens.models.backbones import Backbone, build_backbone
from agelens.models.backbones.thin_age_net import ThinAgeNet, TinyAgeNet
from agelens.models.methods.dldl_v2 import DLDLv2

_KNOWN: Final = {101: "0-100"}
_DEFAULT: Final = "se_resnext50_32x4d"
# Its networks are those of the package pretrainedmodels; timm has them under these names, with
# the same keys and shapes but for the last layer. VGG's are renamed below.
_SAME: Final = (
    *("densenet121", "densenet161", "densenet169", "densenet201"),
    *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
    *("nasnetalarge", "pnasnet5large"),
    *(f"vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_bn")),
)
IN_TIMM: Final[dict[str, str]] = {
    **{name: name for name in _SAME},
    "inceptionv3": "inception_v3",
    "inceptionv4": "inception_v4",
    "senet154": "legacy_senet154",
    "xception": "legacy_xception",
    **{
        name: f"legacy_{name.replace('_', '', 1)}"
        for name in (
            *("se_resnet50", "se_resnet101", "se_resnet152"),
            *("se_resnext50_32x4d", "se_resnext101_32x4d"),
        )
    },
}
_TASKS: Final = (
    AuxiliaryTask("gender", ("male", "female")),
    # Its loader gives other and white the number 4, and none the number 3.
    AuxiliaryTask("ethnicity", ("asian", "black", "hispanic", "none", "other or white")),
)


def _recognises(contents: Contents) -> bool:
    plain = contents.holds("conv1.0.weight", "conv12.0.weight")
    return plain or contents.holds("last_linear.weight")


def _fill(contents: Contents, choices: Choices) -> Filled:
    if not contents.holds("last_linear.weight"):
        return _plain(contents, choices)
    name = str(choices.arch or contents.facts.get("arch", _DEFAULT)).lower()
    if name not in IN_TIMM:
        raise UsageError(
            f"{contents.path}: a network {name!r} of the package pretrainedmodels, of which "
            f"agelens has {', '.join(IN_TIMM)}"
        )
    size = choices.size or _CHIPS.size
    backbone = build_backbone(IN_TIMM[name], size=size).backbone
    tells = contents.holds("gen_fc.weight", "eth_fc.weight")
    auxiliary = FeedsAgeHeads(_TASKS, backbone.features, backbone.early_features)
    return _filled(contents, choices, backbone, name, auxiliary if tells else None)


def _plain(contents: Contents, choices: Choices) -> Filled:
    thin, size = contents.holds("conv13.0.weight"), choices.size or _CHIPS.size
    backbone = ThinAgeNet(size, _THIN) if thin else TinyAgeNet(size, _TINY)
    return _filled(contents, choices, backbone, backbone.name, None)


# Convolutions in each group. Their TinyAge has one less than the paper's.
_THIN: Final = (2, 2, 3, 3, 3)
_TINY: Final = (2, 2, 2, 3, 3)


def _filled(
    contents: Contents,
    choices: Choices,
    backbone: Backbone,
    name: str,
    auxiliary: FeedsAgeHeads | None,
) -> Filled:
    moves = [Move(key, _named(key, backbone), tensor) for key, tensor in contents.tensors.items()]
    moves = [_reshaped(move) for move in moves]
    heads = [move.tensor for move in moves if move.name == "head.weight"]
    if len(heads) != 1:
        raise CardError(f"{contents.path}: no age layer (fc, fc1 or last_linear) in it")
    scale = age_scale(contents, len(heads[0]), choices.ages, _KNOWN)
    model = AgeModel(backbone, DLDLv2(str(scale)), auxiliary)
    keys = fill(model, contents, moves, f"the label-distribution system's {name}")
    return Filled(network=model, keys=keys, backbone=backbone.name, method=DLDLv2.name)


_HEADS: Final = {
    "last_linear.": "head.",
    "fc.0.": "head.",
    "fc1.0.": "head.",
    "gen_fc.": "auxiliary.heads.0.",
    "eth_fc.": "auxiliary.heads.1.",
    "_features.": "backbone.net.features.",
    "linear0.": "backbone.net.pre_logits.fc1.",
    "linear1.": "backbone.net.pre_logits.fc2.",
    "AuxLogits.": "",
}


def _named(key: str, backbone: Backbone) -> str:
    part = next((part for part in _HEADS if key.startswith(part)), None)
    if part is not None:
        return f"{_HEADS[part]}{key.removeprefix(part)}" if _HEADS[part] else ""
    if not isinstance(backbone, ThinAgeNet):
        return f"backbone.net.{key}"
    layer, _, rest = key.partition(".")
    number = layer.removeprefix("conv")
    place, _, weight = rest.partition(".")
    if not (number.isdigit() and place.isdigit()):
        return key
    before = 0
    groups = _TINY if isinstance(backbone, TinyAgeNet) else _THIN
    for group, convolutions in enumerate(groups, start=1):
        if int(number) <= before + convolutions:
            layer_in_group = 3 * (int(number) - before - 1) + int(place)
            return f"backbone.group{group}.{layer_in_group}.{weight}"
        before += convolutions
    return key


def _reshaped(move: Move) -> Move:
    """VGG's hidden layers look at 7 by 7 maps, which in timm are convolutions."""
    if not move.name.endswith(".weight") or ".pre_logits." not in move.name:
        return move
    side = 7 if ".fc1." in move.name else 1
    return move._replace(tensor=move.tensor.reshape(len(move.tensor), -1, side, side))


_CHIPS: Final = ChipChoice(
    size=224,
    alignment="rotate-crop",
    source="dataset.py and demo.py: turned by the eye line, cut at a second detection, 224 pixels, "
    "ImageNet's mean and deviation; --expand of its training is --margin here.",
)
LAYOUT: Final = Layout(
    name="ldl",
    owner="the label-distribution system (yjl450/age-estimation-ldl-pytorch)",
    paper=DLDLv2.paper,
    chips=_CHIPS,
    recognises=_recognises,
    fill=_fill,
    takes=("ages", "size", "arch"),
)
