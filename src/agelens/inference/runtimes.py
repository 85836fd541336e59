"""What runs a network's weights: onnxruntime, and nothing that could do more than reckon.

A TorchScript file is a program: what it may call cannot be told from its text. agelens writes
such files for programs that read them, and runs none.
"""

from __future__ import annotations

from collections.abc import Mapping
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
        outputs: of a network with several, their widths by name, in the order that answers have
            them side by side; by default it has one, of any name.
        device: ``cpu`` or ``cuda``.

    Raises:
        CardError: `content` is no such network, or one with another input or output.
        UsageError: a device that this machine lacks.
    """

    def __init__(
        self,
        content: bytes,
        *,
        name: str,
        size: int,
        width: int,
        outputs: Mapping[str, int] | None = None,
        device: str = "cpu",
    ) -> None:
        self._name = name
        from agelens.sessions import open_session  # noqa: PLC0415 - a card is read without it

        self._session = open_session(content, name=name, device=device)
        self._input, self._outputs = self._check_signature(size, width, outputs or {})

    def __call__(self, pixels: Pixels) -> NDArray[np.floating[Any]]:
        """Answers [N, width]."""
        try:
            answers = self._session.run(self._outputs, {self._input: pixels})
            return np.concatenate(answers, axis=1) if len(answers) > 1 else np.asarray(answers[0])
        except Exception as error:  # onnxruntime raises its own classes, straight under Exception
            raise CardError(
                f"{self._name}: fails on {len(pixels)} chips, so the network in its file is "
                f"damaged ({reason(error)})"
            ) from error

    def _check_signature(
        self, size: int, width: int, named: Mapping[str, int]
    ) -> tuple[str, list[str]]:
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
        widths = {port: shape[1:] for port, _, shape in outputs}
        stated = named or dict.fromkeys(list(widths)[:1], width)
        fits = (
            len(inputs) == 1
            and inputs[0][1] == "tensor(float)"
            and inputs[0][2][1:] == [3, size, size]
            and not isinstance(inputs[0][2][0], int)  # N is free
            and widths == {port: [numbers] for port, numbers in stated.items()}
        )
        if not fits:
            answers = [f"{port} [N, {numbers}]" for port, numbers in named.items()]
            said = f"outputs {', '.join(answers)}" if answers else f"one output [N, {width}]"
            expected = f"one float input [N, 3, {size}, {size}] and {said}"
            got = ", ".join(f"{name} {kind} {shape}" for name, kind, shape in inputs + outputs)
            raise CardError(f"{self._name}: the card states {expected}; the file has {got}")
        return inputs[0][0], list(stated)
