"""The age branch's own training: the age group of each face."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from agelens.data.training_input import ChipBatch
from agelens.recognition.age_groups import IEFP_CUTOFFS
from agelens.recognition.purification.branch import PurifiedBranch
from agelens.recognition.training.epoch_losses import EpochLosses
from agelens.recognition.training.options import SGDOptions
from agelens.training.schedules import Schedule

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
