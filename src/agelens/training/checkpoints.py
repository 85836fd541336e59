"""Checkpoints: written whole, read without running what they may hold."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.plugins.io import CheckpointIO
from torch import Tensor

from agelens.atomic import write_atomically
from agelens.errors import TrainingError, UsageError
from agelens.models.backbones.weights.files import read_pickle
from agelens.training.epoch_metrics import EpochResults
from agelens.training.run_folder import RunFolder


class AtomicCheckpoints(CheckpointIO):
    """Lightning's checkpoints as files that hold tensors and plain types, and nothing else."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write by a temporary file, then rename.

        Raises:
            OutputError: it cannot be written; the checkpoint that was there is kept.
        """
        del storage_options
        content = io.BytesIO()
        torch.save(checkpoint, content)
        write_atomically(Path(path), content.getvalue())

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """See `read_checkpoint`; `weights_only` is always on."""
        del weights_only
        return read_checkpoint(Path(path), map_location)

    def remove_checkpoint(self, path: Any) -> None:
        """Delete the file."""
        Path(path).unlink(missing_ok=True)


def read_checkpoint(path: Path, map_location: Any = "cpu") -> dict[str, Any]:
    """The checkpoint at `path`, of tensors and plain types.

    Raises:
        TrainingError: it is absent, damaged, or holds anything else: a pickle can run code
            when it is loaded, so those are refused.
    """
    way_out = "Put back the one that this run wrote, or start a new run"
    checkpoint = read_pickle(path, TrainingError, way_out, map_location)
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise TrainingError(f"{path} is no checkpoint of a training run")
    return checkpoint


def model_weights(checkpoint: dict[str, Any]) -> dict[str, Tensor]:
    """Weights and buffers of the `AgeModel` in a checkpoint, by their names in it."""
    prefix = "model."
    return {
        name.removeprefix(prefix): value
        for name, value in checkpoint["state_dict"].items()
        if name.startswith(prefix)
    }


class RunCheckpoints(Checkpoint):
    """Keeps the run's last and best state.

    `last` comes after each epoch, and where asked for between; `best` when an epoch
    validated better than all before. Both hold all that resuming needs.

    Args:
        folder: of the run.
        every_epochs: how many epochs pass between two `last`.
        every_steps: also keep `last` after so many steps of the optimiser, so that a long
            epoch is not lost as a whole.

    Raises:
        UsageError: a number below 1.
    """

    def __init__(
        self, folder: RunFolder, *, every_epochs: int = 1, every_steps: int | None = None
    ) -> None:
        if every_epochs < 1 or (every_steps is not None and every_steps < 1):
            raise UsageError(
                f"checkpoints come every 1 or more epochs or steps, got {every_epochs}, "
                f"{every_steps}"
            )
        self.folder = folder
        self.every_epochs = every_epochs
        self.every_steps = every_steps
        self._saved_step = -1

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Save between epochs, where gradients are not just being accumulated."""
        del pl_module, outputs, batch
        # The last batch belongs to the epoch's end, where validation is done as well.
        last = batch_idx + 1 >= int(trainer.num_training_batches)
        step = trainer.global_step
        if self.every_steps is None or last or step % self.every_steps or step == self._saved_step:
            return
        if (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            self._save(trainer, self.folder.last)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save after validation, the best first: `last` then knows of it."""
        if not isinstance(pl_module, EpochResults):
            raise TypeError(f"{type(pl_module)} does not say how its epochs went")
        if pl_module.improved:
            self._save(trainer, self.folder.best)
        done = trainer.current_epoch + 1
        final = done == trainer.max_epochs or trainer.should_stop
        if done % self.every_epochs == 0 or final:
            self._save(trainer, self.folder.last)

    def _save(self, trainer: pl.Trainer, path: Path) -> None:
        self._saved_step = trainer.global_step
        trainer.save_checkpoint(path, weights_only=False)
