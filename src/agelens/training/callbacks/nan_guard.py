"""A loss that is no number stops the run, before it reaches the weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, cast

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from agelens.atomic import write_json
from agelens.data.training_input import ChipBatch
from agelens.errors import TrainingError

REPORT: Final = "nan-batch.json"
_NAMED: Final = 5


class NaNGuard(pl.Callback):
    """Stops at the first loss or gradient that is NaN or infinite.

    The optimiser has not moved then: weights and checkpoints are those of before the batch.
    `nan-batch.json` in the run folder says what was not finite, at which step, and holds
    the batch's sample ids; of several processes, each that fails writes its own.

    Under a gradient scaler (16-bit floats) infinite gradients are its daily work, which it
    handles by itself: only the loss is watched.

    Args:
        folder: where the report goes; the trainer's `default_root_dir` by default.

    Raises:
        TrainingError: (in use) something is not finite.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self._rows: list[Tensor] = []  # of each batch since the last step...
        self._stepped = False  # ...which may have been one of several on its batch

    def on_train_batch_start(
        self,
        _trainer: pl.Trainer,
        _pl_module: pl.LightningModule,
        batch: ChipBatch,
        _batch_idx: int,
    ) -> None:
        """Remember what the batch is made of."""
        if self._stepped:
            self._rows.clear()
            self._stepped = False
        self._rows.append(batch.rows)

    def on_before_backward(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor
    ) -> None:
        """Look at the loss."""
        if torch.isfinite(loss):
            return
        parts = cast("Mapping[str, Tensor]", pl_module.loss_parts)
        values = {name: float(value) for name, value in parts.items()}
        bad = [name for name, value in parts.items() if not torch.isfinite(value)]
        del self._rows[:-1]
        self._stop(trainer, f"the loss ({', '.join(bad) or 'the sum of its parts'})", values)

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, _optimizer: Optimizer
    ) -> None:
        """Look at the gradients."""
        self._stepped = True
        if getattr(trainer.precision_plugin, "scaler", None) is not None:
            return
        gradients = {
            name: weight.grad
            for name, weight in pl_module.named_parameters()
            if weight.grad is not None
        }
        if torch.isfinite(get_total_norm(gradients.values())):
            return
        bad = [name for name, gradient in gradients.items() if not gradient.isfinite().all()]
        # Each may be finite and their squares' sum not.
        named = f"of {', '.join(bad[:_NAMED])}" if bad else "all together"
        more = f" and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
        self._stop(trainer, f"the gradient ({named}{more})", {})

    def _stop(self, trainer: pl.Trainer, what: str, parts: dict[str, float]) -> None:
        folder = self.folder or Path(trainer.default_root_dir)
        rank = f"-{trainer.global_rank}" if trainer.global_rank else ""
        path = folder / f"{Path(REPORT).stem}{rank}{Path(REPORT).suffix}"
        ids = self._sample_ids(trainer)
        report = {
            "what": what,
            "epoch": trainer.current_epoch,
            "step": trainer.global_step,
            "loss_parts": {name: str(value) for name, value in parts.items()},  # JSON has no NaN
            "sample_ids": ids,
        }
        write_json(path, report)
        raise TrainingError(
            f"{what} is not finite at step {trainer.global_step} of epoch "
            f"{trainer.current_epoch}. The weights were not touched: checkpoints of before are "
            f"good. The {len(ids)} samples of the batch are named in {path}: look at their labels "
            "and chips, or take a lower learning rate, gradient clipping or 32-bit floats."
        )

    def _sample_ids(self, trainer: pl.Trainer) -> list[str]:
        loader = trainer.train_dataloader
        rows = torch.cat(self._rows)
        if loader is None:
            return [f"row {row}" for row in rows.tolist()]
        ids: list[str] = loader.chips.sample_ids(rows)
        return ids
