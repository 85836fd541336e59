"""What both stages have in common: losses by epoch, schedules, and resuming."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from agelens.training.age_module import STATE
from agelens.training.epoch_metrics import LossAverager
from agelens.training.optimizers import Schedule, lr_scheduler, steps_per_epoch


class EpochLosses(pl.LightningModule):
    """Counts the terms of the loss; `metrics` has their means over the epoch's samples.

    There is no validation, as there is none in IEFP: identities of the training set are no test
    of recognition. So no epoch is `improved`, and the last one is what a run leaves.

    Args:
        schedule: of the learning rates.
        identity: what a checkpoint has to agree with to be resumed, in plain types.
    """

    improved = False

    def __init__(self, schedule: Schedule, identity: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.schedule = schedule
        self.identity = identity or {}
        self.metrics: dict[str, float] = {}
        self.loss_parts: dict[str, Tensor] = {}
        self._sums = LossAverager()
        self._rate = 0.0

    def rates(self, optimizer: Any) -> dict[str, Any]:
        """The optimiser with its learning rate as a function of the step."""
        scheduler = lr_scheduler(
            optimizer,
            self.schedule,
            steps_per_epoch=steps_per_epoch(self.trainer),
            epochs=self.trainer.max_epochs or 1,
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def count(self, terms: Mapping[str, Tensor], samples: int) -> None:
        """Add a batch's terms to the epoch's; the sum of those in `loss_parts` is the loss."""
        self._rate = self.trainer.optimizers[0].param_groups[0]["lr"]
        self._sums.add("train", terms, samples)
        self.log("step/loss", terms["loss"], prog_bar=True, on_step=True, on_epoch=False)

    def close_epoch(self) -> None:
        """The epoch's means become `metrics`."""
        self.metrics = {"lr": self._rate, **self._sums.means()}
        # Of all processes already, which Lightning's own log could not know.
        for logger in self.trainer.loggers:
            logger.log_metrics(self.metrics, self.trainer.global_step)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """What a resumed run must agree with, and go on from."""
        checkpoint[STATE] = {
            "identity": self.identity,
            "metrics": self.metrics,
            "sums": self._sums.state_dict(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up what `on_save_checkpoint` left."""
        self.metrics = checkpoint[STATE]["metrics"]
        self._sums.load_state_dict(checkpoint[STATE]["sums"])


class ClosedEpochs(pl.Callback):
    """Closes an epoch before the other callbacks look at its metrics; it comes first of them."""

    def on_train_epoch_end(self, _trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """All batches are seen."""
        if not isinstance(pl_module, EpochLosses):
            raise TypeError(f"expected a module with epoch losses, got {type(pl_module)}")
        pl_module.close_epoch()


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
