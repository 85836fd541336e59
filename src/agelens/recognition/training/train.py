"""A run from start to end: train, and leave the branch that was trained in one folder."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import pytorch_lightning as pl
from safetensors.torch import save
from torch import Tensor, nn

from agelens.atomic import write_atomically, write_json
from agelens.errors import TrainingError, UsageError
from agelens.models.backbones import Backbone
from agelens.recognition.margins import ClassWeights, MarginLoss
from agelens.recognition.purification import PurifiedBranch
from agelens.recognition.training.branch_choice import TwoBranches
from agelens.recognition.training.configuration import IdentityRun
from agelens.recognition.training.epoch_losses import ClosedEpochs, EpochLosses, EpochLossLines
from agelens.recognition.training.identity_data import BranchInput, Stage, data_facts, data_hashes
from agelens.recognition.training.stages import AgeGroupModel, AgeStageModule, IdentityStageModule
from agelens.training.callbacks import NaNGuard
from agelens.training.checkpoints import read_checkpoint
from agelens.training.epoch_history import EpochHistory, TimeShare
from agelens.training.lr_scheduler import Plateau
from agelens.training.resume_identity import can_resume, resume_identity
from agelens.training.run_folder import RunFolder
from agelens.training.run_trainer import (
    SeededSteps,
    check_epochs,
    environment,
    lightning_logging,
    reseed,
    run_trainer,
)
from agelens.training.training_loop import RunProgressBar


@dataclass(frozen=True, slots=True)
class StageParts:
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


def made(run: IdentityRun) -> StageParts:
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


def _age_stage(run: IdentityRun) -> StageParts:
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
    return StageParts(module, model, "model.", model.weights, built.report, identity)


def _identity_stage(run: IdentityRun) -> StageParts:
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
    return StageParts(module, branch, "model.identity.", branch.state_dict, report, identity)


_STAGES: Final[dict[Stage, Callable[[IdentityRun], StageParts]]] = {
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
    return {"config": resume_identity(run.config), "data": data_hashes(run.data)}


_TWO_LOSSES: Final = "ddp_find_unused_parameters_true"
"""Each of a batch's two losses reaches part of the weights, which plain ``ddp`` stumbles over."""


def train_identity(run: IdentityRun, folder: RunFolder, *, quiet: bool = False) -> dict[str, Any]:
    """Train in `folder`, from its last checkpoint where there is one; returns the summary.

    Other processes than the first return an empty one.

    Raises:
        UsageError: options or data that do not go together; or the last checkpoint is of
            another configuration or other data, and the message says what differs.
        CardError: starting weights that are absent, unsafe to read, or do not fit.
        TrainingError: the checkpoint is damaged or unsafe; or training broke down.
        OutputError: the folder cannot be written; the last good checkpoint is kept.
    """
    return IdentityTraining(run, folder, quiet=quiet).run_to_end()


class IdentityTraining:
    """One run: its data and networks, made ready on construction.

    Args:
        run: what to train, and how.
        folder: where to; what it holds of an earlier part of the same run is resumed.
        quiet: print nothing on the way.
    """

    def __init__(self, run: IdentityRun, folder: RunFolder, *, quiet: bool = False) -> None:
        check_epochs(run.trainer)
        self.run = run
        self.folder = folder
        self.quiet = quiet
        reseed(run.seed)
        self.made = made(run)
        self.history = EpochHistory(folder.metrics)
        self.time = TimeShare()

    def run_to_end(self) -> dict[str, Any]:
        """Train, write weights and summary; returns the summary."""
        resume = can_resume(self.folder, self.made.identity)
        trainer = self._trainer()
        if trainer.is_global_zero:
            self._describe()
        with lightning_logging():
            trainer.fit(
                self.made.module,
                datamodule=self.run.data,
                ckpt_path=self.folder.last if resume else None,
                weights_only=True,
            )
        if not self.history.rows:
            raise TrainingError(f"{self.folder.path}: no epoch was trained; see trainer.max_epochs")
        return self._leave() if trainer.is_global_zero else {}

    def _trainer(self) -> pl.Trainer:
        own = [ClosedEpochs(), SeededSteps(self.run.seed), NaNGuard(), self.time, self.history]
        callbacks = [*own, *self._progress()]
        return run_trainer(
            self.folder, self._options(), callbacks, self.run.checkpoints, quiet=self.quiet
        )

    def _options(self) -> dict[str, Any]:
        options = dict(self.run.trainer)
        if self.run.stage == "identity" and options.get("strategy") == "ddp":
            options["strategy"] = _TWO_LOSSES
        return options

    def _progress(self) -> list[pl.Callback]:
        if self.quiet:
            return []
        return [RunProgressBar()] if sys.stderr.isatty() else [EpochLossLines()]

    def _describe(self) -> None:
        run, data = self.run, self.run.data
        facts = data_facts(data)
        made_by = {
            "method": f"iefp ({run.stage} stage)",
            "backbone": run.branch.name,
            "train_data": "+".join(sorted(facts["datasets"])),
        }
        write_json(self.folder.environment, {**made_by, **environment(run.seed)})
        write_json(self.folder.data, facts)
        report = f"{self.made.report}\n"
        write_atomically(self.folder.path / "starting-weights.txt", report.encode())

    def _load_last(self) -> None:
        """The trained part as the last checkpoint has it, which may be all that was done."""
        prefix = self.made.prefix
        saved = read_checkpoint(self.folder.last)["state_dict"].items()
        self.made.trained.load_state_dict(
            {name.removeprefix(prefix): value for name, value in saved if name.startswith(prefix)}
        )

    def _leave(self) -> dict[str, Any]:
        """Write the last epoch's weights, and the summary."""
        self._load_last()
        weights = {name: value.contiguous() for name, value in self.made.weights().items()}
        write_atomically(self.folder.weights, save(weights))
        data = self.run.data
        summary = {
            "stage": self.run.stage,
            "identities": data.identities,
            "pictures": len(data.chips),
            "left_out": data.left_out,
            "epochs": len(self.history.rows),
            "seconds": round(self.history.seconds, 1),
            "model_time_share": round(self.time.share, 4) if self.time.seconds else None,
            "parameters": sum(value.numel() for value in weights.values()),
            "last_epoch": self.history.rows[-1],
        }
        write_json(self.folder.summary, summary)
        return summary
