"""A few samples as one batch, again and again, in place of a run's own data."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from agelens.data.training_input import ChipBatch
from agelens.training.age_data import AgeData
from agelens.training.chosen_split import TRAIN, VALID


class FewSamples:
    """Samples of the train part, spread over its ages, without augmentation.

    Args:
        data: opened; it is left as it was.
        samples: how many; all where there are fewer.
    """

    def __init__(self, data: AgeData, samples: int) -> None:
        part = data.parts[TRAIN]
        by_age = np.argsort(part.age_years.numpy(), kind="stable")
        spread = np.linspace(0, len(part) - 1, min(samples, len(part))).round().astype(np.int64)
        plain = data.parts[VALID].datasets[0].transform
        augmenting = [dataset.transform for dataset in part.datasets]
        for dataset in part.datasets:
            dataset.transform = plain
        batch = part.batch(by_age[spread])
        for dataset, transform in zip(part.datasets, augmenting, strict=True):
            dataset.transform = transform
        self._names = part.sample_ids(batch.rows)
        self.batch = batch._replace(rows=torch.arange(len(batch.rows)))

    def __len__(self) -> int:
        return len(self._names)

    @property
    def age_years(self) -> Tensor:
        """Ages [N]."""
        return self.batch.labels["age_years"]

    def sample_ids(self, rows: Tensor) -> list[str]:
        """The samples that a batch's `rows` are."""
        return [self._names[row] for row in rows.tolist()]


class RepeatedBatch:
    """A loader that gives all of `chips` as one batch, `repeats` times an epoch."""

    batch_sampler = None  # Lightning looks whether a loader for evaluation shuffles

    def __init__(self, chips: FewSamples, repeats: int = 1) -> None:
        self.chips = chips
        self.repeats = repeats

    def __len__(self) -> int:
        return self.repeats

    def __iter__(self) -> Iterator[ChipBatch]:
        return iter([self.chips.batch] * self.repeats)


class FewSamplesData(pl.LightningDataModule):
    """The same samples to train and to validate on.

    Args:
        chips: the samples.
        repeats: how often an epoch of training gives them.
    """

    def __init__(self, chips: FewSamples, repeats: int) -> None:
        super().__init__()
        self.chips = chips
        self.repeats = repeats

    def train_dataloader(self) -> RepeatedBatch:
        """All samples, `repeats` times."""
        return RepeatedBatch(self.chips, self.repeats)

    def val_dataloader(self) -> RepeatedBatch:
        """All samples."""
        return RepeatedBatch(self.chips)
