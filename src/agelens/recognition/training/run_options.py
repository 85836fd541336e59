"""Everything that a run is made of, as objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from agelens.recognition.margins import CosFace, Margin
from agelens.recognition.training.branch_choice import BranchChoice
from agelens.recognition.training.identity_data import IdentityData, Stage
from agelens.recognition.training.options import ClassOptions, CLUBOptions, SGDOptions
from agelens.training.run_options import CheckpointTimes
from agelens.training.schedules import MultiStep, Schedule


def published_schedule() -> Schedule:
    """IEFP's: a tenth at epochs 10, 18 and 22, of 25."""
    return MultiStep([10, 18, 22], 0.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityRun:
    """What `train_identity` needs; `recognition.training.configuration` makes one of a file.

    The age stage takes `branch`, `optimizer`, `schedule` and what is below them.

    Args:
        stage: ``age`` trains the age branch on age groups, ``identity`` the identity branch
            beside a trained age branch.
        data: stores and labels.
        branch: what is trained.
        age_branch: what is frozen beside it; read where the bound has a weight.
        margin: of the loss over identities.
        classes: their centres.
        club: the bound's weight and the likelihood's.
        optimizer: of the branch that is trained, and the centres.
        likelihood_optimizer: of the likelihood network.
        schedule: of all learning rates.
        gradient_clip: greatest norm over each network's gradients.
        checkpoints: in the identity stage, a batch counts as two steps of an optimiser.
        trainer: arguments of Lightning's Trainer.
        config: the configuration as plain types, by which a resumed run is known.
    """

    stage: Stage
    data: IdentityData
    seed: int = 0
    branch: BranchChoice = field(default_factory=BranchChoice)
    age_branch: BranchChoice = field(default_factory=BranchChoice)
    margin: Margin = field(default_factory=CosFace)
    classes: ClassOptions = field(default_factory=ClassOptions)
    club: CLUBOptions = field(default_factory=CLUBOptions)
    optimizer: SGDOptions = field(default_factory=SGDOptions)
    likelihood_optimizer: SGDOptions = field(default_factory=SGDOptions)
    schedule: Schedule = field(default_factory=published_schedule)
    gradient_clip: float | None = 5.0
    checkpoints: CheckpointTimes = field(default_factory=CheckpointTimes)
    trainer: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
