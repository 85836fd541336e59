"""The network as TorchScript, by tracing."""

from __future__ import annotations

import io
import re
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.jit._trace import TracerWarning
from torch.nn.utils import parametrize

from agelens.errors import CardError, ExportError, UsageError
from agelens.export.export_network import ExportNetwork
from agelens.inference.cards import LARGEST_WEIGHTS
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


_REACHES_OUT: Final = re.compile(rb"\b(save|load|from_file)\s*\(|\b__setstate__\b")


class TorchScriptRuntime:
    """See `agelens.inference.runtimes.Runtime` and `open_runtime`."""

    def __init__(
        self, content: bytes, *, name: str, size: int, width: int, device: str = "cpu"
    ) -> None:
        self._name = name
        self._device = _device_of(device)
        _check_archive(content, name)
        self._module = _load(content, name, self._device)
        self._check_signature(size, width)

    def __call__(self, pixels: Pixels) -> NDArray[np.floating[Any]]:
        """Answers [N, width]."""
        with torch.inference_mode():
            try:
                answer = self._module(torch.from_numpy(pixels).to(self._device))
            except Exception as error:  # a program that loads may still be damaged
                raise CardError(
                    f"{self._name}: its TorchScript network fails on {list(pixels.shape)} "
                    f"({_last_line(error)})"
                ) from error
        if not isinstance(answer, torch.Tensor) or not answer.is_floating_point():
            raise CardError(f"{self._name}: its TorchScript network does not answer with numbers")
        return np.asarray(answer.float().cpu().numpy())

    def _check_signature(self, size: int, width: int) -> None:
        got = list(self(np.zeros((3, 3, size, size), dtype=np.float32)).shape)
        if got != [3, width]:
            raise CardError(
                f"{self._name}: the card states one output [N, {width}]; of 3 chips the file's "
                f"network makes {got}"
            )


def _device_of(device: str) -> torch.device:
    if device not in ("cpu", "cuda"):
        raise UsageError(f"unknown device {device!r}; valid: cpu, cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("device 'cuda': this torch finds no CUDA device. Use 'cpu'")
    return torch.device(device)


def _check_archive(content: bytes, name: str) -> None:
    """Refuse what is no TorchScript archive, unpacks too large, or reaches out."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            unpacked = sum(member.file_size for member in members)
            fits = unpacked <= LARGEST_WEIGHTS
            programs = {m.filename: archive.read(m) for m in members if fits and _is_program(m)}
    except Exception as error:  # of a damaged archive, zipfile lets through half a dozen kinds
        raise CardError(
            f"{name}: not a TorchScript file, or a damaged one ({error}). A pickle is never read"
        ) from error
    if not fits:
        raise CardError(f"{name}: unpacks to {unpacked:,} bytes, more than agelens opens")
    if not programs:
        raise CardError(f"{name}: holds no TorchScript program. A pickle is never read")
    reaching = [place for place, text in programs.items() if _REACHES_OUT.search(text)]
    if reaching:
        raise CardError(f"{name}: its program in {reaching[0]} reads or writes files: refused")


def _is_program(member: zipfile.ZipInfo) -> bool:
    return "/code/" in member.filename and member.filename.endswith(".py")


def _load(content: bytes, name: str, device: torch.device) -> torch.jit.ScriptModule:
    try:
        with quiet_torchscript():
            load: Any = torch.jit.load
            module = load(io.BytesIO(content), map_location=device).eval()
            # Weights kept in half precision become single ones here, once, and batch
            # norms part of the convolutions before them.
            frozen: torch.jit.ScriptModule = torch.jit.freeze(module)
            return frozen
    except Exception as error:  # of a damaged file, torch lets through whatever C++ throws
        raise CardError(
            f"{name}: torch cannot read it as TorchScript ({_last_line(error)})"
        ) from error


def _last_line(error: Exception) -> str:
    """Torch puts a C++ trace around the line that matters."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__


class _KeptInHalf(nn.Module):
    """A weight that lies in half precision and is used in single."""

    def forward(self, stored: Tensor) -> Tensor:
        return stored.float()


def to_torchscript(network: ExportNetwork, *, half: bool = False) -> bytes:
    """The content of a TorchScript file: one input [N, 3, S, S], one output [N, width].

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
