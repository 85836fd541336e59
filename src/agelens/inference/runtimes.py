"""What runs a network's weights: onnxruntime, and nothing that could do more than reckon.

A TorchScript file is a program: what it may call cannot be told from its text. agelens writes
such files for programs that read them, and runs none.
"""

from __future__ import annotations

from typing import Any, Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agelens.errors import CardError
from agelens.foreign_files import reason

Pixels: TypeAlias = NDArray[np.float32]
"""Normalised chips [N, 3, S, S] in the card's colour order."""

ONNX: Final = ".onnx"
TORCHSCRIPT: Final = ".ts.pt"


class Runtime(Protocol):
    """An open network; safe to share between threads."""

    def __call__(self, pixels: Pixels) -> NDArray[np.floating[Any]]:
        """Answers [N, width] for N chips."""


class OnnxRuntime:
    """An ONNX network; see `Runtime`.

    Args:
        content: the bytes of the weights file.
        name: what errors call the network.
        size: S of the chips that it must take.
        width: of the answers that it must give.
        device: ``cpu`` or ``cuda``.

    Raises:
        CardError: `content` is no such network, or one with another input or output.
        UsageError: a device that this machine lacks.
    """

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
                f"damaged ({reason(error)})"
            ) from error

    def _check_signature(self, size: int, width: int) -> tuple[str, str]:
        try:
            inputs, outputs = (
                [(port.name, port.type, list(port.shape)) for port in ports()]
                for ports in (self._session.get_inputs, self._session.get_outputs)
            )
        except UnicodeDecodeError as error:
            raise CardError(
                f"{self._name}: the names of its inputs and outputs are no text, so the network "
                "in its file is damaged"
            ) from error
        fits = (
            len(inputs) == len(outputs) == 1
            and inputs[0][1] == "tensor(float)"
            and inputs[0][2][1:] == [3, size, size]
            and not isinstance(inputs[0][2][0], int)  # N is free
            and outputs[0][2][1:] == [width]
        )
        if not fits:
            expected = f"one float input [N, 3, {size}, {size}] and one output [N, {width}]"
            got = ", ".join(f"{name} {kind} {shape}" for name, kind, shape in inputs + outputs)
            raise CardError(f"{self._name}: the card states {expected}; the file has {got}")
        return inputs[0][0], outputs[0][0]
