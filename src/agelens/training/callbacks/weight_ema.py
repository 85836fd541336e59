"""The moving average of weights, which is validated and kept in place of the weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm

from agelens.errors import UsageError


class WeightEMA(WeightAveraging):
    """Exponential moving average of the weights, over Lightning's own callback.

    After each optimiser step ``average = d * average + (1 - d) * weights``. Validation and
    the end of training see the average, and so does a checkpoint's `state_dict`, the best
    one's too; the weights themselves lie beside it for resuming, which goes on exactly.

    Buffers: the running means and variances of batch norm are averaged like weights, since
    they belong to the averaged features; all other buffers (counters, leaves of a forest,
    reference features) are copied as they are.

    Args:
        decay: d, at least 0 and below 1.
        warm_up: d is at most ``(1 + n) / (10 + n)`` after n steps, so that a short run does
            not keep its start.

    Raises:
        UsageError: a decay out of range; in use, a resumed checkpoint that has no average.
    """

    def __init__(self, decay: float = 0.999, *, warm_up: bool = True) -> None:
        if not 0 <= decay < 1:
            raise UsageError(f"a decay of averaged weights is 0 to below 1, got {decay}")
        super().__init__(use_buffers=True, multi_avg_fn=self._average)
        self.decay = decay
        self.warm_up = warm_up

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Follow the model to its device: when the copy was made, it was still on the CPU."""
        super().on_fit_start(trainer, pl_module)
        if self._average_model is not None:
            self._average_model.to(pl_module.device)

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the average in the weights' place."""
        self._copy_state(pl_module)
        super().on_validation_epoch_start(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the average in the model."""
        self._copy_state(pl_module)
        super().on_train_end(trainer, pl_module)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Save the average as the state, and the weights beside it."""
        self._copy_state(pl_module)  # what heads learnt from the validation just past
        if self._average_model is not None:
            super().on_save_checkpoint(trainer, pl_module, checkpoint)

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Take up average and weights; outside of training a checkpoint's state is enough."""
        if self._average_model is None:
            return
        if "averaging_state" not in checkpoint:
            raise UsageError(
                "the checkpoint holds no averaged weights: resume it without WeightEMA, or start "
                "a new run"
            )
        super().on_load_checkpoint(trainer, pl_module, checkpoint)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Forget the average: a checkpoint that is tested later holds one of its own."""
        super().teardown(trainer, pl_module, stage)
        self._average_model = None

    def _average(
        self, averaged: Sequence[Tensor], current: Sequence[Tensor], updates: Tensor
    ) -> None:
        """One step, in place, of tensors that share device and type."""
        decay = torch.as_tensor(self.decay, device=updates.device)
        if self.warm_up:
            decay = torch.minimum(decay, (1 + updates) / (10 + updates))
        for mean, value in zip(averaged, current, strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, (1 - decay).to(mean))

    def _copy_state(self, pl_module: pl.LightningModule) -> None:
        """Buffers that are no statistics of features, as they are now."""
        if self._average_model is None:
            return
        current = dict(_state_buffers(pl_module))
        for name, buffer in _state_buffers(self._average_model.module):
            buffer.copy_(current[name])


def _state_buffers(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Buffers by name, but for running means and variances."""
    statistics = {
        id(buffer)
        for part in module.modules()
        if isinstance(part, BatchNorm)
        for buffer in (part.running_mean, part.running_var)
    }
    for name, buffer in module.named_buffers():
        if id(buffer) not in statistics:
            yield name, buffer
