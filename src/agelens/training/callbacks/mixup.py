"""Mixup: two faces in one picture, and each of both ages is right by its share."""

from __future__ import annotations

from typing import cast

import pytorch_lightning as pl
import torch

from agelens.data.training_input import ChipBatch
from agelens.errors import UsageError
from agelens.training.age_module import AgeModule, Mixed, learns_by_step


class Mixup(pl.Callback):
    """Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018.

    Each picture of a mixed batch is ``share * its own + (1 - share) * another of the batch``, and
    the loss ``share * loss(own age) + (1 - share) * loss(the other's)``, gender and ethnicity
    too; `share` is drawn once a batch from Beta(`alpha`, `alpha`). What is learned by heart, such
    as a wrong label, no longer comes twice in the same picture.

    Args:
        alpha: of the Beta distribution; 0.2 mixes a little, 1 evenly.
        p: share of batches that are mixed, from 0 to 1.

    Raises:
        UsageError: an `alpha` that is not above 0, a `p` that is no probability; in use, a
            method whose head learns from the answers themselves.
    """

    def __init__(self, alpha: float = 0.4, p: float = 1.0) -> None:
        if alpha <= 0 or not 0 <= p <= 1:
            raise UsageError(
                f"mixup needs an alpha above 0 and a p from 0 to 1, got {alpha} and {p}"
            )
        self.alpha = alpha
        self.p = p

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Refuse what cannot be mixed."""
        del trainer
        if learns_by_step(cast("AgeModule", pl_module).model.head):
            raise UsageError(
                "mixup cannot be used with this method: its head learns from each answer and "
                "its age after the step; leave Mixup out of the callbacks"
            )

    @torch.no_grad()
    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: ChipBatch, batch_idx: int
    ) -> None:
        """Mix the batch's images in their place, and tell the module how."""
        del trainer, batch_idx
        if torch.rand(()).item() >= self.p:
            return
        share = torch.distributions.Beta(self.alpha, self.alpha).sample().item()
        others = torch.randperm(len(batch.rows)).to(batch.images.device)
        batch.images.lerp_(batch.images[others], 1 - share)
        cast("AgeModule", pl_module).mixed = Mixed(others, share)
