"""ONNX networks, opened the one way that is fast and safe on every machine.

Detectors and age models both open their networks here. A file is checked by `onnx`
before the runtime sees it, weights that are subnormal floats become zero (CPUs slow
down up to tenfold on them), the runtime folds affine layers into convolutions, and
each session uses one thread: agelens spreads photos and blocks of chips over the
cores instead, which is faster than splitting one small network.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime as ort
from onnx import numpy_helper

from agelens.errors import CardError, UsageError
from agelens.foreign_files import decoding

PROVIDERS: Final = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_SMALLEST_NORMAL: Final = float(np.finfo(np.float32).tiny)
_ERRORS_ONLY: Final = 3


def flush_subnormals(model: onnx.ModelProto) -> int:
    """Set every subnormal float32 weight of `model` to zero, in place; returns how many.

    The largest of them is 1.2e-38, so no output changes in any digit of float32.
    """
    flushed = 0
    for tensor in model.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        weights = numpy_helper.to_array(tensor)
        subnormal = (weights != 0) & (np.abs(weights) < _SMALLEST_NORMAL)
        if subnormal.any():
            clean = np.where(subnormal, np.float32(0), weights)
            tensor.CopyFrom(numpy_helper.from_array(clean, tensor.name))
            flushed += int(subnormal.sum())
    return flushed


def _tensors(message: Any) -> Iterator[onnx.TensorProto]:
    """All tensors in an ONNX message: initialisers, constants, those of subgraphs and functions."""
    if isinstance(message, onnx.TensorProto):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            repeated = not hasattr(value, "ListFields")
            for inner in value if repeated else (value,):
                yield from _tensors(inner)


def read_onnx(content: bytes, *, name: str | Path) -> onnx.ModelProto:
    """The ONNX network in `content`, whole in itself: the hash of its card covers all of it.

    Each tensor in it can be read.

    Raises:
        CardError: it is no ONNX file, a tensor's bytes do not fill its shape, or it keeps weights
            in other files, whichever part of it says so.
    """
    with decoding(name, "an ONNX file", CardError):
        model = onnx.load_from_string(content)
        if any(t.data_location == onnx.TensorProto.EXTERNAL for t in _tensors(model)):
            raise CardError(
                f"{name}: keeps weights in files beside it, which agelens does not follow"
            )
        for tensor in _tensors(model):
            numpy_helper.to_array(tensor)
    return model


def open_session(content: bytes, *, name: str, device: str = "cpu") -> ort.InferenceSession:
    """Open the ONNX network in `content`; `name` is what errors call it.

    Raises:
        CardError: `content` is no self-contained ONNX network that the runtime can run.
        UsageError: `device` is unknown, or this onnxruntime has no provider for it.
    """
    provider = _provider_of(device)
    model = read_onnx(content, name=name)
    flush_subnormals(model)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    # Pictures of many sizes make the arena keep a block for each: without it memory stays flat.
    options.enable_cpu_mem_arena = False
    options.log_severity_level = _ERRORS_ONLY
    with decoding(name, "a network that onnxruntime runs", CardError):
        # Falling back to another provider, it would print to standard output, among the rows.
        return ort.InferenceSession(
            model.SerializeToString(), options, providers=[provider], enable_fallback=0
        )


def _provider_of(device: str) -> str:
    if device not in PROVIDERS:
        raise UsageError(f"unknown device {device!r}; valid: {', '.join(PROVIDERS)}")
    provider = PROVIDERS[device]
    if provider not in ort.get_available_providers():
        raise UsageError(
            f"device {device!r} needs {provider}, which this onnxruntime lacks; it has "
            f"{', '.join(ort.get_available_providers())}. Install onnxruntime-gpu, or use 'cpu'."
        )
    return provider


_MMAP_MAX: Final = -4
_TRIM_THRESHOLD: Final = -1


def keep_freed_memory() -> None:
    """Let glibc keep what the process frees, for its next allocation.

    By default it gives each large tensor back to the system and gets pages of zeros for the
    next one, which takes a fifth of a training step of a small network on a processor, and a
    ninth of an estimate. The peak of many threads may grow by a third. Where the C library is
    another one, nothing happens. It holds for the whole process: for commands, not for calls.
    """
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # macOS, musl, Windows
        return
    set_option(_MMAP_MAX, 0)
    set_option(_TRIM_THRESHOLD, 2**31 - 1)
