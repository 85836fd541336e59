"""A run from start to end: train, and leave the branch that was trained in one folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import pytorch_lightning as pl
import torch
import yaml
from safetensors.torch import save
from torch import Tensor, distributed, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.modules.batchnorm import _BatchNorm

from agelens.atomic import is_helper
from agelens.errors import UsageError
from agelens.inference.cards import CARD_FILE
from agelens.models.backbones import Backbone
from agelens.recognition.margins import ClassWeights, MarginLoss
from agelens.recognition.purification import PurifiedBranch
from agelens.recognition.training.branch_choice import TwoBranches, start_as_iefp
from agelens.recognition.training.configuration import IdentityRun, configured
from agelens.recognition.training.epoch_losses import ClosedEpochs, EpochLosses, EpochLossLines
from agelens.recognition.training.identity_data import BranchInput, Stage, data_facts, data_hashes
from agelens.recognition.training.stages import AgeGroupModel, AgeStageModule, IdentityStageModule
from agelens.training.callbacks import NaNGuard
from agelens.training.checkpoints import (
    can_resume,
    check_same_config,
    read_checkpoint,
    resume_identity,
)
from agelens.training.engine import claimed
from agelens.training.optimizers import Plateau
from agelens.training.run_folder import RunFolder
from agelens.training.run_trainer import SeededSteps
from agelens.training.training_loop import RunLoop, progress_of


@dataclass(frozen=True, slots=True)
class StageParts:
    """A module ready to be trained.

    `trained` is the part of `module`, under `prefix` in its checkpoints, that is left for use,
    and `weights` gives its tensors; `report` says what became of the starting weights.
    """

    module: EpochLosses
    trained: nn.Module
    prefix: str
    weights: Callable[[], dict[str, Tensor]]
    report: str


def stage_parts(run: IdentityRun) -> StageParts:
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
    built = run.branch.build(run.initial)
    run.data.open("age", input_of(built.branch.backbone), seed=run.seed)
    model = AgeGroupModel(built.branch)
    if run.initial == "iefp":
        start_as_iefp(model.head)
    module = AgeStageModule(
        model,
        run.optimizer,
        run.schedule,
        gradient_clip=run.gradient_clip,
        identity=_identity(run),
    )
    return StageParts(module, model, "model.", model.weights, built.report)


def _identity_stage(run: IdentityRun) -> StageParts:
    built = run.branch.build(run.initial)
    wanted = input_of(built.branch.backbone)
    age, report = _age_branch(run, wanted)
    run.data.open("identity", wanted, seed=run.seed)
    classes = ClassWeights(
        run.data.identities, built.branch.features, sample_rate=run.classes.sample_rate
    )
    model = TwoBranches(built.branch, MarginLoss(classes, run.margin), age)
    if run.initial == "iefp":
        start_as_iefp(classes, *([] if model.club is None else [model.club]))
    module = IdentityStageModule(
        model,
        run.optimizer,
        run.likelihood_optimizer,
        run.schedule,
        club=run.club,
        gradient_clip=run.gradient_clip,
        clip_centres=run.clip_centres,
        sharded=run.classes.sharded,
        identity=_identity(run),
    )
    branch = built.branch
    report = f"{built.report}\n{report}"
    return StageParts(module, branch, "model.identity.", branch.state_dict, report)


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


class IdentityTraining(RunLoop):
    """A run of either stage; the last epoch is what it leaves."""

    run: IdentityRun

    def _build(self) -> tuple[EpochLosses, str]:
        self.parts = stage_parts(self.run)
        return self.parts.module, self.parts.report

    def _callbacks(self) -> list[pl.Callback]:
        own = [ClosedEpochs(), SeededSteps(self.run.seed), NaNGuard(), self.time, self.history]
        return [*own, *progress_of(self.quiet, EpochLossLines)]

    def _trainer_options(self) -> dict[str, Any]:
        options = super()._trainer_options()
        if self.run.stage == "identity" and options.get("strategy") == "ddp":
            options["strategy"] = _TWO_LOSSES
        on_processors = options.get("accelerator") == "cpu" or not torch.cuda.is_available()
        if options.get("sync_batchnorm") and on_processors:
            # Lightning would take torch's own, which refuses processors.
            share_batch_norm(self.parts.module)
            options["sync_batchnorm"] = False
        return options

    def _described(self) -> tuple[dict[str, Any], dict[str, Any]]:
        facts = data_facts(self.run.data)
        made_by = {
            "method": f"iefp ({self.run.stage} stage)",
            "backbone": self.run.branch.name,
            "train_data": "+".join(sorted(facts["datasets"])),
        }
        return made_by, facts

    def _test(self) -> None:
        """The trained part as the last checkpoint has it, which may be all that was done."""
        prefix = self.parts.prefix
        saved = read_checkpoint(self.folder.last)["state_dict"].items()
        self.parts.trained.load_state_dict(
            {name.removeprefix(prefix): value for name, value in saved if name.startswith(prefix)}
        )

    def _weights(self) -> bytes:
        return save({name: value.contiguous() for name, value in self.parts.weights().items()})

    def _results(self) -> dict[str, Any]:
        data = self.run.data
        return {
            "stage": self.run.stage,
            "identities": data.identities,
            "pictures": len(data.chips),
            "left_out": data.left_out,
            "parameters": sum(value.numel() for value in self.parts.weights().values()),
            "last_epoch": self.history.rows[-1],
        }


def train_identity(
    run: IdentityRun,
    folder: str | Path,
    *,
    quiet: bool = False,
    export: bool = True,
) -> dict[str, Any]:
    """Train in `folder`, as ``agelens identity train`` does, and export; returns the summary.

    Called again alike, it goes on where it was broken off, or returns what is finished: either
    goes on with the other's run. Nothing is written before data and networks have been made.

    Args:
        run: what to train, and how.
        folder: new, or that of the same run.
        quiet: print nothing on the way.
        export: in the identity stage, write the network and card that `open_extractor` takes.

    Raises:
        UsageError: options or data that do not go together; or the folder holds a run with another
            configuration or other data, and the message says what differs.
        CardError: starting weights that are absent, unsafe to read, or do not fit.
        TrainingError: a checkpoint is damaged or unsafe; or training broke down.
        ExportError: the exported network does not answer as the trained one.
        OutputError: the folder cannot be written; the last good checkpoint is kept.
    """
    run = run if run.config else configured(run)
    place = RunFolder(Path(folder), "agelens identity train")
    if place.config.is_file():
        check_same_config(place, run.config)
    training = IdentityTraining(run, place, quiet=quiet)
    with claimed(place, yaml.safe_dump(run.config, sort_keys=False, allow_unicode=True)):
        if place.summary.is_file():
            can_resume(place, training.identity)  # only if the data are the same
        else:
            training.run_to_end()
    if is_helper():  # Lightning started it beside the first process; its work is done
        raise SystemExit(0)
    if export and run.stage == "identity" and not (place.path / CARD_FILE).is_file():
        from agelens.recognition.training.identity_bundle import (  # noqa: PLC0415 - loads ONNX
            export_identity_run,
        )

        export_identity_run(place)
    return place.read(place.summary)


class SharedBatchNorm(_BatchNorm):
    """`nn.BatchNorm1d` or `2d` whose mean and variance in training are those of all processes."""

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected [N, C] or more axes, got {list(input.shape)}")

    def forward(self, input: Tensor) -> Tensor:
        """The values [N, C, ...], normalised by channel."""
        if not self.training:
            return super().forward(input)
        axes = [axis for axis in range(input.dim()) if axis != 1]
        wide = input.double()  # a sum of squares loses what the variance is made of
        count = wide.new_tensor([float(input.numel() / input.shape[1])])
        sums = _summed(torch.cat([count, wide.sum(axes)]))
        mean = sums[1:] / sums[0]
        shape = [1, -1, *[1] * (input.dim() - 2)]
        centred = wide - mean.reshape(shape)
        variance = _summed(centred.square().sum(axes)) / sums[0]
        self._remember(mean.detach(), variance.detach() * sums[0].detach() / (sums[0].detach() - 1))
        normed = (centred / (variance + self.eps).sqrt().reshape(shape)).to(input.dtype)
        if self.affine:
            normed = normed * self.weight.reshape(shape) + self.bias.reshape(shape)
        return normed

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        if not self.track_running_stats or self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None  # noqa: S101 - kept with the other two
        self.num_batches_tracked.add_(1)
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(variance.to(self.running_var.dtype), share)


def _summed(values: Tensor) -> Tensor:
    """Over all processes, and backwards too; a process by itself reckons alike."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return values
    return cast(Tensor, all_reduce(values))  # type: ignore[no-untyped-call]


def share_batch_norm(module: nn.Module) -> None:
    """Put `SharedBatchNorm` in place of every batch norm in `module`, with its own weights."""
    for part in module.modules():
        for name, child in list(part.named_children()):
            if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
                shared = SharedBatchNorm(
                    child.num_features,
                    child.eps,
                    child.momentum,
                    child.affine,
                    child.track_running_stats,
                )
                shared._parameters, shared._buffers = child._parameters, child._buffers
                shared.training = child.training
                setattr(part, name, shared)
