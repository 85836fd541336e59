"""Chance in training as a function of the seed and the place in the run.

Random states need not be saved then: a resumed run draws at its step what an unbroken one
drew, in every process, whatever was drawn in between.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch

_EPOCHS, _STEPS = 0, 1


def reseed(*entropy: int) -> None:
    """Seed Python, NumPy and torch from the numbers `entropy`, each at least 0."""
    words = np.random.SeedSequence(entropy).generate_state(3, np.uint64)
    random.seed(int(words[0]))
    np.random.seed(int(words[1] >> np.uint64(32)))
    torch.manual_seed(int(words[2] >> np.uint64(1)))


class SeededSteps(pl.Callback):
    """Seeds every source of chance anew at each epoch and each batch.

    Args:
        seed: of the run.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """What is drawn before the first batch."""
        del pl_module
        reseed(self.seed, _EPOCHS, trainer.current_epoch, trainer.global_rank)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """What is drawn for a batch, such as by dropout."""
        del pl_module, batch
        reseed(self.seed, _STEPS, trainer.current_epoch, batch_idx, trainer.global_rank)
