"""The network as TorchScript, by tracing."""

from __future__ import annotations

import io
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from agelens.errors import ExportError
from agelens.export.answering import AnsweringNetwork
from agelens.export.torchscript_warnings import quiet_torchscript


class _KeptInHalf(nn.Module):
    """A weight that lies in half precision and is used in single."""

    def forward(self, stored: Tensor) -> Tensor:
        return stored.float()


def to_torchscript(network: AnsweringNetwork, *, half: bool = False) -> bytes:
    """The content of a TorchScript file: one input [N, 3, S, S], one output [N, width].

    Weights stay weights, so that the program can be moved to other devices. With `half`,
    matrices and filters lie in half precision and are widened when they are used; see
    `agelens.export.onnx_file.with_half_weights` for why.

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
