"""One line an epoch, for logs."""

from __future__ import annotations

import sys

import pytorch_lightning as pl

from agelens.recognition.training.epoch_losses import EpochLosses


class EpochLossLines(pl.Callback):
    """Prints each epoch's figures on standard error."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The epoch is closed."""
        if not trainer.is_global_zero or not isinstance(pl_module, EpochLosses):
            return
        figures = [
            f"{name.removeprefix('train/').replace('_', ' ')} {value:.4f}"
            for name, value in pl_module.metrics.items()
            if name.startswith("train/")
        ]
        print(
            f"epoch {trainer.current_epoch + 1} of {trainer.max_epochs}: {', '.join(figures)}",
            file=sys.stderr,
            flush=True,
        )
