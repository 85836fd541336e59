"""Faces in, a purifier out: the age branch, a training for each weight, and the best of them."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from agelens.atomic import write_atomically
from agelens.errors import TrainingError, UsageError
from agelens.recognition.age_groups import age_group_names, age_groups
from agelens.recognition.embedding_purifier.faces import IdentityFaces, batches, seed_torch
from agelens.recognition.embedding_purifier.settings import (
    AgeBranch,
    IdentityBranch,
    PurifierSettings,
)
from agelens.recognition.embedding_purifier.training import (
    EpochRow,
    LightTraining,
    State,
    across_age,
)
from agelens.recognition.embeddings.purifier import CARD

_PROGRESS: Final = "progress.pt"


class TrainingFolder:
    """Holds the progress of a training until its purifier is there.

    Args:
        path: of the folder; it is made when there is something to write.
        asked: plain types that tell one training from another; a folder's progress goes on only
            with the same.
        resume: go on with what progress it has, if any.

    Raises:
        UsageError: the folder holds a purifier, or anything else, and `resume` is not set; or its
            progress is that of another training.
        TrainingError: its progress cannot be read.
    """

    def __init__(self, path: Path, asked: dict[str, Any], *, resume: bool) -> None:
        self.path = path
        # As it will be read back: tuples become lists.
        self._asked = json.loads(json.dumps(asked))
        if (path / CARD).exists():
            raise UsageError(f"{path} holds a trained purifier; name another folder")
        if not resume and path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise UsageError(f"{path} exists and is not empty; name a new folder, or --resume")
        self.progress: list[dict[str, Any]] | None = None
        if resume and (path / _PROGRESS).exists():
            self.progress = self._read()

    def keep(self, progress: list[dict[str, Any]]) -> None:
        """Write `progress`, of tensors and plain types, in place of what was there.

        Raises:
            OutputError: it cannot be written; what was there is kept.
        """
        content = io.BytesIO()
        torch.save({"asked": self._asked, "progress": progress}, content)
        write_atomically(self.path / _PROGRESS, content.getvalue())

    def finish(self) -> None:
        """Forget the progress."""
        (self.path / _PROGRESS).unlink(missing_ok=True)

    def _read(self) -> list[dict[str, Any]]:
        path = self.path / _PROGRESS
        try:
            kept = torch.load(path, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, OSError, RuntimeError, EOFError, ValueError) as error:
            raise TrainingError(f"{path} cannot be read: {error}; begin in a new folder") from error
        if not isinstance(kept, dict) or kept.get("asked") != self._asked:
            raise UsageError(
                f"{path} is of a training with other faces or settings; give the same, or name a "
                "new folder"
            )
        progress: list[dict[str, Any]] = kept["progress"]
        return progress


def split_by_subject(
    faces: IdentityFaces, valid_share: float, seed: int
) -> tuple[IdentityFaces, IdentityFaces]:
    """`faces` in two: a random `valid_share` of the people comes second, whole.

    The same names and seed give the same people, whatever the order of the rows.

    Raises:
        UsageError: either part would have fewer than two people.
    """
    count = round(valid_share * len(faces.names))
    if min(count, len(faces.names) - count) < 2:
        raise UsageError(
            f"{valid_share:g} of {len(faces.names)} people leave fewer than two in one part; "
            "choose a share nearer to 0.2, or give more people"
        )
    chosen = np.random.default_rng(seed).permutation(len(faces.names))[:count]
    valid = np.isin(faces.people, chosen)
    return faces.take(~valid), faces.take(valid)


_AGE_BRANCH: Final = 0


@dataclass(frozen=True, slots=True, eq=False)
class TrainedAgeBranch:
    """A frozen age branch, and how often it is right about people it has not seen.

    `accuracy` is the share of validation faces whose age group it tells, `majority` what saying
    always the group most frequent in training would reach.
    """

    branch: AgeBranch
    accuracy: float
    majority: float


def train_age_branch(
    train: IdentityFaces, valid: IdentityFaces, settings: PurifierSettings
) -> TrainedAgeBranch:
    """Cross-entropy over IEFP's eight groups; the epoch that validates best is kept."""
    seed_torch(settings.seed, _AGE_BRANCH)
    groups = len(age_group_names())
    branch = AgeBranch(train.vectors.shape[1], groups, settings.blocks)
    optimizer = torch.optim.AdamW(
        branch.parameters(), settings.age_rate, weight_decay=settings.decay
    )
    vectors, labels = torch.from_numpy(train.vectors), _labels(train)
    best, state = float("inf"), copy.deepcopy(branch.state_dict())
    for epoch in range(settings.age_epochs):
        branch.train()
        for rows in batches(len(vectors), settings.batch, settings.seed, _AGE_BRANCH, epoch):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(branch(vectors[rows]), labels[rows])
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(branch.parameters(), settings.clip)
            optimizer.step()
        found = _validated(branch, valid)
        if found < best:
            best, state = found, copy.deepcopy(branch.state_dict())
    branch.load_state_dict(state)
    branch.freeze()
    majority = int(torch.bincount(labels, minlength=groups).argmax())
    right = branch(torch.from_numpy(valid.vectors)).argmax(1) == _labels(valid)
    return TrainedAgeBranch(
        branch, float(right.float().mean()), float((_labels(valid) == majority).float().mean())
    )


def _labels(faces: IdentityFaces) -> Tensor:
    return torch.from_numpy(age_groups(faces.ages))


@torch.no_grad()
def _validated(branch: AgeBranch, valid: IdentityFaces) -> float:
    branch.eval()
    scores = branch(torch.from_numpy(valid.vectors))
    return float(nn.functional.cross_entropy(scores, _labels(valid)))


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
    settings: PurifierSettings
    age: TrainedAgeBranch
    tried: tuple[WeightTried, ...]
    chosen: WeightTried
    raw_across_age: float
    people: dict[str, int]


def train_purifier(
    faces: IdentityFaces,
    settings: PurifierSettings,
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
        UsageError: see `split_by_subject`.
        TrainingError: a loss is no number.
        OutputError: progress cannot be written.
    """
    train, valid = split_by_subject(faces, settings.valid_share, settings.seed)
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


def asked_of(faces: IdentityFaces, settings: PurifierSettings) -> dict[str, Any]:
    """What tells one training from another."""
    return {
        "faces": fingerprint(faces),
        "model": faces.model.to_json(),
        "settings": settings.to_json(),
        "threads": torch.get_num_threads(),
    }
