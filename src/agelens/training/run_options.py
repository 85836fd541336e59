"""Everything that a run is made of, as objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytorch_lightning as pl

from agelens.data.age_data import AgeData
from agelens.models.methods.base import AgeMethod
from agelens.training.epoch_metrics import Metric, Selection
from agelens.training.model_parts import AuxiliaryChoice, BackboneChoice
from agelens.training.optimizers import OptimizerChoice, Schedule
from agelens.training.regularisers.base import Regulariser


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointTimes:
    """When the last state is kept; the best one always is.

    Args:
        every_epochs: how many epochs pass between two.
        every_steps: also after so many steps of the optimiser, within epochs.
    """

    every_epochs: int = 1
    every_steps: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What `train` needs; `agelens.training.configuration` makes one of a file.

    `trainer` are arguments of Lightning's Trainer. `config` is the configuration as plain
    types, by which a resumed run is known; `metrics` are further figures of each validation,
    which change nothing of the training and are no part of it.
    """

    data: AgeData
    method: AgeMethod
    backbone: BackboneChoice
    optimizer: OptimizerChoice
    schedule: Schedule
    seed: int = 0
    auxiliary: AuxiliaryChoice = field(default_factory=AuxiliaryChoice)
    selection: Selection = field(default_factory=Selection)
    checkpoints: CheckpointTimes = field(default_factory=CheckpointTimes)
    regularisers: Sequence[Regulariser] = ()
    callbacks: Sequence[pl.Callback] = ()
    channels_last: bool = False
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    trainer: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
