"""dlib's face recognition network as ONNX: ResNet-29, 150-pixel chips, 128 numbers.

dlib-bin runs it without BLAS, at about half a second a face; onnxruntime takes a hundredth of
that and gives the same numbers to 1e-5, which the tests hold it to. The network is the one
that dlib's example `dnn_face_recognition_ex.cpp` defines.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from agelens.errors import CardError
from agelens.recognition.extractors.dlib_weights import Weights, layer_weights

CHIP_SIZE: Final = 150
DIMENSION: Final = 128

# Channels of the stages from the input on, blocks in each, and whether its first block halves
# the picture.
_STAGES: Final = ((32, 3, False), (64, 4, True), (128, 3, True), (256, 3, True), (256, 1, True))
_LAYERS: Final = 59
_OPSET: Final = 17
_IR_VERSION: Final = 8
_FLOAT: Final = onnx.TensorProto.FLOAT


def resnet29_onnx(content: bytes) -> bytes:
    """The ONNX network of `dlib_face_recognition_resnet_model_v1.dat`.

    It takes normalised chips [N, 3, 150, 150] and answers with vectors [N, 128], which are not
    of length 1.

    Args:
        content: of that file, once its hash is known.

    Raises:
        CardError: the file holds other layers.
    """
    layers = layer_weights(content)
    if len(layers) != _LAYERS:
        raise CardError(f"dlib's face network has {_LAYERS} layers of weights, got {len(layers)}")
    graph = _Graph(iter(layers))
    output = _whole(graph)
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "dlib-resnet29",
            [helper.make_tensor_value_info("chip", _FLOAT, ["N", 3, CHIP_SIZE, CHIP_SIZE])],
            [helper.make_tensor_value_info(output, _FLOAT, ["N", DIMENSION])],
            graph.weights,
        ),
        ir_version=_IR_VERSION,
        opset_imports=[helper.make_opsetid("", _OPSET)],
    )
    written: bytes = model.SerializeToString()
    return written


class _Graph:
    """Nodes and weights of a network under construction; values are named by their number."""

    def __init__(self, layers: Iterator[tuple[str, Weights]]) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self._layers = layers

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Append a node; returns the name of its output."""
        output = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def constant(self, values: NDArray[Any]) -> str:
        """Keep an array; returns its name."""
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def next_weights(self, kind: str) -> Weights:
        """The weights of the file's next layer, which must be a `kind`."""
        name, weights = next(self._layers)
        if name != kind:
            raise CardError(f"dlib's face network: expected a layer {kind}, the file has {name}")
        return weights

    def convolution(self, value: str, inputs: int, filters: int, side: int, stride: int) -> str:
        """A convolution with the affine layer behind it folded in.

        dlib pads a convolution only where its stride is 1.
        """
        flat, affine = self.next_weights("con_4"), self.next_weights("affine_")
        scale, offset = affine.reshape(2, filters)
        kernel = flat[:-filters].reshape(filters, inputs, side, side) * scale[:, None, None, None]
        bias = flat[-filters:] * scale + offset
        return self.add(
            "Conv",
            value,
            self.constant(kernel),
            self.constant(bias),
            strides=[stride, stride],
            pads=[side // 2 if stride == 1 else 0] * 4,
        )


def _whole(graph: _Graph) -> str:
    value = graph.add("Relu", graph.convolution("chip", 3, 32, 7, 2))
    value = graph.add("MaxPool", value, kernel_shape=[3, 3], strides=[2, 2])
    channels = 32
    for filters, blocks, halves in _STAGES:
        for block in range(blocks):
            value = _residual(graph, value, channels, filters, halves=halves and block == 0)
            channels = filters
    value = graph.add("Flatten", graph.add("GlobalAveragePool", value))
    weights = graph.next_weights("fc_2").reshape(channels, DIMENSION)
    return graph.add("MatMul", value, graph.constant(weights))


def _residual(graph: _Graph, value: str, channels: int, filters: int, *, halves: bool) -> str:
    """Two convolutions beside a shortcut, which is averaged down where the block halves."""
    path = graph.add("Relu", graph.convolution(value, channels, filters, 3, 2 if halves else 1))
    path = graph.convolution(path, filters, filters, 3, 1)
    if halves:
        value = graph.add("AveragePool", value, kernel_shape=[2, 2], strides=[2, 2])
        value, path = _padded_alike(graph, value, path, channels, filters)
    return graph.add("Relu", graph.add("Add", path, value))


def _padded_alike(
    graph: _Graph, shortcut: str, path: str, channels: int, filters: int
) -> tuple[str, str]:
    """Both with zeros where one is smaller: dlib adds maps of different shapes that way.

    Only channels of the shortcut are ever missing, and only lines and columns of the path,
    which comes out one smaller where the shortcut's side is even.
    """
    if filters > channels:
        extra = np.array([0, 0, 0, 0, 0, filters - channels, 0, 0], dtype=np.int64)
        shortcut = graph.add("Pad", shortcut, graph.constant(extra))
    if filters == 256:  # 8 pixels become 3 on the path and 4 beside it, then 4 become 1 and 2
        edge = np.array([0, 0, 0, 0, 0, 0, 1, 1], dtype=np.int64)
        path = graph.add("Pad", path, graph.constant(edge))
    return shortcut, path
