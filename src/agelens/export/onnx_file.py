"""The network as ONNX, by torch's exporter that goes through `torch.export`.

Its graphs have a free batch axis, batch norms folded into the convolutions before them, and
fewer nodes than those of the older, tracing exporter, which torch gives up.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from agelens.errors import ExportError
from agelens.export.answering import FITTING, AnsweringNetwork
from agelens.sessions import flush_subnormals


def to_onnx(network: AnsweringNetwork) -> onnx.ModelProto:
    """`network` with one input, ``chips`` [N, 3, S, S], and one output, ``answer`` [N, width].

    Raises:
        ExportError: torch's exporter cannot write it.
    """
    try:
        program = torch.onnx.export(
            network,
            (network.example(),),
            input_names=["chips"],
            output_names=["answer"],
            dynamic_shapes=({0: "N"},),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    except torch.onnx.OnnxExporterError as error:
        reason = str(error.__cause__ or error).strip().partition("\n")[0]
        raise ExportError(f"torch cannot write this network as ONNX: {reason}") from error
    model: onnx.ModelProto = cast(Any, program).model_proto
    _forget_origins(model)
    flush_subnormals(model)
    return model


def with_half_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` with its matrices and filters in half precision; all else stays as it is.

    The runtime widens them once, when it opens the file, and reckons in single precision: a
    processor without half arithmetic would be slower with it, and an age less certain.
    Vectors (biases, norms) are few and stay single.
    """
    half = onnx.ModelProto()
    half.CopyFrom(model)
    casts = []
    for tensor in half.graph.initializer:
        matrix = tensor.data_type == TensorProto.FLOAT and len(tensor.dims) >= 2
        if not matrix or tensor.name.startswith(FITTING):
            continue
        stored = f"{tensor.name}.half"
        casts.append(helper.make_node("Cast", [stored], [tensor.name], to=TensorProto.FLOAT))
        with np.errstate(over="ignore"):  # a weight beyond half's range fails the parity check
            narrow = numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(narrow, stored))
    nodes = list(half.graph.node)
    del half.graph.node[:]
    half.graph.node.extend([*casts, *nodes])
    return half


def _forget_origins(model: onnx.ModelProto) -> None:
    """Drop what the exporter notes for debugging: it doubles small files, and holds paths."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info):
        del part.metadata_props[:]
        part.doc_string = ""
    for tensor in graph.initializer:
        del tensor.metadata_props[:]
        tensor.doc_string = ""
    graph.name = "agelens"
