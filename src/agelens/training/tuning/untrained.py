"""Step 1: is the loss of the untrained network what it has to be?"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from itertools import islice
from typing import Final

import torch
from torch import Tensor

from agelens.data.training_input import ChipBatch
from agelens.models.age_model import AgeModel, ModelOutputs
from agelens.models.methods.base import AgeTargets
from agelens.training.train import Training

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
