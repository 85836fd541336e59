"""Step 2: can the network learn a few samples by heart?"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from torch import Tensor

from agelens.data.age_data import AgeData
from agelens.data.splits.resolve_split import TRAIN, VALID
from agelens.data.training_input import ChipBatch
from agelens.models.age_model import AgeModel, ModelOutputs
from agelens.models.methods.base import AgeTargets
from agelens.progress import Progress, unseen
from agelens.training.training_loop import Training
from agelens.training.tuning.trials import LOST, RunFactory, TrialTable, run_trial, training_of

_BATCHES: Final = 8
_TOLERANCE: Final = 0.2


@dataclass(frozen=True, slots=True)
class UntrainedLoss:
    """Losses over the first batches of training.

    `measured` is that of the network as it starts; `expected` that of the same heads where
    every image has the features 0, so that all get the same answer: log K for K classes, for
    an L1 regression the mean distance of the training ages from the age it starts at.
    """

    measured: float
    expected: float
    samples: int
    trained_head: bool

    @property
    def as_expected(self) -> bool:
        """Within a fifth; or below, where the head starts from trained weights."""
        if self.trained_head:
            return self.measured < self.expected
        return abs(self.measured - self.expected) <= _TOLERANCE * abs(self.expected)


def untrained_loss(training: Training, *, batches: int = _BATCHES) -> UntrainedLoss:
    """Both losses, on a copy: batch norm in training mode counts what it sees.

    Args:
        training: nothing of it is changed.
        batches: of training to go over.
    """
    model = deepcopy(training.model).train()
    measured = expected = 0.0
    samples = 0
    with torch.no_grad():
        for batch in _first(training, batches):
            count = len(batch.rows)
            measured += count * float(_loss(model, model(batch.images), batch))
            expected += count * float(_loss(model, _constant(model, count), batch))
            samples += count
    trained = training.run.backbone.head == "packaged"
    return UntrainedLoss(measured / samples, expected / samples, samples, trained_head=trained)


def _first(training: Training, batches: int) -> Iterator[ChipBatch]:
    yield from islice(training.run.data.train_dataloader(), batches)


def _constant(model: AgeModel, samples: int) -> ModelOutputs:
    """What the heads make of features 0 for `samples` images."""
    features = torch.zeros(samples, model.backbone.features)
    if model.auxiliary is None:
        return ModelOutputs(model.head(features), {})
    features, logits = model.auxiliary(
        features, torch.zeros(samples, model.backbone.early_features)
    )
    return ModelOutputs(model.head(features), logits)


def _loss(model: AgeModel, outputs: ModelOutputs, batch: ChipBatch) -> Tensor:
    targets = AgeTargets(batch.labels["age_years"], batch.labels["age_std"])
    loss = model.method.loss(outputs.age, targets)
    if model.auxiliary is not None:
        loss = loss + model.auxiliary.loss(outputs.auxiliary, batch.labels)
    return loss


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


ENOUGH_YEARS: Final = 1.0
"""An error on the samples themselves below which they count as learnt."""

RATES: Final = (1.0, 3.0, 0.3)
"""Learning rates to try, over the configuration's, until one is enough."""

UNHINDERED: Final[dict[str, Any]] = {
    "schedule": {"class_path": "agelens.training.lr_scheduler.Constant"},
    "selection.patience": None,
    "optimizer.weight_decay": 0.0,
    "regularisers": [],
    "callbacks": [],
}
"""Changes that take away what keeps a network from learning by heart."""

_STEPS_A_LOOK: Final = 20


def overfit(
    make: RunFactory,
    path: Path,
    *,
    samples: int = 32,
    steps: int = 300,
    progress: Progress = unseen,
) -> pd.DataFrame:
    """Train on `samples` alone, at one rate after the other until they are learnt.

    Args:
        make: makes the runs.
        path: of the CSV file of the trials.
        samples: of the train part, spread over the ages.
        steps: of the optimiser, at each rate.
        progress: is told of each rate.

    Returns:
        `lr`, `step`, `loss`, `mae_years` on the samples themselves, every 20 steps.
    """
    table = TrialTable(path, ["lr"])
    for done, factor in enumerate(RATES):
        progress(done, len(RATES))
        lr = make.value("optimizer.lr") * factor
        if not table.has(lr):
            table.add(_curve(make, lr, samples, steps))
        if table.rows(lr)["mae_years"].min() <= ENOUGH_YEARS:
            break
    return table.frame


def _curve(make: RunFactory, lr: float, samples: int, steps: int) -> list[dict[str, float]]:
    training = training_of(make, {**UNHINDERED, "optimizer.lr": lr})
    few = FewSamplesData(FewSamples(training.run.data, samples), _STEPS_A_LOOK)
    trace = run_trial(training, epochs=max(1, steps // _STEPS_A_LOOK), data=few)
    rows = [
        {"step": look["step"], "loss": look["train/loss"], "mae_years": look["valid/mae"]}
        for look in trace.looks
    ]
    if trace.lost:
        rows.append({"step": len(trace.losses), "loss": LOST, "mae_years": LOST})
    return [{"lr": lr, **row} for row in rows]
