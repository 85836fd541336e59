"""What a trained file holds: named tensors and plain facts, read without running its code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import torch
from torch import Tensor

from agelens.errors import CardError, MissingDependencyError
from agelens.foreign_files import content_of, decoding, parse_json
from agelens.inference.cards import LARGEST_WEIGHTS
from agelens.models.backbones.weights import (
    STATE_KEYS,
    check_amount,
    check_finite,
    read_content,
)
from agelens.sessions import read_onnx

_TORCH: Final = (".pt", ".pth", ".tar", ".ckpt", ".bin", ".safetensors")
_KERAS: Final = (".h5", ".hdf5")
_ONNX: Final = ".onnx"
_BESIDE: Final = ("config.json", "preprocessor_config.json")
_IN_FOLDERS: Final = ("model.safetensors", "pytorch_model.bin")
# What data parallelism and compilation put before every name.
_WRAPPERS: Final = ("module.", "_orig_mod.")


@dataclass(frozen=True, slots=True, eq=False)
class Contents:
    """One file.

    Args:
        path: of it.
        tensors: by name, in single precision, without the prefixes of data parallelism.
        facts: plain values that lie in it, or in JSON files beside it, by name.
        graph: of an ONNX file.
    """

    path: Path
    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any] = field(default_factory=dict)
    graph: onnx.ModelProto | None = None

    def holds(self, *names: str) -> bool:
        """Whether all of `names` are tensors of it."""
        return all(name in self.tensors for name in names)

    def shape(self, name: str) -> tuple[int, ...]:
        """Of one tensor; empty where it is not there."""
        return tuple(self.tensors[name].shape) if name in self.tensors else ()

    def count(self, pattern: str) -> int:
        """How many numbers from 0 on may stand for the ``{}`` of a name's beginning."""
        number = 0
        while any(name.startswith(pattern.format(number)) for name in self.tensors):
            number += 1
        return number


def read_contents(path: Path) -> Contents:
    """The contents of the file at `path`, or of the one in a folder of Hugging Face's.

    Raises:
        CardError: no such file, an unknown kind, a damaged one, or one that would run code.
        MissingDependencyError: a Keras file, and h5py is not installed.
    """
    if path.is_dir():
        found = [path / name for name in _IN_FOLDERS if (path / name).is_file()]
        if not found:
            raise CardError(f"{path}: a folder without {' or '.join(_IN_FOLDERS)}; name a file")
        path = found[0]
    if not path.exists():
        raise CardError(f"{path}: no such file; check the name and the folder you are in")
    suffix = path.suffix.lower()
    if suffix == _ONNX:
        return Contents(path, {}, graph=_read_onnx(path))
    if suffix in _KERAS:
        tensors, facts = _read_keras(path)
    elif suffix in _TORCH:
        with decoding(path, "a trained file", CardError):
            tensors, facts = _torch_parts(read_content(path), path)
        facts |= _facts_beside(path)
    else:
        kinds = ", ".join((*_TORCH, *_KERAS, _ONNX))
        raise CardError(f"{path}: trained files are {kinds}, not {suffix!r}")
    if not tensors:
        raise CardError(
            f"{path}: no named tensors in it, nor under {', '.join(STATE_KEYS)}; save the weights "
            "with torch.save(model.state_dict(), path)"
        )
    check_finite(tensors, path)
    return Contents(path, _unwrapped(tensors), facts)


def _torch_parts(content: Any, path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors, and what lies beside them and is no tensor."""
    if not isinstance(content, Mapping):
        return {}, {}
    named = {key: value for key, value in content.items() if isinstance(key, str)}
    facts = {key: value for key, value in named.items() if not isinstance(value, Tensor)}
    for wrapper in STATE_KEYS:
        if isinstance(named.get(wrapper), Mapping):
            tensors, inner = _torch_parts(named[wrapper], path)
            return tensors, facts | inner
    check_amount((one for one in named.values() if isinstance(one, Tensor)), path)
    floats = {
        key: value.float() if value.is_floating_point() else value
        for key, value in named.items()
        if isinstance(value, Tensor)
    }
    return floats, facts


def _unwrapped(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    names = dict(tensors)
    while prefix := next((w for w in _WRAPPERS if all(n.startswith(w) for n in names)), ""):
        names = {name.removeprefix(prefix): value for name, value in names.items()}
    return names


def _facts_beside(path: Path) -> dict[str, Any]:
    facts = {}
    for beside in (path.with_name(name) for name in _BESIDE):
        if beside.is_file():
            with decoding(beside, "JSON", CardError):
                facts[beside.name] = parse_json(content_of(beside))
    return facts


def _read_onnx(path: Path) -> onnx.ModelProto:
    with decoding(path, "an ONNX network", CardError):
        model = read_onnx(content_of(path, LARGEST_WEIGHTS), name=path)
        if not model.graph.node:
            raise ValueError("there is no network in it")
        return model


def _read_keras(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights as ``layer/weight``, and the model's own description where it was saved whole."""
    try:
        import h5py  # noqa: PLC0415 - of the extra that only Keras files need
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"{path} is a Keras file, which h5py reads: pip install 'agelens[import]'"
        ) from error
    tensors: dict[str, Tensor] = {}
    with decoding(path, "a Keras file of HDF5", CardError), h5py.File(path, "r") as file:
        described = file.attrs.get("model_config", b"{}")
        inside = "model_weights/" if "model_weights" in file else ""

        def take(name: str, found: Any) -> None:
            layer, _, rest = name.removeprefix(inside).partition("/")
            if not (name.startswith(inside) and rest and isinstance(found, h5py.Dataset)):
                return
            if found.external or found.is_virtual:
                raise ValueError(f"{name} is kept in another file, which agelens does not follow")
            if layer != "optimizer_weights":
                if 4 * found.size > LARGEST_WEIGHTS:
                    raise ValueError(f"{name} has {found.size:,} numbers")
                weight = rest.rpartition("/")[2].partition(":")[0]
                numbers = np.asarray(found, dtype=np.float32)
                tensors[f"{layer}/{weight}"] = torch.from_numpy(numbers)

        file.visititems(take)  # which follows no links
        return tensors, {"model_config": parse_json(described)}
