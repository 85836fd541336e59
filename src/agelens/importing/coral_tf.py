"""CORAL in TensorFlow: ResNet or VGG in Keras's .h5, one score and a bias for each task."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from agelens.errors import CardError
from agelens.importing.contents import Contents
from agelens.importing.imported_network import ImportedNetwork
from agelens.importing.layout import ChipChoice, Choices, Filled, Layout, Move, age_scale, fill
from agelens.models.methods.coral import CORAL, CORALHead

_EPSILON: Final = 1e-3  # of Keras's batch norm
_SIZE: Final = 197
_THRESHOLD: Final = 0.4
_NAMES: Final = {
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
    "bias": "bias",
}


class _Same(nn.Module):
    """Padding as TensorFlow's ``same``: what is odd of it goes right and below."""

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, maps: Tensor) -> Tensor:
        pads = []
        for side in (maps.shape[3], maps.shape[2]):
            whole = max((-(-side // self.stride) - 1) * self.stride + self.kernel - side, 0)
            pads += [whole // 2, whole - whole // 2]
        return functional.pad(maps, pads)


class _Block(nn.Module):
    """Its convolutions and batch norms by Keras's names; the first or second has the stride."""

    def __init__(self, contents: Contents, stem: str, stride: int) -> None:
        super().__init__()
        branches = [b for b in "abc" if f"res{stem}_branch2{b}/kernel" in contents.tensors]
        self.branches = len(branches)
        for place, branch in enumerate(branches):
            step = stride if place == 0 else 1
            self._add(contents, stem, f"2{branch}", step)
        self.has_shortcut = f"res{stem}_branch1/kernel" in contents.tensors
        if self.has_shortcut:
            self._add(contents, stem, "1", stride)

    def _add(self, contents: Contents, stem: str, branch: str, stride: int) -> None:
        kernel = contents.tensors[f"res{stem}_branch{branch}/kernel"]
        side, _, inputs, width = kernel.shape
        conv = nn.Conv2d(inputs, width, side, stride, side // 2)
        self.add_module(f"res{branch}", conv)
        self.add_module(f"bn{branch}", nn.BatchNorm2d(width, eps=_EPSILON))

    def _branch(self, name: str, maps: Tensor) -> Tensor:
        changed: Tensor = self.get_submodule(f"bn{name}")(self.get_submodule(f"res{name}")(maps))
        return changed

    def forward(self, maps: Tensor) -> Tensor:
        kept = self._branch("1", maps) if self.has_shortcut else maps
        for place in range(self.branches):
            maps = self._branch(f"2{'abc'[place]}", maps)
            if place < self.branches - 1:
                maps = maps.relu()
        return (maps + kept).relu()


class _ResNet(nn.Module):
    """As deep and wide as the file's, which names its layers ``res2a_branch2a`` and so on."""

    def __init__(self, contents: Contents) -> None:
        super().__init__()
        side, _, inputs, width = contents.tensors["conv1/kernel"].shape
        self.same = _Same(side, 2)
        self.conv1 = nn.Conv2d(inputs, width, side, 2)
        self.bn_conv1 = nn.BatchNorm2d(width, eps=_EPSILON)
        self.blocks = nn.ModuleDict()
        self.depth = 0
        for stage in (2, 3, 4, 5):
            for block in range(contents.count(f"res{stage}{{}}_branch2a/")):
                stride = 2 if stage > 2 and block == 0 else 1
                self.blocks[f"{stage}{block}"] = _Block(contents, f"{stage}{block}", stride)
                self.depth += 1

    def forward(self, images: Tensor) -> Tensor:
        """Features [B, F]."""
        maps = self.bn_conv1(self.conv1(self.same(images))).relu()
        maps = functional.max_pool2d(maps, 3, 2)
        for block in self.blocks.values():
            maps = block(maps)
        return functional.avg_pool2d(maps, 7).mean((2, 3))


class _VGG(nn.Module):
    """Five groups of convolutions, and two hidden layers on their maps."""

    def __init__(self, contents: Contents) -> None:
        super().__init__()
        self.convolutions = nn.ModuleDict()
        for group in range(1, 6):
            for place in (1, 2, 3):
                name = f"block{group}_conv{place}"
                if f"{name}/kernel" in contents.tensors:
                    side, _, inputs, width = contents.tensors[f"{name}/kernel"].shape
                    self.convolutions[name] = nn.Conv2d(inputs, width, side, padding=side // 2)
        dense = [contents.tensors[f"{name}/kernel"].shape for name in _dense(contents)[:-1]]
        self.hidden = nn.ModuleList(nn.Linear(inputs, width) for inputs, width in dense)

    def forward(self, images: Tensor) -> Tensor:
        """Features [B, F]."""
        maps, group = images, "1"
        for name, convolution in self.convolutions.items():
            if name[5] != group:
                maps, group = functional.max_pool2d(maps, 2), name[5]
            maps = convolution(maps).relu()
        # Keras flattens rows, columns, channels.
        features = functional.max_pool2d(maps, 2).permute(0, 2, 3, 1).flatten(1)
        for layer in self.hidden:
            features = layer(features).relu()
        return features


def _dense(contents: Contents) -> list[str]:
    """The names of the dense layers in their order: ``dense``, ``dense_1``, ``dense_2``."""
    names = {key.partition("/")[0] for key in contents.tensors if key.startswith("dense")}
    return sorted(names, key=lambda name: int(name.partition("_")[2] or 0))


def _recognises(contents: Contents) -> bool:
    return any(key.startswith("logits/") for key in contents.tensors)


def _fill(contents: Contents, choices: Choices) -> Filled:
    biases = [key for key in contents.tensors if key.startswith("logits/")]
    dense = _dense(contents)
    if len(biases) != 1 or not dense:
        raise CardError(f"{contents.path}: no layer of biases (logits) behind a dense one in it")
    tasks = contents.shape(biases[0])[-1]
    scale = age_scale(contents, tasks + 1, choices.ages, {tasks + 1: f"16-{16 + tasks}"})
    is_vgg = "block1_conv1/kernel" in contents.tensors
    if not is_vgg and "conv1/kernel" not in contents.tensors:
        raise CardError(f"{contents.path}: neither that system's ResNet nor its VGG")
    network = _VGG(contents) if is_vgg else _ResNet(contents)
    score = dense[-1]
    head = CORALHead(contents.shape(f"{score}/kernel")[0], tasks, descending=False)
    method = CORAL(str(scale), threshold=choices.threshold or _THRESHOLD)
    model = ImportedNetwork(nn.Sequential(network, head), method, nn.Identity(), slice(None))
    moves = _moves(contents, biases[0], dense)
    keys = fill(model, contents, moves, "the CORAL system's network")
    name = f"resnet of {network.depth} blocks" if isinstance(network, _ResNet) else "vgg"
    return Filled(
        network=model,
        keys=keys,
        backbone=f"{name} (Keras)",
        method=CORAL.name,
        size=choices.size or _input_size(contents),
    )


def _input_size(contents: Contents) -> int:
    """Of the model's description, where it was saved whole."""
    layers = contents.facts["model_config"].get("config", {}).get("layers", [])
    for layer in layers[:1]:
        shape = layer.get("config", {}).get("batch_input_shape") or []
        if len(shape) == 4 and isinstance(shape[1], int):
            return shape[1]
    return _SIZE


def _moves(contents: Contents, biases: str, dense: list[str]) -> Iterator[Move]:
    score = dense[-1]
    for key, tensor in contents.tensors.items():
        layer, _, weight = key.rpartition("/")
        if key == biases:
            # The score's own bias is one number more for every task.
            own = contents.tensors.get(f"{score}/bias", torch.zeros(1))
            yield Move(key, "network.1.bias", tensor.flatten() + own)
        elif key == f"{score}/bias":
            yield Move(key, "", tensor)
        elif key == f"{score}/kernel":
            yield Move(key, "network.1.score.weight", tensor.T)
        else:
            yield Move(key, _named(layer, weight, dense), _transposed(tensor, weight))


def _named(layer: str, weight: str, dense: list[str]) -> str:
    ours = _NAMES.get(weight, weight)
    if layer in dense:
        return f"network.0.hidden.{dense.index(layer)}.{ours}"
    if layer.startswith("block"):
        return f"network.0.convolutions.{layer}.{ours}"
    if found := re.fullmatch(r"(res|bn)(\d\d+)_branch(\w+)", layer):
        kind, block, branch = found.groups()
        return f"network.0.blocks.{block}.{kind}{branch}.{ours}"
    return f"network.0.{layer}.{ours}"


def _transposed(tensor: Tensor, weight: str) -> Tensor:
    """Keras has rows, columns, inputs, outputs; torch outputs first."""
    if weight != "kernel":
        return tensor
    return tensor.permute(3, 2, 0, 1) if tensor.ndim == 4 else tensor.T


LAYOUT: Final = Layout(
    name="coral-tf",
    owner="the CORAL system in TensorFlow (VGG_CORAL, ResNet_CORAL)",
    paper=CORAL.paper,
    chips=ChipChoice(
        size=_SIZE,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        template="dlib-64",
        margin=0.0714,  # dlib's padding of 0.25, where the template's is 0.2
        source="demo.py and predict_config.json: 197 pixels, RGB, values 0 to 1, threshold 0.4; "
        "README: faces aligned by dlib, whose default padding is a quarter.",
    ),
    recognises=_recognises,
    fill=_fill,
    takes=("ages", "size", "threshold"),
)
