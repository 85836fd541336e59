"""What weights can be exported as, and the one function that makes them."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, cast, get_args

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from agelens.errors import ExportError, UsageError
from agelens.export.export_network import CHIPS, FITTING, ExportNetwork
from agelens.export.torchscript import to_torchscript
from agelens.inference.runtimes import Pixels
from agelens.sessions import flush_subnormals, open_session

# Sums, norms and the head's probabilities stay in floating point: they are cheap and count.
_KEPT_SINGLE: Final = 0.1
_QUANTISED: Final = ("Conv", "Gemm", "MatMul")
# The first convolutions with so many of all weights: a rounding error there reaches every layer.
_FIRST: Final = 0.001
# A layer that answers from pooled features has fewer weights than this.
_FEW_WEIGHTS: Final = 2**20
# So many calibration chips tell how far a quantised layer's outputs lie from the layer's own.
_CORRECTED_BY: Final = 128
_BATCH: Final = 16


def to_int8(model: onnx.ModelProto, calibration: Iterable[Pixels]) -> onnx.ModelProto:
    """`model` quantised, where that saves time, and its layers' biases corrected for it.

    The first layers and heads stay in single precision: they have few of the multiplications and
    most of the error. Then, convolution by convolution from the
    first, what quantising moved a channel's mean output by is taken off its bias (Nagel et al.,
    "Data-Free Quantization through Weight Equalization and Bias Correction", ICCV 2019,
    section 4.2).

    Args:
        model: of `agelens.export.formats.to_onnx`, in single precision.
        calibration: batches of normalised chips [N, 3, S, S], of the training part.
    """
    # 250 modules, and most exports are not int8.
    from onnxruntime import quantization as onnx_int8  # noqa: PLC0415
    from onnxruntime.quantization.shape_inference import quant_pre_process  # noqa: PLC0415

    chips = _mixed(calibration)
    with tempfile.TemporaryDirectory(prefix="agelens-int8-") as folder:
        plain, prepared, quantised = (
            Path(folder) / f"{n}.onnx" for n in ("plain", "ready", "int8")
        )
        plain.write_bytes(model.SerializeToString())
        quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
        single = onnx.load(str(prepared))
        onnx_int8.quantize_static(
            str(prepared),
            str(quantised),
            _Calibration(model.graph.input[0].name, chips),
            quant_format=onnx_int8.QuantFormat.QDQ,
            op_types_to_quantize=list(_QUANTISED),
            nodes_to_exclude=_unquantised(single.graph),
            per_channel=True,
            # Processors before AVX-512 VNNI add two products in 16 bits, which overflow with 8.
            reduce_range=True,
            activation_type=onnx_int8.QuantType.QUInt8,
            weight_type=onnx_int8.QuantType.QInt8,
            calibrate_method=onnx_int8.CalibrationMethod.MinMax,
            # One chip's outlier does not set the range of all.
            extra_options={
                "CalibMovingAverage": True,
                "TensorQuantOverrides": _ranges_that_pass(single.graph),
            },
        )
        made = onnx.load(str(quantised))
    _correct_biases(made, single, chips[: _CORRECTED_BY // _BATCH])
    return made


def int8_layers(content: bytes) -> dict[str, int]:
    """How many layers of an ONNX file multiply in whole numbers, and ``of`` how many it has."""
    graph = onnx.load_model_from_string(content).graph
    weights = {tensor.name for tensor in graph.initializer}
    whole = {
        node.output[0]
        for node in graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in weights
    }
    fitting = {name for name in weights if name.startswith(FITTING)}
    layers = [
        node.input[1]
        for node in graph.node
        if node.op_type in _QUANTISED
        and node.input[1] in weights | whole
        and not fitting.intersection(node.input)
    ]
    return {"whole_numbers": sum(name in whole for name in layers), "of": len(layers)}


def _unquantised(graph: onnx.GraphProto) -> list[str]:
    """The nodes that stay in single precision; what resizes chips has weights of 15 bits."""
    sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    first = _FIRST * sum(sizes.get(node.input[1], 0) for node in convolutions)
    kept = [n.name for n in graph.node if any(name.startswith(FITTING) for name in n.input)]
    seen = 0
    for node in convolutions:
        seen += sizes.get(node.input[1], 0)
        if seen <= first or node is convolutions[0]:
            kept.append(node.name)
    heads = (node for node in graph.node if node.op_type == "Gemm")
    kept.extend(n.name for n in heads if 0 < sizes.get(n.input[1], 0) < _FEW_WEIGHTS)
    return kept


def _ranges_that_pass(graph: onnx.GraphProto) -> dict[str, list[dict[str, Any]]]:
    """The range of each convolution's output that the rectifier after it lets through.

    A convolution is quantised before its rectifier: without this, 256 steps would reach over all
    that it answers, and few of them be left for what is used.
    """
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    ranges = {}
    for node in graph.node:
        after = readers.get(node.output[0], [])
        if node.op_type != "Conv" or len(after) != 1:
            continue
        ends: dict[str, Any] = {}
        if after[0].op_type == "Relu":
            ends["rmin"] = np.float32(0)
        elif after[0].op_type == "Clip":  # which may have one end
            for end, name in zip(("rmin", "rmax"), after[0].input[1:], strict=False):
                if name in tensors:
                    ends[end] = numpy_helper.to_array(tensors[name])
        if ends:
            ranges[node.output[0]] = [ends]
    return ranges


def _mixed(batches: Iterable[Pixels]) -> list[Pixels]:
    """The same chips in batches that are alike: parts are often ordered by age."""
    chips = np.concatenate(list(batches))
    order = np.random.default_rng(0).permutation(len(chips))
    return [chips[order[start : start + _BATCH]] for start in range(0, len(chips), _BATCH)]


def _correct_biases(made: onnx.ModelProto, single: onnx.ModelProto, chips: list[Pixels]) -> None:
    """Make each convolution of `made` answer as that of `single` does on average.

    Heads are left: their biases, fitted to so few chips, would move rare ages.
    """
    tensors = {tensor.name: tensor for tensor in made.graph.initializer}
    scaled = {
        node.output[0]: (tensors[node.input[0]], tensors[node.input[1]])
        for node in made.graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in tensors
    }
    uses = Counter(name for node in made.graph.node for name in node.input)
    layers = [
        node
        for node in made.graph.node
        if node.op_type == "Conv"
        # A bias that other layers have too cannot be right for each.
        and any(uses[name] == 1 and (name in tensors or name in scaled) for name in node.input[2:])
    ]
    if not layers:
        return
    outputs = {node.name: node.output[0] for node in single.graph.node}
    wanted = _channel_means(single, [outputs[node.name] for node in layers], chips)
    for node, mean in zip(layers, wanted, strict=True):
        (found,) = _channel_means(made, [node.output[0]], chips)
        bias = node.input[2]
        if bias in tensors:
            _replace(tensors[bias], _values(tensors[bias]) + mean - found)
        else:
            whole, scale = scaled[bias]
            _replace(whole, np.rint(_values(whole) + (mean - found) / _values(scale)))


def _values(tensor: onnx.TensorProto) -> NDArray[np.float64]:
    return np.asarray(numpy_helper.to_array(tensor), dtype=np.float64)


def _replace(tensor: onnx.TensorProto, values: NDArray[np.float64]) -> None:
    kind = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    tensor.CopyFrom(numpy_helper.from_array(values.astype(kind), tensor.name))


def _channel_means(
    model: onnx.ModelProto, names: list[str], chips: list[Pixels]
) -> list[NDArray[np.float64]]:
    """The mean of each channel of the values `names`, of [N, C, H, W] each."""
    asked = onnx.ModelProto()
    asked.CopyFrom(model)
    del asked.graph.output[:]
    asked.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names
    )
    session = open_session(asked.SerializeToString(), name=model.graph.name)
    values = (session.run(names, {model.graph.input[0].name: batch}) for batch in chips)
    means = [[value.mean((0, 2, 3), dtype=np.float64) for value in batch] for batch in values]
    return [np.mean(of_one, axis=0) for of_one in zip(*means, strict=True)]


class _Calibration:
    """What onnxruntime calls a data reader."""

    def __init__(self, name: str, batches: Iterable[Pixels]) -> None:
        self._name = name
        self._batches: Iterator[Pixels] = iter(batches)

    def get_next(self) -> dict[str, Any] | None:
        """The next batch by name of the input, or None at the end."""
        batch = next(self._batches, None)
        return None if batch is None else {self._name: batch}


def to_onnx(network: ExportNetwork) -> onnx.ModelProto:
    """`network` with one input, ``chips`` [N, 3, S, S], and its `outputs` by their names.

    Raises:
        ExportError: torch's exporter cannot write it.
    """
    try:
        program = torch.onnx.export(
            network,
            (network.example(),),
            input_names=[CHIPS],
            output_names=[f"{name}{PLACEHOLDER}" for name in network.outputs],
            dynamic_shapes=({0: "N"},),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    except torch.onnx.OnnxExporterError as error:
        reason = str(error.__cause__ or error).strip().partition("\n")[0]
        raise ExportError(f"torch cannot write this network as ONNX: {reason}") from error
    model: onnx.ModelProto = cast(Any, program).model_proto
    name_outputs(model)
    _forget_origins(model)
    flush_subnormals(model)
    return model


PLACEHOLDER: Final = ":out"
"""What an output's name ends with until `name_outputs`: torch does not look whether a value inside
has the name that an output is given, and none ends so."""


def name_outputs(model: onnx.ModelProto) -> None:
    """Take `PLACEHOLDER` off the outputs; values inside that have their names get it."""
    graph = model.graph
    names = {port.name: port.name.removesuffix(PLACEHOLDER) for port in graph.output}
    swapped = names | {name: placeholder for placeholder, name in names.items()}
    for node in graph.node:
        node.input[:] = [swapped.get(name, name) for name in node.input]
        node.output[:] = [swapped.get(name, name) for name in node.output]
    for one in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        one.name = swapped.get(one.name, one.name)


def with_half_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` with its matrices and filters in half precision; all else stays as it is.

    The runtime widens them once, when it opens the file, and reckons in single precision: a
    processor without half arithmetic would be slower with it, and an age less certain.
    Vectors (biases, norms) are few and stay single; so do the smallest filters, up to a tenth
    of all weights, which are those that every pixel passes: without them two MobileNets were up
    to 0.3 years off, with them 0.02.
    """
    kept = _smallest(model)
    half = onnx.ModelProto()
    half.CopyFrom(model)
    casts = []
    for tensor in half.graph.initializer:
        matrix = tensor.data_type == TensorProto.FLOAT and len(tensor.dims) >= 2
        if not matrix or tensor.name.startswith(FITTING) or tensor.name in kept:
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


