"""The label-distribution system's checkpoints: ThinAge, TinyAge, and networks by their names."""

from __future__ import annotations

import re
from typing import Any, Final

from torch import nn
from torchvision.models import alexnet

from agelens.errors import CardError, UsageError
from agelens.importing.contents import Contents
from agelens.importing.imported_network import ImportedNetwork
from agelens.importing.layout import ChipChoice, Choices, Filled, Layout, Move, age_scale, fill
from agelens.models.age_model import AgeModel
from agelens.models.auxiliary import AuxiliaryTask, FeedsAgeHeads
from agelens.models.backbones import Backbone, build_backbone
from agelens.models.backbones.thin_age_net import ThinAgeNet, TinyAgeNet
from agelens.models.methods.dldl import DLDLv2

_KNOWN: Final = {101: "0-100"}
_DEFAULT: Final = "se_resnext50_32x4d"
# Its networks are those of the package pretrainedmodels; timm has them under these names, with
# the same keys and shapes but for the last layer. What is not so is renamed or mended below.
_SAME: Final = (
    *(f"dpn{kind}" for kind in ("68", "68b", "92", "98", "107", "131")),
    *("resnext101_32x4d", "resnext101_64x4d"),
    *("densenet121", "densenet161", "densenet169", "densenet201"),
    *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
    *("nasnetalarge", "pnasnet5large"),
    *(f"vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_bn")),
)
IN_TIMM: Final[dict[str, str]] = {
    **{name: name for name in _SAME},
    "cafferesnet101": "resnet101",
    "fbresnet152": "resnet152",
    "inceptionresnetv2": "inception_resnet_v2",
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
_ALEXNET: Final = "alexnet"  # of torchvision
_ABSENT: Final = "which neither timm nor torchvision has"
_HEADLESS: Final = "which has no last_linear: that system's own code cannot give it an age layer"
NOWHERE: Final = {
    **dict.fromkeys(("bninception", "nasnetamobile", "polynet"), _ABSENT),
    **dict.fromkeys(("squeezenet1_0", "squeezenet1_1"), _HEADLESS),
}
_TASKS: Final = (
    AuxiliaryTask("gender", ("male", "female")),
    # Its loader gives other and white the number 4, and none the number 3.
    AuxiliaryTask("ethnicity", ("asian", "black", "hispanic", "none", "other or white")),
)


def _recognises(contents: Contents) -> bool:
    plain = contents.holds("conv1.0.weight", "conv12.0.weight")
    return plain or contents.holds("last_linear.weight") or contents.facts.get("arch") in NOWHERE


def _fill(contents: Contents, choices: Choices) -> Filled:
    name = str(choices.arch or contents.facts.get("arch", _DEFAULT)).lower()
    if name in NOWHERE:
        raise CardError(
            f"{contents.path}: agelens cannot run {name} of the package pretrainedmodels, "
            f"{NOWHERE[name]}"
        )
    if not contents.holds("last_linear.weight"):
        return _plain(contents, choices)
    if name == _ALEXNET:
        return _alexnet(contents, choices)
    if name not in IN_TIMM:
        raise UsageError(
            f"{contents.path}: no network {name!r} of the package pretrainedmodels, of which "
            f"agelens has {', '.join((*IN_TIMM, _ALEXNET))}"
        )
    size = choices.size or _CHIPS.size
    backbone = build_backbone(IN_TIMM[name], size=size).backbone
    if name == "cafferesnet101":
        _stride_as_caffe(backbone)
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
    if name == "fbresnet152":
        moves = _without_biases(moves)
    heads = [move.tensor for move in moves if move.name == "head.weight"]
    if len(heads) != 1:
        raise CardError(f"{contents.path}: no age layer (fc, fc1 or last_linear) in it")
    scale = age_scale(contents, len(heads[0]), choices.ages, _KNOWN)
    model = AgeModel(backbone, DLDLv2(str(scale)), auxiliary)
    keys = fill(model, contents, moves, f"the label-distribution system's {name}")
    return Filled(network=model, keys=keys, backbone=backbone.name, method=DLDLv2.name)


def _alexnet(contents: Contents, choices: Choices) -> Filled:
    """Its pooling has one size, which timm's networks do not; torchvision has it."""
    names = {"_features": "features", **_CLASSIFIER}
    moves = [
        Move(key, f"network.{names.get(part, part)}.{rest}", tensor)
        for key, tensor in contents.tensors.items()
        for part, _, rest in (key.partition("."),)
    ]
    classes = len(contents.tensors["last_linear.weight"])
    scale = age_scale(contents, classes, choices.ages, _KNOWN)
    network = alexnet(weights=None, num_classes=classes)
    model = ImportedNetwork(network, DLDLv2(str(scale)), nn.Identity(), slice(None))
    keys = fill(model, contents, moves, f"the label-distribution system's {_ALEXNET}")
    return Filled(network=model, keys=keys, backbone=_ALEXNET, method=DLDLv2.name)


_CLASSIFIER: Final = {"linear0": "classifier.1", "linear1": "classifier.4"} | {
    "last_linear": "classifier.6"
}


def _stride_as_caffe(backbone: Backbone) -> None:
    """Halve maps in a block's first convolution, not its second, and pool without a rim."""
    net: Any = backbone.get_submodule("net")
    net.maxpool = nn.MaxPool2d(3, 2, ceil_mode=True)
    for stage in (2, 3, 4):
        for convolution, stride in (("conv1", (2, 2)), ("conv2", (1, 1))):
            net.get_submodule(f"layer{stage}.0.{convolution}").stride = stride


def _without_biases(moves: list[Move]) -> list[Move]:
    """Each convolution's bias taken off the running mean of the batch norm behind it: the same."""
    biases = {m.name: m.tensor for m in moves if _BIAS.search(m.name)}
    norm = {name: f"{_BIAS.sub(_norm_behind, name)}.running_mean" for name in biases}
    owed = {norm[name]: tensor for name, tensor in biases.items()}
    return [
        move._replace(name="")
        if move.name in biases
        else move._replace(tensor=move.tensor - owed[move.name])
        if move.name in owed
        else move
        for move in moves
    ]


_BIAS: Final = re.compile(r"(conv(\d)|downsample\.0)\.bias$")


def _norm_behind(convolution: re.Match[str]) -> str:
    return f"bn{convolution[2]}" if convolution[2] else "downsample.1"


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
        return f"backbone.net.{_numbered(key)}"
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


def _numbered(key: str) -> str:
    """A key of resnext101, which came from Lua and counts its layers, as ResNet has it."""
    if stem := re.fullmatch(r"features\.([01])\.(\w+)", key):
        return f"{('conv1', 'bn1')[int(stem[1])]}.{stem[2]}"
    block = re.fullmatch(r"features\.([4-7])\.(\d+)\.0\.([\d.]+)\.(\w+)", key)
    if block is None or block[3] not in _LAYERS:
        return key
    return f"layer{int(block[1]) - 3}.{block[2]}.{_LAYERS[block[3]]}.{block[4]}"


_LAYERS: Final = {
    **{"0.0.0": "conv1", "0.0.1": "bn1", "0.0.3": "conv2", "0.0.4": "bn2"},
    **{"0.1": "conv3", "0.2": "bn3", "1.0": "downsample.0", "1.1": "downsample.1"},
}


def _reshaped(move: Move) -> Move:
    """VGG's hidden layers look at 7 by 7 maps, which in timm are convolutions.

    DPN's last layer is a convolution of one pixel, which here is a linear layer.
    """
    if move.name == "head.weight":
        return move._replace(tensor=move.tensor.flatten(1))
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
