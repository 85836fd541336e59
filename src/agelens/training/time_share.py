"""How much of the time of training the model itself takes."""

from __future__ import annotations

import time
from typing import Any

import pytorch_lightning as pl


class TimeShare(pl.Callback):
    """Seconds of forward, backward and step, beside those of whole epochs without validation.

    `seconds` and `model_seconds` are of all epochs of this process and of those that it
    resumed. The first epoch's first step is left out of both: it pays for warming up. On a
    GPU both are the host's: waiting for data shows as a low share, but where the host waits
    for the device is a matter of chance.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.model_seconds = 0.0
        self._mark = 0.0
        self._step = 0.0
        self._cold = True

    @property
    def share(self) -> float:
        """Of the model, 0 to 1; NaN before the second step."""
        return self.model_seconds / self.seconds if self.seconds else float("nan")

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The first batch is waited for from here on."""
        del trainer, pl_module
        self._mark = time.perf_counter()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """A step begins."""
        del trainer, pl_module, batch, batch_idx
        self._step = time.perf_counter()
        self._mark = self._mark or self._step  # resumed within an epoch, whose start was before

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """A step is done."""
        del trainer, pl_module, outputs, batch, batch_idx
        now = time.perf_counter()
        if not self._cold:
            self.model_seconds += now - self._step
            self.seconds += now - self._mark
        self._cold = False
        self._mark = now

    def state_dict(self) -> dict[str, Any]:
        """Both sums."""
        return {"seconds": self.seconds, "model_seconds": self.model_seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the sums."""
        self.seconds = state_dict["seconds"]
        self.model_seconds = state_dict["model_seconds"]
