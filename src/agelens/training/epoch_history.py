"""One row an epoch, in `metrics.csv` and in the checkpoint, so that a resumed run has all."""

from __future__ import annotations

import csv
import io
import time
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import pytorch_lightning as pl

from agelens.atomic import write_atomically


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


@runtime_checkable
class EpochResults(Protocol):
    """A module that says how an epoch went.

    `metrics` has the epoch's figures by name, `improved` says whether it is the best so far.
    """

    metrics: dict[str, float]
    improved: bool


class EpochHistory(pl.Callback):
    """Keeps each epoch's metrics with its number, its steps and its seconds.

    `rows` are plain dictionaries; later ones may have further columns.

    Args:
        path: of the CSV file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = []
        self._begun = 0.0
        self._before = 0.0

    @property
    def seconds(self) -> float:
        """Of all epochs, validation included."""
        return sum(row["seconds"] for row in self.rows)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Time runs from here where a run is resumed within an epoch."""
        del trainer, pl_module
        self._begun = time.perf_counter()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Time runs from here."""
        del trainer, pl_module
        self._begun, self._before = time.perf_counter(), 0.0

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The epoch is trained and validated."""
        if not isinstance(pl_module, EpochResults):
            raise TypeError(f"{type(pl_module)} does not say how its epochs went")
        row: dict[str, float] = {"epoch": trainer.current_epoch, "step": trainer.global_step}
        self.rows.append({**row, **pl_module.metrics, "seconds": round(self._so_far(), 3)})
        if trainer.is_global_zero:
            self._write()

    def state_dict(self) -> dict[str, Any]:
        """The rows, and the seconds of an epoch that is not over."""
        return {"rows": self.rows, "before": self._so_far()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the rows."""
        self.rows = list(state_dict["rows"])
        self._before = state_dict["before"]

    def _so_far(self) -> float:
        return self._before + time.perf_counter() - self._begun

    def _write(self) -> None:
        names = dict.fromkeys(name for row in self.rows for name in row)
        text = io.StringIO()
        writer = csv.DictWriter(text, list(names), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_atomically(self.path, text.getvalue().encode())
