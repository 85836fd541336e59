"""Batch norm over the pictures of all processes; on CPUs too, which torch's own refuses."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, distributed, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.modules.batchnorm import _BatchNorm


class SharedBatchNorm(_BatchNorm):
    """`nn.BatchNorm1d` or `2d` whose mean and variance in training are those of all processes."""

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected [N, C] or more axes, got {list(input.shape)}")

    def forward(self, input: Tensor) -> Tensor:
        """The values [N, C, ...], normalised by channel."""
        if not self.training:
            return super().forward(input)
        axes = [axis for axis in range(input.dim()) if axis != 1]
        wide = input.double()  # a sum of squares loses what the variance is made of
        count = wide.new_tensor([float(input.numel() / input.shape[1])])
        sums = _summed(torch.cat([count, wide.sum(axes)]))
        mean = sums[1:] / sums[0]
        shape = [1, -1, *[1] * (input.dim() - 2)]
        centred = wide - mean.reshape(shape)
        variance = _summed(centred.square().sum(axes)) / sums[0]
        self._remember(mean.detach(), variance.detach() * sums[0].detach() / (sums[0].detach() - 1))
        normed = (centred / (variance + self.eps).sqrt().reshape(shape)).to(input.dtype)
        if self.affine:
            normed = normed * self.weight.reshape(shape) + self.bias.reshape(shape)
        return normed

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        if not self.track_running_stats or self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None  # noqa: S101 - kept with the other two
        self.num_batches_tracked.add_(1)
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(variance.to(self.running_var.dtype), share)


def _summed(values: Tensor) -> Tensor:
    """Over all processes, and backwards too; a process by itself reckons alike."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return values
    return cast(Tensor, all_reduce(values))  # type: ignore[no-untyped-call]


def share_batch_norm(module: nn.Module) -> None:
    """Put `SharedBatchNorm` in place of every batch norm in `module`, with its own weights."""
    for part in module.modules():
        for name, child in list(part.named_children()):
            if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
                shared = SharedBatchNorm(
                    child.num_features,
                    child.eps,
                    child.momentum,
                    child.affine,
                    child.track_running_stats,
                )
                shared._parameters, shared._buffers = child._parameters, child._buffers
                shared.training = child.training
                setattr(part, name, shared)
