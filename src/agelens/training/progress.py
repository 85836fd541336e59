"""What a run shows while it lasts."""

from __future__ import annotations

import sys

import pytorch_lightning as pl
from pytorch_lightning.callbacks import RichProgressBar

from agelens.training.age_module import AgeModule


def progress_of(quiet: bool) -> list[pl.Callback]:
    """A bar on a terminal, a line an epoch elsewhere, nothing where asked to be quiet."""
    if quiet:
        return []
    return [RunProgressBar()] if sys.stderr.isatty() else [EpochLines()]


class RunProgressBar(RichProgressBar):
    """Lightning's bar without the version of its logger, which a run folder has not."""

    def get_metrics(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """What stands behind the bar."""
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics


class EpochLines(pl.Callback):
    """One line an epoch on standard error, for logs."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the epoch's figures."""
        if not trainer.is_global_zero or not isinstance(pl_module, AgeModule):
            return
        figures = pl_module.metrics
        best = "  best so far" if pl_module.improved else ""
        print(
            f"epoch {trainer.current_epoch + 1} of {trainer.max_epochs}: "
            f"loss {figures['train/loss']:.4f}, valid {figures['valid/loss']:.4f}, "
            f"MAE {figures['valid/mae']:.3f}, CS@5 {100 * figures['valid/cs5']:.1f} %{best}",
            file=sys.stderr,
            flush=True,
        )
