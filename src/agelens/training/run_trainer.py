"""Lightning's trainer as every run has it: logs and checkpoints in the run's folder."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import TensorBoardLogger

from agelens.errors import UsageError
from agelens.training.checkpoints import RunCheckpoints, WholeCheckpoints
from agelens.training.lightning_noise import quiet_lightning
from agelens.training.run_folder import RunFolder
from agelens.training.run_options import CheckpointTimes


def check_epochs(trainer: Mapping[str, Any]) -> None:
    """Raise where a run would have no end, or nothing to do.

    Raises:
        UsageError: `max_epochs` is no number of 1 or more.
    """
    epochs = trainer.get("max_epochs")
    if not isinstance(epochs, int) or epochs < 1:
        raise UsageError(f"trainer.max_epochs is 1 or more, got {epochs}")


def run_trainer(
    folder: RunFolder,
    options: Mapping[str, Any],
    callbacks: Sequence[pl.Callback],
    times: CheckpointTimes,
    *,
    quiet: bool,
) -> pl.Trainer:
    """The trainer of a run in `folder`.

    Args:
        folder: where logs and checkpoints go.
        options: arguments of Lightning's Trainer that are the user's.
        callbacks: in their order; checkpoints are saved after all of them.
        times: when checkpoints are saved.
        quiet: without a progress bar.
    """
    saved = RunCheckpoints(folder, every_epochs=times.every_epochs, every_steps=times.every_steps)
    with quiet_lightning():
        return pl.Trainer(
            **options,
            callbacks=[*callbacks, saved],
            logger=TensorBoardLogger(folder.path, name="", version=folder.logs.name),
            plugins=[WholeCheckpoints()],
            default_root_dir=folder.path,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            enable_model_summary=False,
            enable_progress_bar=not quiet and sys.stderr.isatty(),
        )
