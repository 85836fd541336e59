"""Batch norm put back where it had been folded away, without changing what the network says."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm
from torch.utils.hooks import RemovableHandle

from agelens.errors import UsageError


class MeasuredBatchNorm(pl.Callback):
    """Gives every batch norm the mean and deviation that its input has on the training part.

    Public weights often come with batch norm folded into the convolutions. A layer of it in the
    old place, that does nothing, would change all features as soon as it sees batches. Here its
    statistics are measured before the first step, and its scale and offset set so that it goes on
    doing nothing in evaluation, and next to nothing in training, which then has what batch norm
    is for. Name it before `WeightEMA`, whose average starts from what it finds.

    Args:
        batches: of the training part, augmented as in its first epoch.

    Raises:
        UsageError: fewer than one; in use, a network without batch norm.
    """

    def __init__(self, batches: int = 8) -> None:
        if batches < 1:
            raise UsageError(f"statistics need at least 1 batch, got {batches}")
        self.batches = batches

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Measure; a checkpoint that is resumed from replaces all of it afterwards."""
        if stage != "fit":
            return
        loader = trainer.datamodule.train_dataloader()  # type: ignore[attr-defined]
        chips = [batch.images for batch, _ in zip(loader, range(self.batches), strict=False)]
        measure_batch_norm(pl_module.model, chips)  # type: ignore[arg-type]


def measure_batch_norm(model: torch.nn.Module, batches: list[Tensor]) -> None:
    """Statistics of what each batch norm of `model` sees of `batches` [B, 3, H, W].

    Its answers in evaluation stay the same but for rounding.

    Raises:
        UsageError: it has no batch norm with running statistics.
    """
    layers = [m for m in model.modules() if isinstance(m, BatchNorm) and m.track_running_stats]
    if not layers:
        raise UsageError("MeasuredBatchNorm: the network has no batch norm to measure for")
    seen: dict[BatchNorm, list[tuple[Tensor, Tensor]]] = {layer: [] for layer in layers}
    handles: list[RemovableHandle] = [
        layer.register_forward_pre_hook(lambda layer, inputs: seen[layer].append(_moments(inputs)))
        for layer in layers
    ]
    training = model.training
    model.eval()
    with torch.no_grad():
        for chips in batches:
            model(chips)
        for layer, moments in seen.items():
            _restate(layer, moments)
    for handle in handles:
        handle.remove()
    model.train(training)


def _moments(inputs: tuple[Any, ...]) -> tuple[Tensor, Tensor]:
    """Mean and mean square of each channel."""
    maps = inputs[0].transpose(0, 1).flatten(1)
    return maps.mean(1), maps.square().mean(1)


def _restate(layer: BatchNorm, moments: list[tuple[Tensor, Tensor]]) -> None:
    """The same straight line of each channel, from a mean and variance that are the data's."""
    mean = torch.stack([first for first, _ in moments]).mean(0)
    square = torch.stack([second for _, second in moments]).mean(0)
    variance = (square - mean.square()).clamp_min(0)
    assert layer.running_mean is not None and layer.running_var is not None  # noqa: S101
    slope = layer.weight / (layer.running_var + layer.eps).sqrt()
    offset = layer.bias - slope * layer.running_mean
    layer.weight.copy_(slope * (variance + layer.eps).sqrt())
    layer.bias.copy_(offset + slope * mean)
    layer.running_mean.copy_(mean)
    layer.running_var.copy_(variance)
