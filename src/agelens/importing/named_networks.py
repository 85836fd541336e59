"""Any network of torchvision or timm by its name, with one output or one for each age."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import timm
import torch
from torch import nn
from torchvision.models import get_model, list_models

from agelens.ages import AgeScale
from agelens.errors import CardError, UnknownNameError, UsageError
from agelens.importing.contents import Contents
from agelens.importing.imported_network import NO_SPREAD, ImportedNetwork, YearsWithSpread
from agelens.importing.layout import (
    ChipChoice,
    Choices,
    Filled,
    Layout,
    age_scale,
    fill,
    moves_into,
)
from agelens.models.methods.dex import DEX
from agelens.models.methods.regression import L1Regression

_PREFIXES: Final = ("model.", "backbone.", "net.")


def _from_timm(arch: str, classes: int, size: int | None) -> nn.Module:
    if not timm.is_model(arch):
        raise UnknownNameError("network of timm", arch, timm.list_models(f"{arch[:4]}*"))
    known = timm.get_pretrained_cfg(arch)
    fixed = known is not None and known.fixed_input_size
    options: dict[str, Any] = {"img_size": size} if fixed and size else {}
    network: nn.Module = timm.create_model(arch, num_classes=classes, **options)
    return network


def _from_torchvision(arch: str, classes: int, size: int | None) -> nn.Module:
    if arch not in list_models():
        raise UnknownNameError("network of torchvision", arch, list_models())
    options = {"image_size": size} if arch.startswith("vit") and size else {}
    network: nn.Module = get_model(arch, weights=None, num_classes=classes, **options)
    return network


_Make = Callable[[str, int, int | None], nn.Module]


def _fill(contents: Contents, choices: Choices, make: _Make) -> Filled:
    if choices.arch is None:
        raise UsageError(f"{contents.path}: say which network it is, --arch resnet50")
    prefix = next((p for p in _PREFIXES if all(k.startswith(p) for k in contents.tensors)), "")
    arch, size = choices.arch, choices.size
    classes = _classes(contents, prefix, lambda count: make(arch, count, size))
    network = make(arch, classes, size)
    moves = [
        move._replace(name=f"network.{move.source.removeprefix(prefix)}")
        for move in moves_into(contents, "network.")
    ]
    if classes == 1:
        ages = choices.ages or "0-100"
        model = ImportedNetwork(network, L1Regression(ages), YearsWithSpread(), slice(None))
    else:
        known = {classes: str(AgeScale.yearly(0, classes - 1))} if classes > 90 else {}
        scale = age_scale(contents, classes, choices.ages, known)
        model = ImportedNetwork(network, DEX(str(scale)), nn.Identity(), slice(None))
    keys = fill(model, contents, moves, choices.arch)
    return Filled(
        network=model,
        keys=keys,
        backbone=choices.arch,
        method=model.method.name,
        size=choices.size,
        notes=(NO_SPREAD,) if classes == 1 else (),
    )


def _classes(contents: Contents, prefix: str, build: Callable[[int], nn.Module]) -> int:
    """How many outputs the file's last layer has: the one that grows with the classes asked for."""
    with torch.device("meta"):  # shapes alone
        two, three = build(2).state_dict(), build(3).state_dict()
    heads = [f"{prefix}{name}" for name in two if two[name].shape != three[name].shape]
    shapes = [contents.shape(head) for head in heads if contents.shape(head)]
    if not shapes:
        raise CardError(f"{contents.path}: no last layer ({', '.join(heads)}) in it")
    return shapes[0][0]


_layout = partial(
    Layout,
    paper="not stated in the file",
    takes=("ages", "size", "arch"),
    notes=("Chips are cut and normalised as was said when it was imported, or as by default.",),
)
_SAID: Final = (
    "whatever its training had: --size, --mean, --std, --template and --margin say it; 224 "
    "pixels, ImageNet's mean and deviation and the frame of face recognition by default."
)
TORCHVISION: Final = _layout(
    name="torchvision",
    owner="a network of torchvision",
    chips=ChipChoice(size=224, source=_SAID),
    fill=partial(_fill, make=_from_torchvision),
)
TIMM: Final = _layout(
    name="timm",
    owner="a network of timm",
    chips=ChipChoice(size=224, source=_SAID),
    fill=partial(_fill, make=_from_timm),
)
