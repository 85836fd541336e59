"""Tensors of a weights file, read without running anything that the file holds."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Final

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from agelens.errors import CardError

SUFFIXES: Final = (".safetensors", ".pt", ".pth", ".ckpt")
_WRAPPERS: Final = ("state_dict", "model_state_dict", "model", "backbone")
# What torch's restricted unpickler and its zip reader raise on files that are damaged.
_DAMAGED: Final = (
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    struct.error,
)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The named tensors in `path`, on the CPU.

    A pickle (``.pt``, ``.pth``, ``.ckpt``) is read by torch's restricted reader, which builds
    tensors and plain containers and calls nothing else. A dictionary under ``state_dict``,
    ``model_state_dict``, ``model`` or ``backbone`` is taken out of what surrounds it.

    Raises:
        CardError: no such file, an unknown suffix, a damaged file, a pickle that holds more than
            tensors, no tensors in it, or numbers that are not finite.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise CardError(
            f"{path}: weights are read from {', '.join(SUFFIXES)}, not {path.suffix!r} files"
        )
    try:
        content = _read(path)
    except OSError as error:
        raise CardError(f"{path}: cannot be read: {error.strerror or error}") from error
    tensors = _named_tensors(content)
    if not tensors:
        raise CardError(
            f"{path}: no named tensors in it, nor under {', '.join(_WRAPPERS)}; save the weights "
            "with torch.save(model.state_dict(), path) or as safetensors"
        )
    _check_finite(tensors, path)
    return tensors


def _read(path: Path) -> Any:
    if path.suffix.lower() == ".safetensors":
        try:
            return safetensors.torch.load_file(path)
        except SafetensorError as error:
            raise CardError(f"{path}: not a readable safetensors file: {error}") from error
    try:
        with warnings.catch_warnings():
            # Of another pickle protocol than torch writes: it is read, or refused below.
            warnings.filterwarnings("ignore", message="Detected pickle protocol")
            return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise CardError(
            f"{path}: refused. It is damaged, or a pickle that holds more than tensors and would "
            f"run code when it is loaded ({_gist(error)}). Where its origin is beyond doubt, save "
            "its state_dict alone, or as safetensors."
        ) from error
    except _DAMAGED as error:
        raise CardError(f"{path}: damaged, or not written by torch.save: {_gist(error)}") from error


def _named_tensors(content: Any) -> dict[str, Tensor]:
    if not isinstance(content, Mapping):
        return {}
    for wrapper in _WRAPPERS:
        if isinstance(content.get(wrapper), Mapping):
            return _named_tensors(content[wrapper])
    return {
        name: value
        for name, value in content.items()
        if isinstance(name, str) and isinstance(value, Tensor)
    }


def _check_finite(tensors: Mapping[str, Tensor], path: Path) -> None:
    broken = [name for name, value in tensors.items() if not bool(torch.isfinite(value).all())]
    if broken:
        more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""
        raise CardError(
            f"{path}: numbers that are not finite in {', '.join(broken[:3])}{more}: the training "
            "that wrote it had diverged"
        )


def _gist(error: Exception) -> str:
    """The sentence of torch's long message that says what was wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line.partition("error: ")[2] or line for line in lines if "nsupported" in line]
    return (named or lines or [type(error).__name__])[0].partition(". ")[0].rstrip(".")
