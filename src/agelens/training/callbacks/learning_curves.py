"""Learning curves as pictures in the run folder, new after each epoch."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import pandas as pd
import pytorch_lightning as pl
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from agelens.atomic import write_atomically
from agelens.errors import UsageError
from agelens.evaluation.reports.plotting import COLOURS, panels, save, title
from agelens.training.epoch_metrics import BANDS
from agelens.training.run_folder import RunFolder

_BAND_PREFIX: Final = "valid/mae/"
_SHARES: Final = {
    "train/cs5": "train, CS@5",
    "valid/cs5": "valid, CS@5",
    "valid/ca3": "valid, CA@3",
}
_THIRD: Final = "#6a9a58"
_MARKED: Final = 40  # points are drawn on curves of at most so many epochs


def run_figure(history: pd.DataFrame) -> Figure:
    """Four panels over the epochs: loss, MAE with its best, shares of small errors, rate.

    Args:
        history: a row an epoch, as `metrics.csv` has them.
    """
    figure, axes = panels(2, rows=2, sharex=True)
    loss, error, shares, rate = cast("list[Axes]", list(axes.flat))
    _lines(loss, history, {"train/loss": "train", "valid/loss": "valid"})
    title(loss, "loss")
    _lines(error, history, {"train/mae": "train", "valid/mae": "valid"})
    title(error, "MAE in years")
    _mark_best(error, history)
    scaled = history.assign(**{name: 100 * history[name] for name in _SHARES if name in history})
    _lines(shares, scaled, _SHARES, (*COLOURS, _THIRD))
    title(shares, "errors within 5 and 3 years, in %")
    _lines(rate, history, {"lr": "learning rate"})
    title(rate, "learning rate at the end of the epoch")
    if (history["lr"] > 0).all():
        rate.set_yscale("log")
    for panel in (shares, rate):
        panel.set_xlabel("epoch")
    return figure


def band_figure(history: pd.DataFrame) -> Figure | None:
    """The validation MAE of each age band over the epochs; None where none was kept."""
    names = [band for band in BANDS if _BAND_PREFIX + band in history]
    if not names:
        return None
    figure, axes = panels(1, row_inches=4.5)
    panel = axes[0, 0]
    spread = colormaps["viridis"].resampled(len(BANDS))
    colours = [spread(BANDS.index(band)) for band in names]
    _lines(panel, history, {_BAND_PREFIX + band: band for band in names}, colours)
    panel.plot(_epochs(history), history["valid/mae"], "k--", label="all")
    panel.legend(title="age", loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    title(panel, "validation MAE in years by age")
    panel.set_xlabel("epoch")
    return figure


def _lines(
    panel: Axes, history: pd.DataFrame, labels: dict[str, str], colours: Sequence[Any] = COLOURS
) -> None:
    """A line for each column that there is; epochs count from 1."""
    marker = "o" if len(history) <= _MARKED else ""
    drawn = [(name, label) for name, label in labels.items() if name in history]
    for (name, label), colour in zip(drawn, colours, strict=False):
        panel.plot(
            _epochs(history), history[name], marker=marker, markersize=3, color=colour, label=label
        )
    if len(drawn) > 1:
        panel.legend(frameon=False)
    panel.grid(alpha=0.3)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))


def _mark_best(panel: Axes, history: pd.DataFrame) -> None:
    errors = history["valid/mae"].to_numpy()
    if np.isnan(errors).all():
        return
    best = int(np.nanargmin(errors))
    at = (_epochs(history).iloc[best], errors[best])
    panel.plot(*at, "*", color="black", markersize=11)
    panel.annotate(
        f"{errors[best]:.2f}", at, textcoords="offset points", xytext=(0, 9), ha="center"
    )


def _epochs(history: pd.DataFrame) -> pd.Series:
    return history["epoch"] + 1


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
        TrainingError: it is damaged.
        OutputError: they cannot be written.
    """
    history = run.read_epochs()
    _write(run_figure(history), run.path / CURVES)
    by_age = band_figure(history)
    if by_age is not None:
        _write(by_age, run.path / AGE_CURVES)


def _write(figure: Figure, path: Path) -> None:
    picture = io.BytesIO()
    save(figure, picture)
    write_atomically(path, picture.getvalue())
