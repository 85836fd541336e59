"""Subnormal weights become zero: they cost a CPU up to a hundred times more each, for nothing."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

# In float16 the subnormals are part of the useful range, and processors are no slower on them.
_FLUSHED: Final = (torch.float32, torch.float64, torch.bfloat16)


def flush_subnormals(module: nn.Module) -> int:
    """Set every subnormal number in parameters and buffers to zero; return how many there were.

    This changes the weights, not the processor: `torch.set_flush_denormal` would also change
    the arithmetic of everything else in the process, reaches only the thread that calls it,
    and does nothing for whoever runs the exported network elsewhere.
    """
    return sum(flush_tensor(tensor) for tensor in (*module.parameters(), *module.buffers()))


@torch.no_grad()
def flush_tensor(tensor: Tensor) -> int:
    """The same for one tensor, in place."""
    if tensor.dtype not in _FLUSHED:
        return 0
    subnormal = (tensor != 0) & (tensor.abs() < torch.finfo(tensor.dtype).tiny)
    count = int(subnormal.sum())
    if count:
        tensor.masked_fill_(subnormal, 0.0)
    return count
