"""The step of the identity stage: two optimisers in turn on each batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from agelens.data.training_input import ChipBatch
from agelens.recognition.margins import SampledSGD
from agelens.recognition.training.epoch_losses import EpochLosses
from agelens.recognition.training.options import CLUBOptions, SGDOptions
from agelens.recognition.training.shard_state import load_shards, save_shards
from agelens.recognition.training.two_branches import TwoBranches
from agelens.training.schedules import Schedule

IDENTITY = "subject"


class IdentityStageModule(EpochLosses):
    """IEFP's training (Xie, Pun and Lam, IEEE TIFS 17, 2022).

    On each batch, first the likelihood network learns to tell the identity embedding from the
    age embedding, with the identity branch held; then the identity branch and the centres
    learn from L_FR + bound_weight * I, with the likelihood network held.

    Gradients are clipped by the norm over each network. The centres are left out of it: of
    shards, each process would have another norm, and the copies of the branch would part.

    Args:
        model: both branches, the margin, the bound.
        optimizer: of the identity branch and the centres.
        likelihood_optimizer: of the likelihood network.
        schedule: of both learning rates.
        club: the weights of bound and likelihood.
        gradient_clip: greatest norm; None does not clip.
        sharded: share the centres out among the processes.
        identity: see `EpochLosses`.
    """

    def __init__(
        self,
        model: TwoBranches,
        optimizer: SGDOptions,
        likelihood_optimizer: SGDOptions,
        schedule: Schedule,
        *,
        club: CLUBOptions,
        gradient_clip: float | None = 5.0,
        sharded: bool = False,
        identity: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(schedule, identity)
        self.automatic_optimization = False
        self.model = model
        self.optimizer_options = optimizer
        self.likelihood_options = likelihood_optimizer
        self.club = club
        self.gradient_clip = gradient_clip
        self.sharded = sharded

    def setup(self, stage: str) -> None:
        """Keep this process's centres, before a checkpoint's are loaded."""
        if stage == "fit" and self.sharded and self.trainer.world_size > 1:
            self.model.margin.classes.shard(self.trainer.global_rank, self.trainer.world_size)
            # Data parallelism would take the mean of shards that are different identities'.
            self._ddp_params_and_buffers_to_ignore = ["model.margin.classes.weight"]

    def configure_optimizers(self) -> Any:
        """The identity step's optimiser, and where there is a bound the likelihood's."""
        made: list[Optimizer] = []
        wanted = self.optimizer_options
        learned = [*self.model.identity.parameters(), *self.model.margin.parameters()]
        groups = [{"params": learned, "weight_decay": wanted.weight_decay}]
        classes = self.model.margin.classes
        made.append(SampledSGD(groups, classes, lr=wanted.lr, momentum=wanted.momentum))
        if self.model.club is not None:
            wanted = self.likelihood_options
            made.append(
                torch.optim.SGD(
                    self.model.club.parameters(),
                    lr=wanted.lr,
                    momentum=wanted.momentum,
                    weight_decay=wanted.weight_decay,
                )
            )
        return [self.rates(optimizer) for optimizer in made]

    def training_step(self, batch: ChipBatch, batch_idx: int) -> None:
        """Both optimisers in turn."""
        del batch_idx
        identity_step, *likelihood_step = _listed(self.optimizers())
        # One forward pass for both steps: in between, only the likelihood network moves.
        y_identity = self.model.identity(batch.images).float()
        terms: dict[str, Tensor] = {}
        x_age = None
        if likelihood_step:
            x_age = self.model.age_embeddings(batch.images)
            terms["likelihood"] = self.model.likelihood(x_age, y_identity)
            self._step(
                likelihood_step[0],
                {"likelihood": -self.club.likelihood_weight * terms["likelihood"]},
            )
        parts = {"identity": self.model.margin(y_identity, batch.labels[IDENTITY])}
        if x_age is not None:
            terms["bound"] = self.model.bound(x_age, y_identity)
            parts["bound"] = self.club.bound_weight * terms["bound"]
        loss = self._step(identity_step, parts)
        terms |= {"identity": parts["identity"], "loss": loss}
        self.count({name: value.detach() for name, value in terms.items()}, len(batch.images))
        for scheduler in _listed(self.lr_schedulers()):
            scheduler.step()

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Clip here: the scaled gradients of 16-bit floats have their own size again."""
        if self.gradient_clip is None:
            return
        centres = self.model.margin.classes.weight
        weights = [
            weight
            for group in optimizer.param_groups
            for weight in group["params"]
            if weight is not centres
        ]
        clip_grad_norm_(weights, self.gradient_clip)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """All centres, whichever process has them."""
        super().on_save_checkpoint(checkpoint)
        save_shards(checkpoint, self.model.margin.classes)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """This process's centres of all."""
        super().on_load_checkpoint(checkpoint)
        load_shards(checkpoint, self.model.margin.classes)

    def _step(self, optimizer: Any, parts: dict[str, Tensor]) -> Tensor:
        self.loss_parts = {name: part.detach() for name, part in parts.items()}
        loss = torch.stack(list(parts.values())).sum()
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()
        return loss


def _listed(one_or_more: Any) -> list[Any]:
    return list(one_or_more) if isinstance(one_or_more, list | tuple) else [one_or_more]
