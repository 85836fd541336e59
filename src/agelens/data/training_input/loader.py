"""Batches of a chip dataset: samplers and a loader that keeps batches whole."""

from __future__ import annotations

from typing import Any

import cv2
import torch
from numpy.typing import ArrayLike
from torch.utils.data import DataLoader, RandomSampler, Sampler, WeightedRandomSampler

from agelens.data.training_input.age_weights import AGE_WEIGHTS
from agelens.data.training_input.chip_dataset import ChipBatch, ChipDataset
from agelens.errors import UnknownNameError


def age_sampler(
    ages: ArrayLike, scheme: str = "uniform", *, seed: int = 0, draws: int | None = None
) -> Sampler[int]:
    """A sampler of as many samples as there are ages, or `draws`.

    Args:
        ages: in years, one a sample of the dataset, in its order.
        scheme: a name in `AGE_WEIGHTS`. ``uniform`` takes each sample once, in random order;
            the others draw with replacement.
        seed: equal seeds give equal orders, in every epoch.
        draws: how many samples make an epoch.

    Raises:
        UnknownNameError: no such scheme.
        UsageError: an age is unknown.
    """
    if scheme not in AGE_WEIGHTS:
        raise UnknownNameError("sampling scheme", scheme, AGE_WEIGHTS)
    weights = AGE_WEIGHTS[scheme](ages)
    generator = torch.Generator().manual_seed(seed)
    if scheme == "uniform":
        return RandomSampler(range(len(weights)), num_samples=draws, generator=generator)
    return WeightedRandomSampler(weights.tolist(), draws or len(weights), generator=generator)


def chip_loader(
    dataset: ChipDataset,
    *,
    batch_size: int,
    sampler: Sampler[int] | None = None,
    workers: int = 0,
    drop_last: bool = False,
) -> DataLoader[ChipBatch]:
    """A `DataLoader` whose batches are made whole by the dataset, in order without a sampler."""
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        num_workers=workers,
        collate_fn=_made_already,
        drop_last=drop_last,
        pin_memory=torch.cuda.is_available(),
        persistent_workers=workers > 0,
        worker_init_fn=_one_thread,
    )


def _made_already(batch: Any) -> Any:
    return batch


def _one_thread(_: int) -> None:
    """OpenCV's own threads do not survive a fork, and would only crowd the other workers."""
    cv2.setNumThreads(0)
