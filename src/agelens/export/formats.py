"""What weights can be exported as, and the one function that makes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Literal, TypeAlias, get_args

from agelens.errors import UsageError
from agelens.export.answering import AnsweringNetwork
from agelens.export.int8 import to_int8
from agelens.export.onnx_file import to_onnx, with_half_weights
from agelens.export.torchscript_file import to_torchscript
from agelens.inference.runtimes import Pixels

Format: TypeAlias = Literal["onnx", "torchscript"]
Precision: TypeAlias = Literal["single", "half", "int8"]

FORMATS: Final[tuple[str, ...]] = get_args(Format)
PRECISIONS: Final[tuple[str, ...]] = get_args(Precision)
WEIGHTS_FILE: Final[dict[str, str]] = {"onnx": "model.onnx", "torchscript": "model.ts.pt"}

_Write: TypeAlias = Callable[[AnsweringNetwork, Iterable[Pixels]], bytes]
_WRITERS: Final[dict[tuple[str, str], _Write]] = {
    ("onnx", "single"): lambda network, _: to_onnx(network).SerializeToString(),
    ("onnx", "half"): lambda network, _: with_half_weights(to_onnx(network)).SerializeToString(),
    ("onnx", "int8"): lambda network, seen: to_int8(to_onnx(network), seen).SerializeToString(),
    ("torchscript", "single"): lambda network, _: to_torchscript(network),
    ("torchscript", "half"): lambda network, _: to_torchscript(network, half=True),
}


def weights_of(
    network: AnsweringNetwork,
    calibration: Iterable[Pixels],
    *,
    format: Format,
    precision: Precision,
) -> bytes:
    """The content of a weights file; `calibration` is read for ``int8`` only.

    Raises:
        UsageError: see `check_choice`.
    """
    check_choice(format, precision)
    return _WRITERS[format, precision](network, calibration)


def check_choice(format: str, precision: str) -> None:
    """Make sure that there are such weights.

    Raises:
        UsageError: an unknown format or precision, or two that do not go together.
    """
    if format not in FORMATS:
        raise UsageError(f"an export's format is {' or '.join(FORMATS)}, got {format!r}")
    if precision not in PRECISIONS:
        raise UsageError(f"an export's precision is {', '.join(PRECISIONS)}, got {precision!r}")
    if (format, precision) not in _WRITERS:
        raise UsageError(
            "TorchScript is not exported in int8: torch is withdrawing its quantised tensors "
            "(torch.ao.quantization), and such files would stop working. Use --format onnx "
            "--int8, or --format torchscript --half"
        )
