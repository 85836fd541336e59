"""Learning curves as pictures in the run folder, new after each epoch."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Final

import pandas as pd
import pytorch_lightning as pl
from matplotlib.figure import Figure

from agelens.errors import UsageError
from agelens.evaluation.reports.canvas import save
from agelens.training.callbacks.curve_figures import band_figure, run_figure
from agelens.training.run_folder import RunFolder
from agelens.whole_file import write_whole

CURVES: Final = "curves.png"
AGE_CURVES: Final = "curves-ages.png"


class LearningCurves(pl.Callback):
    """Draws `curves.png` and `curves-ages.png` from the run's `metrics.csv`.

    After each epoch, and at the end; epochs of a few seconds share a drawing. The callback
    that writes the file comes before this one. A picture is replaced whole, so that a viewer
    never sees half of one.

    Args:
        folder: of the run; the trainer's `default_root_dir` by default.
        time_share: of the time that drawing may take before the end, above 0 to 1.

    Raises:
        UsageError: a share out of range.
    """

    def __init__(self, folder: Path | None = None, *, time_share: float = 0.05) -> None:
        if not 0 < time_share <= 1:
            raise UsageError(f"the time share of learning curves is above 0 to 1: {time_share}")
        self.folder = folder
        self.time_share = time_share
        self._next = 0.0

    def on_train_start(self, _trainer: pl.Trainer, _pl_module: pl.LightningModule) -> None:
        """Count time from here, as if the first drawing had taken a second."""
        self._next = time.monotonic() + 1 / self.time_share - 1

    def on_train_epoch_end(self, trainer: pl.Trainer, _pl_module: pl.LightningModule) -> None:
        """Draw the epochs so far."""
        begun = time.monotonic()
        if trainer.is_global_zero and begun >= self._next:
            draw_curves(self._run(trainer))
            self._next = time.monotonic() + (time.monotonic() - begun) * (1 / self.time_share - 1)

    def on_train_end(self, trainer: pl.Trainer, _pl_module: pl.LightningModule) -> None:
        """Draw all epochs."""
        run = self._run(trainer)
        if trainer.is_global_zero and run.metrics.is_file():  # absent where no epoch was trained
            draw_curves(run)

    def _run(self, trainer: pl.Trainer) -> RunFolder:
        return RunFolder(self.folder or Path(trainer.default_root_dir))


def draw_curves(run: RunFolder) -> None:
    """Draw both pictures of `run`, from its `metrics.csv`.

    Raises:
        OutputError: they cannot be written.
    """
    history = pd.read_csv(run.metrics)
    _write(run_figure(history), run.path / CURVES)
    by_age = band_figure(history)
    if by_age is not None:
        _write(by_age, run.path / AGE_CURVES)


def _write(figure: Figure, path: Path) -> None:
    picture = io.BytesIO()
    save(figure, picture)
    write_whole(path, picture.getvalue())
