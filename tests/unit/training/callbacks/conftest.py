"""A small module that Lightning trains in milliseconds, and batches for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from agelens.data.training_input import ChipBatch
from agelens.models.age_model import AgeModel
from agelens.models.backbones.base import Backbone
from agelens.models.methods.base import AgeTargets
from agelens.models.methods.dex import DEX
from agelens.training.run_trainer import lightning_logging

SAMPLES, BATCH = 12, 4


class ToyBackbone(Backbone):
    """Three stages with batch norm; the second also drops features."""

    name = "toy"
    features = 4
    early_features = 4
    size = 8
    mean = (0.5, 0.5, 0.5)
    std = (0.25, 0.25, 0.25)
    stages = (("stem.", "norm1."), ("middle.",), ("last.", "norm2."))

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3)
        self.norm1 = nn.BatchNorm2d(4)
        self.middle = nn.Sequential(nn.Conv2d(4, 4, 3), nn.Dropout(0.5))
        self.last = nn.Conv2d(4, 4, 1)
        self.norm2 = nn.BatchNorm2d(4)

    def with_early(self, images: Tensor) -> tuple[Tensor, Tensor]:
        early = self.norm1(self.stem(images)).relu()
        maps = self.norm2(self.last(self.middle(early)))
        return maps.mean((2, 3)), early.mean((2, 3))


class Batches:
    """The same batches each epoch, as the trainer's own loaders give them."""

    batch_sampler = None

    def __init__(self, batches: list[ChipBatch], names: list[str]) -> None:
        self.batches = batches
        self.chips = SimpleNamespace(sample_ids=lambda rows: [names[row] for row in rows])

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[ChipBatch]:
        return iter(self.batches)


class ToyModule(pl.LightningModule):
    """Stochastic gradient descent on the loss of `DEX`; chance by the step alone."""

    def __init__(self, model: AgeModel, lr: float = 0.1) -> None:
        super().__init__()
        self.model = model
        self.lr = lr
        self.loss_parts: dict[str, Tensor] = {}
        self.seen: list[dict[str, Tensor]] = []
        self.history: list[dict[str, Tensor]] = []

    def training_step(self, batch: ChipBatch, batch_idx: int) -> Tensor:
        torch.manual_seed(1000 * self.trainer.current_epoch + batch_idx)
        ages = batch.labels["age_years"]
        loss = self.model.method.loss(self.model(batch.images).age, AgeTargets(ages, ages))
        extra = 0 * loss + 1
        self.loss_parts = {"age": loss.detach(), "extra": extra.detach()}
        return loss + extra

    def on_train_batch_end(self, *_: Any) -> None:
        self.history.append(state_of(self.model))

    def validation_step(self, batch: ChipBatch, batch_idx: int) -> None:
        if batch_idx == 0:
            self.seen.append(state_of(self.model))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), self.lr, momentum=0.9, weight_decay=0.1)


def state_of(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small are slower on two, and much slower where others have the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def toy() -> Callable[..., ToyModule]:
    """Makes the module anew, always from the same weights."""

    def make(**options: Any) -> ToyModule:
        torch.manual_seed(0)
        return ToyModule(AgeModel(ToyBackbone(), DEX("0-9")), **options)

    return make


@pytest.fixture
def batches() -> Batches:
    """Three batches of four samples, ``noise/0`` to ``noise/11``."""
    chance = torch.Generator().manual_seed(5)
    images = torch.randn(SAMPLES, 3, 8, 8, generator=chance)
    ages = torch.randint(0, 10, (SAMPLES,), generator=chance).float()
    rows = torch.arange(SAMPLES)
    parts = zip(images.split(BATCH), ages.split(BATCH), rows.split(BATCH), strict=True)
    made = [ChipBatch(chips, {"age_years": years}, place) for chips, years, place in parts]
    return Batches(made, [f"noise/{row}" for row in range(SAMPLES)])


@pytest.fixture
def state() -> Callable[[nn.Module], dict[str, Tensor]]:
    """A copy of a module's state."""
    return state_of


@pytest.fixture
def fit(tmp_path, batches) -> Callable[..., pl.Trainer]:
    """Trains a module with callbacks: ``fit(module, callback, epochs=2, ckpt_path=None)``."""

    def run(
        module: ToyModule,
        *callbacks: pl.Callback,
        epochs: int = 2,
        ckpt_path: Any = None,
        data: Any = None,
        **options: Any,
    ) -> pl.Trainer:
        with lightning_logging():
            trainer = _trainer(epochs, callbacks, options)
            data = data or batches
            trainer.fit(module, data, data, ckpt_path=ckpt_path, weights_only=True)
        return trainer

    def _trainer(epochs: int, callbacks: Any, options: dict[str, Any]) -> pl.Trainer:
        return pl.Trainer(
            accelerator="cpu",
            max_epochs=epochs,
            callbacks=list(callbacks),
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=tmp_path,
            num_sanity_val_steps=0,
            **options,
        )

    return run
