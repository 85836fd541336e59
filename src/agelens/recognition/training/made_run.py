"""The networks and the module of each stage, made of a run's options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from torch import Tensor, nn

from agelens.errors import UsageError
from agelens.models.backbones import Backbone
from agelens.recognition.margins import ClassWeights, MarginLoss
from agelens.recognition.purification.branch import PurifiedBranch
from agelens.recognition.training.age_stage import AgeGroupModel, AgeStageModule
from agelens.recognition.training.data_facts import data_hashes
from agelens.recognition.training.epoch_losses import EpochLosses
from agelens.recognition.training.identity_data import BranchInput, Stage
from agelens.recognition.training.identity_stage import IdentityStageModule
from agelens.recognition.training.run_options import IdentityRun
from agelens.recognition.training.two_branches import TwoBranches
from agelens.training.resumable import same_run
from agelens.training.schedules import Plateau


@dataclass(frozen=True, slots=True)
class MadeRun:
    """A module ready to be trained.

    `trained` is the part of `module`, under `prefix` in its checkpoints, that is left for use,
    and `weights` gives its tensors; `report` says what became of the starting weights;
    `identity` is what a checkpoint has to agree with.
    """

    module: EpochLosses
    trained: nn.Module
    prefix: str
    weights: Callable[[], dict[str, Tensor]]
    report: str
    identity: dict[str, Any]


def made(run: IdentityRun) -> MadeRun:
    """Open the run's data and build what its stage trains.

    Raises:
        UsageError: options that do not go together, or data without the stage's labels.
        CardError: starting weights that are absent, unsafe to read, or do not fit.
        AgelensError: what else data and networks refuse.
    """
    if isinstance(run.schedule, Plateau):
        raise UsageError("a plateau needs a validation, and these stages have none")
    return _STAGES[run.stage](run)


def input_of(backbone: Backbone) -> BranchInput:
    """What chips a backbone takes."""
    return BranchInput(backbone.size, backbone.mean, backbone.std)


def _age_stage(run: IdentityRun) -> MadeRun:
    built = run.branch.build()
    run.data.open("age", input_of(built.branch.backbone), seed=run.seed)
    model = AgeGroupModel(built.branch)
    identity = _identity(run)
    module = AgeStageModule(
        model,
        run.optimizer,
        run.schedule,
        gradient_clip=run.gradient_clip,
        identity=identity,
    )
    return MadeRun(module, model, "model.", model.weights, built.report, identity)


def _identity_stage(run: IdentityRun) -> MadeRun:
    built = run.branch.build()
    wanted = input_of(built.branch.backbone)
    age, report = _age_branch(run, wanted)
    run.data.open("identity", wanted, seed=run.seed)
    classes = ClassWeights(
        run.data.identities, built.branch.features, sample_rate=run.classes.sample_rate
    )
    model = TwoBranches(built.branch, MarginLoss(classes, run.margin), age)
    identity = _identity(run)
    module = IdentityStageModule(
        model,
        run.optimizer,
        run.likelihood_optimizer,
        run.schedule,
        club=run.club,
        gradient_clip=run.gradient_clip,
        sharded=run.classes.sharded,
        identity=identity,
    )
    branch = built.branch
    report = f"{built.report}\n{report}"
    return MadeRun(module, branch, "model.identity.", branch.state_dict, report, identity)


_STAGES: Final[dict[Stage, Callable[[IdentityRun], MadeRun]]] = {
    "age": _age_stage,
    "identity": _identity_stage,
}


def _age_branch(run: IdentityRun, wanted: BranchInput) -> tuple[PurifiedBranch | None, str]:
    if not run.club.bound_weight:
        return None, "age branch: none, since the bound has no weight"
    built = run.age_branch.build_trained()
    own = input_of(built.branch.backbone)
    if own != wanted:
        raise UsageError(
            f"both branches see the same chips, but the age branch wants {own} and the identity "
            f"branch {wanted}"
        )
    return built.branch, f"age branch: {built.report}"


def _identity(run: IdentityRun) -> dict[str, Any]:
    return {"config": same_run(run.config), "data": data_hashes(run.data)}
