"""An ONNX network, built node by node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import helper, numpy_helper

_OPSET: Final = 17
_IR_VERSION: Final = 8
_FLOAT: Final = onnx.TensorProto.FLOAT


class OnnxGraph:
    """Nodes and constants of a network under construction; values are named by their number."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Append a node; returns the name of its output."""
        output = output or f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def constant(self, values: ArrayLike) -> str:
        """Keep an array; returns its name."""
        name = f"w{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(values, order="C"), name))
        return name

    def model(
        self,
        name: str,
        takes: tuple[str, Sequence[object]],
        gives: tuple[str, Sequence[object]],
    ) -> onnx.ModelProto:
        """The network, from one float32 input to one output, each a name and a shape."""
        ends = [
            helper.make_tensor_value_info(value, _FLOAT, shape) for value, shape in (takes, gives)
        ]
        return helper.make_model(
            helper.make_graph(self.nodes, name, ends[:1], ends[1:], self.constants),
            ir_version=_IR_VERSION,
            opset_imports=[helper.make_opsetid("", _OPSET)],
        )
