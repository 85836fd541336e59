"""Faces in, a purifier out: the age branch, a training for each weight, and the best of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from agelens.recognition.light.across_age import across_age
from agelens.recognition.light.age_branch_training import TrainedAgeBranch, train_age_branch
from agelens.recognition.light.branches import IdentityBranch
from agelens.recognition.light.faces import IdentityFaces
from agelens.recognition.light.people_parts import by_people
from agelens.recognition.light.settings import LightSettings
from agelens.recognition.light.training import EpochRow, LightTraining, State
from agelens.recognition.light.training_folder import TrainingFolder


@dataclass(frozen=True, slots=True)
class WeightTried:
    """What validation says of one weight: the score of its best epoch, 0 being no training."""

    weight: float
    best_epoch: int
    across_age: float
    rows: tuple[EpochRow, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Purification:
    """A trained identity branch, and how it was chosen.

    `raw_across_age` is what the extractor's own embedding scores on the same validation pairs.
    `people` counts those of each part.
    """

    branch: IdentityBranch
    settings: LightSettings
    age: TrainedAgeBranch
    tried: tuple[WeightTried, ...]
    chosen: WeightTried
    raw_across_age: float
    people: dict[str, int]


def train_purifier(
    faces: IdentityFaces,
    settings: LightSettings,
    folder: TrainingFolder | None = None,
    tell: Callable[[float, EpochRow], None] = lambda _weight, _row: None,
) -> Purification:
    """Train a purifier for each of the weights, and keep the one that validates best.

    Args:
        faces: of two parts of which nobody is in both, the second for validation.
        settings: all that decides beside them.
        folder: keeps the progress after each epoch, and has what to go on from.
        tell: called with the weight and the figures of each epoch.

    Raises:
        TableError: see `across_age`.
        UsageError: see `by_people`.
        TrainingError: a loss is no number.
        OutputError: progress cannot be written.
    """
    train, valid = by_people(faces, settings.valid_share, settings.seed)
    age = train_age_branch(train, valid, settings)
    pairs = across_age(valid, settings.seed)
    states: list[State] = list((folder.progress if folder else None) or [])
    trainings = []
    for number, weight in enumerate(settings.weights):
        training = LightTraining(train, valid, age.branch, pairs, settings=settings, weight=weight)
        if number < len(states):
            training.restore(states[number])
        for row in training.epochs():
            states[number:] = [training.state()]
            if folder:
                folder.keep(states)
            tell(weight, row)
        trainings.append(training)
    tried = [_tried(training) for training in trainings]
    best = max(range(len(tried)), key=lambda number: tried[number].across_age)
    return Purification(
        branch=trainings[best].best_branch(),
        settings=settings,
        age=age,
        tried=tuple(tried),
        chosen=tried[best],
        raw_across_age=trainings[0].raw_score,
        people={"train": len(train.names), "valid": len(valid.names)},
    )


def _tried(training: LightTraining) -> WeightTried:
    return WeightTried(
        training.weight, training.best_epoch, training.best_score, tuple(training.rows)
    )


def fingerprint(faces: IdentityFaces) -> str:
    """A SHA-256 of all that training sees of `faces`."""
    whole = hashlib.sha256()
    for part in (faces.vectors, faces.people, faces.ages):
        whole.update(np.ascontiguousarray(part).tobytes())
    whole.update("\n".join(faces.names).encode())
    return whole.hexdigest()


def asked_of(faces: IdentityFaces, settings: LightSettings) -> dict[str, Any]:
    """What tells one training from another."""
    return {
        "faces": fingerprint(faces),
        "model": faces.model.to_json(),
        "settings": settings.to_json(),
        "threads": torch.get_num_threads(),
    }
