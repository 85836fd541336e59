"""The network as TorchScript, by tracing."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.jit._trace import TracerWarning
from torch.nn.utils import parametrize

from agelens.errors import ExportError
from agelens.export.export_network import ExportNetwork
from agelens.inference.runtimes import Pixels


@contextmanager
def quiet_torchscript() -> Iterator[None]:
    """Hold back what torch says of TorchScript's future, and of tracing Python numbers.

    Both are known here: the format is offered for programs that read it today, and a trace
    that took a batch's size for a constant fails the comparison with the model it came from.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit\.", FutureWarning)
        warnings.filterwarnings("ignore", r"`torch\.jit\.", DeprecationWarning)
        warnings.filterwarnings("ignore", category=TracerWarning)
        yield


class TracedRuntime:
    """The program in `content`, which this process has just traced itself; see `Runtime`."""

    def __init__(self, content: bytes) -> None:
        with quiet_torchscript():
            load: Any = torch.jit.load
            self._module = load(io.BytesIO(content), map_location="cpu").eval()

    def __call__(self, pixels: Pixels) -> NDArray[np.floating[Any]]:
        """Answers [N, width], those of several outputs side by side."""
        with torch.inference_mode():
            answers = self._module(torch.from_numpy(pixels))
            return np.asarray(answers if isinstance(answers, Tensor) else torch.cat(answers, dim=1))


class _KeptInHalf(nn.Module):
    """A weight that lies in half precision and is used in single."""

    def forward(self, stored: Tensor) -> Tensor:
        return stored.float()


def to_torchscript(network: ExportNetwork, *, half: bool = False) -> bytes:
    """The content of a TorchScript file: one input [N, 3, S, S], and the network's outputs.

    One is a tensor; several are a tuple, in the order of `ExportNetwork.outputs`.

    Weights stay weights, so that the program can be moved to other devices. With `half`,
    matrices and filters lie in half precision and are widened when they are used; see
    `agelens.export.formats.with_half_weights` for why.

    Raises:
        ExportError: the network cannot be traced.
    """
    if half:
        _keep_in_half(network)
    content = io.BytesIO()
    trace: Any = torch.jit.trace
    try:
        with quiet_torchscript(), torch.no_grad():
            traced = trace(network, (network.example(),), check_trace=False)
            torch.jit.save(traced, content)
    except Exception as error:  # whatever the network's own code raises where it sees a trace
        raise ExportError(f"torch cannot trace this network: {error}") from error
    return content.getvalue()


def _keep_in_half(network: nn.Module) -> None:
    places = [
        (module, name)
        for module in network.modules()
        for name, weight in module.named_parameters(recurse=False)
        if weight.ndim >= 2 and weight.dtype == torch.float32
    ]
    for module, name in places:
        weight = getattr(module, name)
        setattr(module, name, nn.Parameter(weight.half(), requires_grad=False))
        parametrize.register_parametrization(module, name, _KeptInHalf(), unsafe=True)
