"""The step of the identity stage: two optimisers in turn on each batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor, distributed, nn
from torch.nn.utils import clip_grad_norm_, clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer

from agelens.data.training_input import ChipBatch
from agelens.recognition.age_groups import IEFP_CUTOFFS
from agelens.recognition.margins import ClassWeights, SampledSGD
from agelens.recognition.purification import PurifiedBranch
from agelens.recognition.training.branch_choice import TwoBranches
from agelens.recognition.training.configuration import CLUBOptions, SGDOptions
from agelens.recognition.training.epoch_losses import EpochLosses
from agelens.training.optimizers import Schedule

WEIGHT: Final = "model.margin.classes.weight"
"""The name of the centres in a checkpoint."""

_MOMENTUM: Final = "momentum_buffer"


def save_shards(checkpoint: dict[str, Any], classes: ClassWeights) -> None:
    """Put the centres of all processes, and their momentum, in place of this one's.

    Every process has to call it. Where nothing is sharded, nothing changes.
    """
    if classes.processes > 1:
        _replace(checkpoint, lambda shard: _whole(shard, classes))


def load_shards(checkpoint: dict[str, Any], classes: ClassWeights) -> None:
    """Leave of the centres in a checkpoint, and of their momentum, what is this process's."""
    if classes.processes > 1:
        _replace(checkpoint, lambda whole: whole[classes.stretch].clone())


def _replace(checkpoint: dict[str, Any], change: Callable[[Tensor], Tensor]) -> None:
    """Change the centres, which are the last weights of the first optimiser, and their momentum.

    Dictionaries are made anew: those of a checkpoint are the optimiser's own.
    """
    weights = checkpoint["state_dict"]
    checkpoint["state_dict"] = {**weights, WEIGHT: change(weights[WEIGHT])}
    first, *others = checkpoint["optimizer_states"]
    last = first["param_groups"][-1]["params"][-1]
    kept = first["state"].get(last, {})
    if kept.get(_MOMENTUM) is None:  # before the first step
        return
    states = {**first["state"], last: {**kept, _MOMENTUM: change(kept[_MOMENTUM])}}
    checkpoint["optimizer_states"] = [{**first, "state": states}, *others]


def _whole(shard: Tensor, classes: ClassWeights) -> Tensor:
    """The shards [C, features] of all processes, of which some have one row more."""
    longest = -(-classes.identities // classes.processes)
    padded = shard.new_zeros(longest, shard.shape[1])
    padded[: len(shard)] = shard
    parts = [torch.empty_like(padded) for _ in range(classes.processes)]
    distributed.all_gather(parts, padded)
    edges = [classes.identities * n // classes.processes for n in range(classes.processes + 1)]
    return torch.cat([part[: edges[n + 1] - edges[n]] for n, part in enumerate(parts)])


AGE = "age_years"


class AgeGroupModel(nn.Module):
    """The age branch with a linear layer for the eight age groups.

    Args:
        branch: what the identity stage will freeze.
    """

    def __init__(self, branch: PurifiedBranch) -> None:
        super().__init__()
        self.branch = branch
        self.head = nn.Linear(branch.features, len(IEFP_CUTOFFS) + 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B, 8] of normalised chips [B, 3, S, S]."""
        logits: Tensor = self.head(self.branch(images))
        return logits

    def weights(self) -> dict[str, Tensor]:
        """By name, the branch's as those of any branch, so that the identity stage reads them."""
        head = {f"head.{name}": value for name, value in self.head.state_dict().items()}
        return self.branch.state_dict() | head


class AgeStageModule(EpochLosses):
    """Cross-entropy of the age groups (Xie, Pun and Lam, IEEE TIFS 17, 2022).

    `metrics` also have the share of right groups and the mean distance in groups, over the
    epoch's samples as they were seen, before each step.

    Args:
        model: what is trained.
        optimizer: of all of it.
        schedule: of the learning rate.
        gradient_clip: greatest norm of the gradient; None does not clip.
        identity: see `EpochLosses`.
    """

    def __init__(
        self,
        model: AgeGroupModel,
        optimizer: SGDOptions,
        schedule: Schedule,
        *,
        gradient_clip: float | None = 5.0,
        identity: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(schedule, identity)
        self.model = model
        self.options = optimizer
        self.gradient_clip = gradient_clip

    def configure_optimizers(self) -> Any:
        """SGD over everything."""
        return self.rates(
            torch.optim.SGD(
                self.model.parameters(),
                lr=self.options.lr,
                momentum=self.options.momentum,
                weight_decay=self.options.weight_decay,
            )
        )

    def training_step(self, batch: ChipBatch, batch_idx: int) -> Tensor:
        """The loss of a batch."""
        del batch_idx
        groups = groups_of(batch.labels[AGE])
        logits = self.model(batch.images).float()
        loss = nn.functional.cross_entropy(logits, groups)
        self.loss_parts = {"age": loss.detach()}
        distance = (logits.detach().argmax(1) - groups).abs()
        terms = {
            "loss": loss.detach(),
            "right_group": (distance == 0).float().mean(),
            "group_distance": distance.float().mean(),
        }
        self.count(terms, len(batch.images))
        return loss

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Clip here: the scaled gradients of 16-bit floats have their own size again."""
        del optimizer
        if self.gradient_clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.gradient_clip)


def groups_of(age_years: Tensor) -> Tensor:
    """The age group int64 [B] of each age [B], as `agelens.recognition.age_groups` has it."""
    return torch.bucketize(age_years, age_years.new_tensor(IEFP_CUTOFFS))


IDENTITY = "subject"


class IdentityStageModule(EpochLosses):
    """IEFP's training (Xie, Pun and Lam, IEEE TIFS 17, 2022).

    On each batch, first the likelihood network learns to tell the identity embedding from the
    age embedding, with the identity branch held; then the identity branch and the centres
    learn from L_FR + bound_weight * I, with the likelihood network held.

    Gradients are clipped by the norm over each network, which is over the centres of identities
    as well where `clip_centres` says so. Of shards it is over those of all processes, so that the
    copies of the branch stay alike.

    Args:
        model: both branches, the margin, the bound.
        optimizer: of the identity branch and the centres.
        likelihood_optimizer: of the likelihood network.
        schedule: of both learning rates.
        club: the weights of bound and likelihood.
        gradient_clip: greatest norm; None does not clip.
        clip_centres: the identity step's norm is over branch and centres, and scales both.
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
        clip_centres: bool = False,
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
        self.clip_centres = clip_centres
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
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        others = [weight for weight in weights if weight is not centres]
        if not self.clip_centres or len(others) == len(weights):
            clip_grad_norm_(others, self.gradient_clip)
            return
        squares = [
            get_total_norm([weight.grad for weight in part if weight.grad is not None]).square()
            for part in (others, [centres])
        ]
        if self.model.margin.classes.processes > 1:
            distributed.all_reduce(squares[1])
        clip_grads_with_norm_(weights, self.gradient_clip, torch.stack(squares).sum().sqrt())

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
