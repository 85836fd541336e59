"""Heads that learn from a batch what gradients do not teach them: leaves, references."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytorch_lightning as pl
import torch
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor, nn

from agelens.data.training_input import ChipBatch
from agelens.models.methods.base import LearningHead

if TYPE_CHECKING:
    from agelens.training.age_module import AgeModule


class HeadLearning(pl.Callback):
    """Calls a head's `after_step` at each batch's end, with the batch of all processes.

    A callback, since at a batch's end those come before the module itself, and the
    checkpoint of the step is one of them.
    """

    @torch.no_grad()
    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: ChipBatch,
        batch_idx: int,
    ) -> None:
        """See `LearningHead.after_step`."""
        del outputs, batch, batch_idx
        module = cast("AgeModule", pl_module)
        head = module.model.head
        if module.seen is None or not isinstance(head, LearningHead):
            return
        seen, module.seen = module.seen, None
        if trainer.world_size > 1:
            seen = apply_to_collection(module.all_gather(seen), Tensor, _of_all)
        head.after_step(*seen)


def learns_by_step(head: nn.Module) -> bool:
    """Whether `head` has something to do after a batch."""
    return isinstance(head, LearningHead) and type(head).after_step is not LearningHead.after_step


def _of_all(gathered: Tensor) -> Tensor:
    """[processes, B, ...] to [processes * B, ...]."""
    return gathered.flatten(0, 1)
