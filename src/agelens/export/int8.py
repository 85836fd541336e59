"""The network with 8-bit weights and activations, for processors: a quarter of the size.

Quantised ahead of time (static), since convolutions only gain when the ranges of their
activations are known, and quantising on the fly needs no chips but slows them down. Ranges are
the least and greatest values that calibration chips cause. Weights have a scale for each output
channel and use 7 of their 8 bits: processors without VNNI add pairs of products in 16 bits,
and would answer otherwise than the one on which the parity was measured.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from agelens.export.answering import FITTING
from agelens.inference.runtimes import Pixels

# Sums, norms and the head's probabilities stay in floating point: they are cheap and count.
_QUANTISED: Final = ("Conv", "Gemm", "MatMul")


def to_int8(model: onnx.ModelProto, calibration: Iterable[Pixels]) -> onnx.ModelProto:
    """`model` quantised.

    Args:
        model: of `agelens.export.onnx_file.to_onnx`, in single precision.
        calibration: batches of normalised chips [N, 3, S, S], of the training part.
    """
    with tempfile.TemporaryDirectory(prefix="agelens-int8-") as folder:
        plain, prepared, quantised = (
            Path(folder) / f"{n}.onnx" for n in ("plain", "ready", "int8")
        )
        plain.write_bytes(model.SerializeToString())
        quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(quantised),
            _Calibration(model.graph.input[0].name, calibration),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(_QUANTISED),
            nodes_to_exclude=_resizing(prepared),
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
        return onnx.load(str(quantised))


def _resizing(path: Path) -> list[str]:
    """The nodes that resize chips, with weights of 15 bits."""
    graph = onnx.load(str(path)).graph
    return [node.name for node in graph.node if any(n.startswith(FITTING) for n in node.input)]


class _Calibration(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime is untyped
    def __init__(self, name: str, batches: Iterable[Pixels]) -> None:
        self._name = name
        self._batches: Iterator[Pixels] = iter(batches)

    def get_next(self) -> dict[str, Any] | None:
        """The next batch by name of the input, or None at the end."""
        batch = next(self._batches, None)
        return None if batch is None else {self._name: batch}
