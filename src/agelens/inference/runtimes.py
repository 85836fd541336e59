"""What runs a card's network: one runtime for each kind of weights file.

The registry holds import paths, so that nothing below loads torch until a card names
TorchScript weights.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agelens.errors import CardError, MissingDependencyError

Pixels: TypeAlias = NDArray[np.float32]
"""Normalised chips [N, 3, S, S] in the card's colour order."""


class Runtime(Protocol):
    """An open network; safe to share between threads."""

    def __call__(self, pixels: Pixels) -> NDArray[np.floating[Any]]:
        """Answers [N, width] for N chips."""


RUNTIMES: Final[dict[str, str]] = {
    ".onnx": "agelens.inference.runtimes:OnnxRuntime",
    ".ts.pt": "agelens.export.torchscript:TorchScriptRuntime",
    ".torchscript": "agelens.export.torchscript:TorchScriptRuntime",
}


def runtime_suffix(weights: Path) -> str | None:
    """The key in `RUNTIMES` that the name of `weights` ends with, or None."""
    return next((suffix for suffix in RUNTIMES if weights.name.lower().endswith(suffix)), None)


def open_runtime(
    suffix: str, content: bytes, *, name: str, size: int, width: int, device: str = "cpu"
) -> Runtime:
    """Open a network.

    Args:
        suffix: a key of `RUNTIMES`.
        content: the bytes of the weights file.
        name: what errors call the network.
        size: S of the chips that it must take.
        width: of the answers that it must give.
        device: ``cpu`` or ``cuda``.

    Raises:
        CardError: `content` is no such network, or one with another input or output.
        UsageError: a device that this machine lacks.
        MissingDependencyError: the runtime's package is not installed.
    """
    module, _, attribute = RUNTIMES[suffix].partition(":")
    try:
        runtime: Callable[..., Runtime] = getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] != "torch":
            raise
        raise MissingDependencyError(
            f"{name} has TorchScript weights, which torch runs: pip install 'agelens[train]'"
        ) from error
    return runtime(content, name=name, size=size, width=width, device=device)


class OnnxRuntime:
    """See `agelens.inference.runtimes.Runtime` and `open_runtime`."""

    def __init__(
        self, content: bytes, *, name: str, size: int, width: int, device: str = "cpu"
    ) -> None:
        self._name = name
        from agelens.sessions import open_session  # noqa: PLC0415 - a card is read without it

        self._session = open_session(content, name=name, device=device)
        self._input, self._output = self._check_signature(size, width)

    def __call__(self, pixels: Pixels) -> NDArray[np.floating[Any]]:
        """Answers [N, width]."""
        try:
            return np.asarray(self._session.run([self._output], {self._input: pixels})[0])
        except Exception as error:  # onnxruntime raises its own classes, straight under Exception
            raise CardError(
                f"{self._name}: fails on {len(pixels)} chips, so the network in its file is "
                f"damaged ({error})"
            ) from error

    def _check_signature(self, size: int, width: int) -> tuple[str, str]:
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        fits = (
            len(inputs) == len(outputs) == 1
            and inputs[0].type == "tensor(float)"
            and not isinstance(inputs[0].shape[0], int)  # N is free
            and list(inputs[0].shape[1:]) == [3, size, size]
            and list(outputs[0].shape[1:]) == [width]
        )
        if not fits:
            expected = f"one float input [N, 3, {size}, {size}] and one output [N, {width}]"
            got = ", ".join(f"{port.name} {port.type} {port.shape}" for port in (*inputs, *outputs))
            raise CardError(f"{self._name}: the card states {expected}; the file has {got}")
        return inputs[0].name, outputs[0].name
