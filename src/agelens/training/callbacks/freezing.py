"""Freezing: stages of the backbone that do not learn, for a while or for good."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.strategies import DDPStrategy
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm

from agelens.errors import UnknownNameError, UsageError
from agelens.models.age_model import AgeModel
from agelens.models.backbones.base import Backbone
from agelens.training.optimizers import lies_under


class StageFreezing(pl.Callback):
    """Keeps stages of the backbone as they are, and lets them go at given epochs.

    Frozen weights get no gradients, so no weight decay either, and their modules stay in
    evaluation mode: batch norm uses and keeps its running statistics, nothing is dropped.
    Which stages are frozen follows from the epoch alone, so a resumed run is right.

    Args:
        stages: how many, from the input up; or one prefix of each (`Backbone.stages`).
        unfreeze_at: epoch (from 0) at which all of them are let go; or an epoch for each,
            the last stage first. Stages beyond the list stay frozen. Nothing: all stay.

    Raises:
        UsageError: epochs that descend, or more of them than stages; in use, more stages
            than the backbone has.
        UnknownNameError: (in use) a name that is no stage's.
    """

    def __init__(
        self, stages: int | Sequence[str], unfreeze_at: int | Sequence[int] | None = None
    ) -> None:
        self.stages = stages if isinstance(stages, int) else tuple(stages)
        wanted = self.stages if isinstance(self.stages, int) else len(self.stages)
        if isinstance(unfreeze_at, int):
            unfreeze_at = [unfreeze_at] * wanted
        self.unfreeze_at = tuple(unfreeze_at or ())
        if wanted < 1 or len(self.unfreeze_at) > wanted:
            raise UsageError(
                f"freezing needs at least 1 stage, and at most as many epochs as stages to "
                f"unfreeze them; got {wanted} and {len(self.unfreeze_at)}"
            )
        if list(self.unfreeze_at) != sorted(self.unfreeze_at):
            raise UsageError(f"epochs to unfreeze at must ascend, got {list(self.unfreeze_at)}")

    def setup(self, _trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Freeze before the optimiser and the reducer of gradients are made."""
        if stage == "fit":
            self._hold(_backbone_of(pl_module), epoch=0)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Freeze and let go as this epoch has it."""
        backbone = _backbone_of(pl_module)
        before = [weight.requires_grad for weight in backbone.parameters()]
        self._hold(backbone, trainer.current_epoch)
        self._rest(backbone, trainer.current_epoch)
        changed = before != [weight.requires_grad for weight in backbone.parameters()]
        if changed and isinstance(trainer.strategy, DDPStrategy):
            # It noted at wrapping which weights learn, and would not share the others' gradients.
            trainer.strategy.model = pl_module
            trainer.strategy.configure_ddp()

    def _hold(self, backbone: Backbone, epoch: int) -> None:
        """Gradients for the chosen stages that are let go, none for the others."""
        chosen, held = _joined(self._chosen(backbone)), self._held(backbone, epoch)
        for name, weight in backbone.named_parameters():
            if _under(name, chosen):
                weight.requires_grad_(not _under(name, held))

    def _rest(self, backbone: Backbone, epoch: int) -> None:
        """Training mode for the chosen stages that are let go, evaluation for the others."""
        chosen, held = _joined(self._chosen(backbone)), self._held(backbone, epoch)
        for name, module in backbone.named_modules():
            if _under(name, chosen):
                module.train(not _under(name, held))

    def _held(self, backbone: Backbone, epoch: int) -> list[str]:
        """Prefixes of the stages that are frozen in `epoch`."""
        chosen = self._chosen(backbone)
        freed = sum(epoch >= limit for limit in self.unfreeze_at)
        return _joined(chosen[: max(0, len(chosen) - freed)])

    def _chosen(self, backbone: Backbone) -> list[tuple[str, ...]]:
        """Prefixes of each stage to freeze, from the input up."""
        stages = backbone.stages
        if isinstance(self.stages, int):
            if self.stages > len(stages):
                raise UsageError(
                    f"cannot freeze {self.stages} stages: the backbone has {len(stages)}, "
                    f"{_spelled(stages)}"
                )
            return list(stages[: self.stages])
        names = _joined(stages)
        for name in self.stages:
            if name not in names:
                raise UnknownNameError("stage", name, names)
        return [stage for stage in stages if set(stage) & set(self.stages)]


class FrozenBatchNorm(pl.Callback):
    """All batch norm uses and keeps the running statistics that it starts with.

    What two processes see in half a batch each then no longer matters, nor does a small
    batch. Its scales and offsets learn on. A network that starts at random has no
    statistics to keep: do not freeze there.
    """

    def on_train_batch_start(
        self, _trainer: pl.Trainer, pl_module: pl.LightningModule, _batch: Any, _batch_idx: int
    ) -> None:
        """At each batch, so that no other callback's order matters."""
        for module in pl_module.modules():
            if isinstance(module, BatchNorm):
                module.eval()


def _backbone_of(pl_module: pl.LightningModule) -> Backbone:
    model = pl_module.model
    if not isinstance(model, AgeModel):
        raise TypeError(f"freezing knows the stages of an AgeModel, not of {type(model)}")
    return model.backbone


def _under(name: str, prefixes: Sequence[str]) -> bool:
    return any(lies_under(name, prefix) for prefix in prefixes)


def _joined(stages: Sequence[Sequence[str]]) -> list[str]:
    return [prefix for stage in stages for prefix in stage]


def _spelled(stages: Sequence[Sequence[str]]) -> str:
    return "; ".join(", ".join(stage) for stage in stages)
