"""Is a run sound before it is tuned: its untrained loss, and a few samples learnt by heart."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import optuna
import pandas as pd
import torch
from torch import Tensor

from agelens.data.age_data import AgeData
from agelens.data.splits.resolve_split import TRAIN, VALID, rows_by_store
from agelens.data.training_input import ChipBatch, ChipDataset
from agelens.data.training_input.batches import SplitDataset
from agelens.models.age_model import AgeModel, ModelOutputs
from agelens.models.methods.base import AgeTargets
from agelens.progress import Progress, unseen
from agelens.tables import SampleTable
from agelens.training.training_loop import Training
from agelens.training.tuning.search import LR, Study, at_rates, keep_curve
from agelens.training.tuning.trials import LOST, RunFactory, run_trial, training_of

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


def few_samples(data: AgeData, samples: int, looks: int) -> AgeData:
    """Samples of the train part, spread over its ages, to train and to validate on.

    An epoch gives all of them, as one batch without augmentation, `looks` times.

    Args:
        data: opened; it is left as it was.
        samples: how many; all where there are fewer.
        looks: batches an epoch.
    """
    part = data.parts[TRAIN]
    by_age = np.argsort(part.age_years.numpy(), kind="stable")
    spread = np.linspace(0, len(part) - 1, min(samples, len(part))).round().astype(np.int64)
    table = SampleTable(part.table.frame.iloc[by_age[spread]], part.table.extra)
    pieces = rows_by_store(table, data.stores)
    labels = ("age_years", "age_std", *data.words)
    datasets = [
        ChipDataset(store, table=piece, labels=labels, transform=data.transform, flagged=True)
        for store, piece in pieces
    ]
    chosen = SplitDataset(datasets, [piece for _, piece in pieces], data.words)
    few = AgeData(data.folders, batch_size=len(chosen), eval_batch_size=len(chosen), workers=0)
    few.draws = looks * len(chosen)
    few.parts = {TRAIN: chosen, VALID: chosen}
    return few


ENOUGH_YEARS: Final = 1.0
"""An error on the samples themselves below which they count as learnt."""

RATES: Final = (1.0, 3.0, 0.3)
"""Learning rates to try, over the configuration's, until one is enough."""

UNHINDERED: Final[dict[str, Any]] = {
    "schedule": {"class_path": "agelens.training.optimizers.Constant"},
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
        path: of the file that the study lies in.
        samples: of the train part, spread over the ages.
        steps: of the optimiser, at each rate.
        progress: is told of each rate.

    Returns:
        `lr`, `step`, `mae_years` on the samples themselves, every 20 steps.
    """
    study = Study(path, "overfit")

    def attempt(trial: optuna.Trial) -> float:
        training = training_of(make, {**UNHINDERED, **trial.params})
        few = few_samples(training.run.data, samples, _STEPS_A_LOOK)
        trace = run_trial(training, epochs=max(1, steps // _STEPS_A_LOOK), data=few)
        points = [(int(look["step"]), look["valid/mae"]) for look in trace.looks]
        keep_curve(trial, [*points, *([(len(trace.losses), LOST)] if trace.lost else [])])
        return LOST if trace.lost else min(years for _, years in points)

    rates = at_rates([make.value(LR) * factor for factor in RATES])
    study.run(rates, attempt, progress=progress, enough=ENOUGH_YEARS)
    return study.curves("mae_years")
