"""The age branch: trained first, on age groups, then frozen."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from agelens.recognition.age_groups import age_group_names, age_groups
from agelens.recognition.light.branches import AgeBranch
from agelens.recognition.light.chance import batches, seed_torch
from agelens.recognition.light.faces import IdentityFaces
from agelens.recognition.light.settings import LightSettings

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
    train: IdentityFaces, valid: IdentityFaces, settings: LightSettings
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
