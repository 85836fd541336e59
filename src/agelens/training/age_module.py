"""One step, one validation: what Lightning runs for any method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

import numpy as np
import pytorch_lightning as pl
import torch
from lightning_utilities.core.apply_func import apply_to_collection
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn

from agelens.data.training_input import ChipBatch
from agelens.inference.answers import read_answers
from agelens.models.age_model import AgeModel, ModelOutputs
from agelens.models.methods.base import AgeTargets, LearningHead
from agelens.records import Floats
from agelens.training.epoch_metrics import (
    LossAverager,
    Metric,
    PredictionGatherer,
    Selection,
    TrainingErrors,
    told_accuracies,
    validation_metrics,
)
from agelens.training.optimizers import (
    OptimizerChoice,
    Plateau,
    Schedule,
    lr_scheduler,
    refresh_rates,
    steps_per_epoch,
)
from agelens.training.regularisers.base import Regulariser


class HeadLearning(pl.Callback):
    """Calls a head's `after_step` at each batch's end, with the batch of all processes.

    A callback, since at a batch's end those come before the module itself, and the
    checkpoint of the step is one of them.
    """

    @torch.no_grad()
    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: ChipBatch,
        batch_idx: int,
    ) -> None:
        """See `LearningHead.after_step`."""
        del outputs, batch, batch_idx
        module = cast("AgeModule", pl_module)
        head = module.model.head
        if module.seen is None or not isinstance(head, LearningHead):
            return
        seen, module.seen = module.seen, None
        if trainer.world_size > 1:
            seen = apply_to_collection(module.all_gather(seen), Tensor, _of_all)
        head.after_step(*seen)


def learns_by_step(head: nn.Module) -> bool:
    """Whether `head` has something to do after a batch."""
    return isinstance(head, LearningHead) and type(head).after_step is not LearningHead.after_step


def _of_all(gathered: Tensor) -> Tensor:
    """[processes, B, ...] to [processes * B, ...]."""
    return gathered.flatten(0, 1)


class Mixed(NamedTuple):
    """A batch whose images are `share` their own and else those at `others`, int64 [B]."""

    others: Tensor
    share: float


STATE: Final = "agelens"
"""Key of what this module adds to a checkpoint."""


class AgeModule(pl.LightningModule):
    """Trains an `AgeModel`: its method's loss, its auxiliary heads' losses, regularisers.

    After each validation `metrics` holds the epoch's figures by name, and `improved` says
    whether it is the best so far. `loss_parts` are the terms of the last batch's loss. What sets
    `mixed` before a step has mixed the batch's images; the training's own errors count against
    each image's first age.

    Args:
        model: what is trained.
        optimizer: made once Lightning asks for it.
        schedule: of the learning rate.
        selection: which epoch is the best.
        regularisers: terms added to the loss, which hold their own weights.
        channels_last: memory layout of images and weights; often faster for convolutions.
        metrics: further figures of each validation by name.
        identity: what a checkpoint has to agree with to be resumed, in plain types.
    """

    def __init__(
        self,
        model: AgeModel,
        optimizer: OptimizerChoice,
        schedule: Schedule,
        *,
        selection: Selection | None = None,
        regularisers: Sequence[Regulariser] = (),
        channels_last: bool = False,
        metrics: Mapping[str, Metric] | None = None,
        identity: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.make_optimizer = optimizer
        self.schedule = schedule
        self.selection = selection or Selection()
        self.regularisers = tuple(regularisers)
        self.channels_last = channels_last
        self.further_metrics = dict(metrics or {})
        self.identity = identity or {}
        self.metrics: dict[str, float] = {}
        self.improved = False
        self.loss_parts: dict[str, Tensor] = {}
        self.answers: dict[int, Floats] = {}
        self._collected: dict[int, PredictionGatherer] = {}
        self.seen: tuple[Any, AgeTargets] | None = None
        self.mixed: Mixed | None = None
        self._sums = LossAverager()
        self._errors = TrainingErrors(model.method.spec)
        self._rate = 0.0

    def setup(self, stage: str) -> None:
        """Let regularisers see the starting weights, before a checkpoint replaces them."""
        if self.channels_last:
            self.model.to(memory_format=torch.channels_last)
        if stage == "fit":
            for regulariser in self.regularisers:
                regulariser.setup(self.model)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The optimiser, and its learning rate as a function of the step."""
        optimizer = self.make_optimizer(self.model)
        rates = lr_scheduler(
            optimizer,
            self.schedule,
            steps_per_epoch=steps_per_epoch(self.trainer),
            epochs=self.trainer.max_epochs or 1,
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": rates, "interval": "step"}}

    def on_train_start(self) -> None:
        """A run that had stopped for want of patience is not begun again."""
        if self.metrics and self.selection.is_over(self.trainer.current_epoch - 1):
            self.trainer.should_stop = True

    def training_step(self, batch: ChipBatch, batch_idx: int) -> Tensor:
        """The loss of a batch."""
        del batch_idx
        images = self._images(batch)
        outputs = self._run(images)
        targets = _targets(batch)
        parts = self._parts(outputs, batch)
        if self.mixed is not None:
            (others, share), self.mixed = self.mixed, None
            labels = {column: values[others] for column, values in batch.labels.items()}
            theirs = self._parts(outputs, batch._replace(labels=labels))
            parts = {name: share * one + (1 - share) * theirs[name] for name, one in parts.items()}
        for regulariser in self.regularisers:
            name = regulariser.name
            parts[name] = parts.get(name, 0) + regulariser(self.model, images, outputs)
        loss = torch.stack(list(parts.values())).sum()
        self.loss_parts = {name: part.detach() for name, part in parts.items()}
        self.seen = (outputs.age, targets) if learns_by_step(self.model.head) else None
        self._rate = self.trainer.optimizers[0].param_groups[-1]["lr"]
        self._sums.add("train", {**self.loss_parts, "loss": loss.detach()}, len(images))
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            self._errors.add(self.model.method.answer(outputs.age), targets.age_years)
        self.log("step/loss", loss.detach(), prog_bar=True, on_step=True, on_epoch=False)
        return loss

    def configure_callbacks(self) -> list[pl.Callback]:
        """Heads learn at the end of each batch, from what `seen` holds."""
        return [HeadLearning()]

    def validation_step(self, batch: ChipBatch, batch_idx: int) -> None:
        """Answers are collected; the loss is the method's own."""
        del batch_idx
        outputs = self._answer(0, batch, self.trainer.val_dataloaders)
        parts = self._parts(outputs, batch)
        loss = torch.stack(list(parts.values())).sum()
        self._sums.add("valid", {**parts, "loss": loss}, len(batch.rows))

    def on_validation_epoch_end(self) -> None:
        """Metrics over all samples, and what hangs on them: the best epoch, heads, rates."""
        spec, told = self.model.method.spec, self.model.told
        answers = self._collected.pop(0).whole()
        chips = cast(Any, self.trainer.val_dataloaders).chips
        ages = np.asarray(chips.age_years, dtype=np.float64)
        estimates = read_answers(answers[:, : spec.width], spec).estimate_years
        metrics = validation_metrics(estimates, ages, self.further_metrics)
        codes = {column: chips.labels(column).numpy() for column in told}
        metrics |= told_accuracies(answers[:, spec.width :], told, codes)
        if self.trainer.state.fn != TrainerFn.FITTING:
            self.metrics = metrics
            return
        epoch = self.trainer.current_epoch
        self.improved = self.selection.observe(epoch, metrics)
        if isinstance(self.model.head, LearningHead):
            years = torch.as_tensor(estimates - ages, dtype=torch.float32, device=self.device)
            self.model.head.after_epoch(years, best=self.improved)
        if isinstance(self.schedule, Plateau):
            self.schedule.observe(self.selection.cost(metrics))
            refresh_rates(self.lr_schedulers())
        valid = {f"valid/{name}": value for name, value in metrics.items()}
        train = {f"train/{name}": value for name, value in self._errors.means().items()}
        self.metrics = {"lr": self._rate, **self._sums.means(), **train, **valid}
        shown = ("valid/mae",)
        for name, value in self.metrics.items():
            self.log(name, value, prog_bar=name in shown, rank_zero_only=True)
        if self.selection.is_over(epoch):
            self.trainer.should_stop = True

    def test_step(self, batch: ChipBatch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Answers are collected."""
        del batch_idx
        loaders = self.trainer.test_dataloaders
        self._answer(dataloader_idx, batch, loaders[dataloader_idx] if loaders else None)

    def on_test_epoch_end(self) -> None:
        """Whole answers [N, width] by number of the loader, see `AgeModel.answers`."""
        self.answers = {place: one.whole() for place, one in self._collected.items()}
        self._collected = {}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """What a resumed run must agree with, and go on from."""
        state = {
            "identity": self.identity,
            "selection": self.selection.state_dict(),
            "metrics": self.metrics,
            "sums": self._sums.state_dict(),
            "errors": self._errors.state_dict(),
        }
        if isinstance(self.schedule, Plateau):
            state["plateau"] = self.schedule.state_dict()
        checkpoint[STATE] = state

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up what `on_save_checkpoint` left."""
        state = checkpoint[STATE]
        self.selection.load_state_dict(state["selection"])
        self.metrics = state["metrics"]
        self._sums.load_state_dict(state["sums"])
        if "errors" in state:  # not in checkpoints of before they were kept
            self._errors.load_state_dict(state["errors"])
        if isinstance(self.schedule, Plateau):
            self.schedule.load_state_dict(state["plateau"])

    def _images(self, batch: ChipBatch) -> Tensor:
        if self.channels_last:
            return batch.images.contiguous(memory_format=torch.channels_last)
        return batch.images

    def _run(self, images: Tensor) -> ModelOutputs:
        """Outputs in 32 bits, whatever the network reckoned in: losses and sums need them."""
        outputs: ModelOutputs = apply_to_collection(self.model(images), Tensor, _single)
        return outputs

    def _parts(self, outputs: ModelOutputs, batch: ChipBatch) -> dict[str, Tensor]:
        with torch.autocast(self.device.type, enabled=False):
            parts = self.model.method.loss_parts(outputs.age, _targets(batch))
            if self.model.auxiliary is not None:
                parts |= self.model.auxiliary.losses(outputs.auxiliary, batch.labels)
        return parts

    def _answer(self, place: int, batch: ChipBatch, loader: Any) -> ModelOutputs:
        outputs = self._run(self._images(batch))
        if place not in self._collected:
            width = self.model.method.spec.width + self.model.told_width
            self._collected[place] = PredictionGatherer(len(loader.chips), width)
        with torch.autocast(self.device.type, enabled=False):
            self._collected[place].add(torch.cat(self.model.answers_of(outputs), dim=1), batch.rows)
        return outputs


def _targets(batch: ChipBatch) -> AgeTargets:
    return AgeTargets(batch.labels["age_years"], batch.labels["age_std"])


def _single(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor
