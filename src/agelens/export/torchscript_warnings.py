"""TorchScript without the noise: torch warns at every step that it will go one day."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from torch.jit._trace import TracerWarning


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
