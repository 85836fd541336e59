"""Weights of a TensorFlow.js graph: a JSON file that lists them, and the bytes beside it."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from agelens.errors import CardError
from agelens.foreign_files import decoding, json_object

SUFFIX: Final = ".json"
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