def _smallest(model: onnx.ModelProto) -> set[str]:
    """The smallest filters and matrices that together hold at most a tenth of all weights."""
    sizes = {
        tensor.name: int(np.prod(tensor.dims))
        for tensor in model.graph.initializer
        if tensor.data_type == TensorProto.FLOAT and len(tensor.dims) >= 2
    }
    names = sorted(sizes, key=lambda name: (sizes[name], name))
    together = np.cumsum([sizes[name] for name in names])
    return set(names[: int((together <= _KEPT_SINGLE * together[-1:].sum()).sum())])


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


Format: TypeAlias = Literal["onnx", "torchscript"]
Precision: TypeAlias = Literal["single", "half", "int8"]

FORMATS: Final[tuple[str, ...]] = get_args(Format)
PRECISIONS: Final[tuple[str, ...]] = get_args(Precision)
WEIGHTS_FILE: Final[dict[str, str]] = {"onnx": "model.onnx", "torchscript": "model.ts.pt"}

_Write: TypeAlias = Callable[[ExportNetwork, Iterable[Pixels]], bytes]
_WRITERS: Final[dict[tuple[str, str], _Write]] = {
    ("onnx", "single"): lambda network, _: to_onnx(network).SerializeToString(),
    ("onnx", "half"): lambda network, _: with_half_weights(to_onnx(network)).SerializeToString(),
    ("onnx", "int8"): lambda network, seen: to_int8(to_onnx(network), seen).SerializeToString(),
    ("torchscript", "single"): lambda network, _: to_torchscript(network),
    ("torchscript", "half"): lambda network, _: to_torchscript(network, half=True),
}


def weights_of(
    network: ExportNetwork,
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
