from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from agelens.data.age_data import AgeData
from agelens.data.training_input.chip_dataset import NetworkInput
from agelens.models.age_model import AgeModel, ModelOutputs
from agelens.models.backbones.base import Backbone
from agelens.models.methods.base import AgeTargets, LearningHead
from agelens.models.methods.regression import L1Regression
from agelens.training.age_module import AgeModule
from agelens.training.epoch_metrics import Selection
from agelens.training.optimizers import SGD, Constant, OptimizerChoice, Plateau, Schedule, Step
from agelens.training.regularisers.base import Regulariser
from agelens.training.run_trainer import reseed


class Brightness(Backbone):
    """One convolution, pooled."""

    features, early_features, size = 4, 4, 32
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    stages = (("layer",),)

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 1)

    def with_early(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.layer(images).mean((2, 3))
        return features, features


class WatchingHead(LearningHead):
    """Writes down what it is told, and puts weights in place as a forest does its leaves."""

    def __init__(self, features: int, told: list[Any]) -> None:
        super().__init__()
        self.layer = nn.Linear(features, 1)
        self.told = told
        self.register_buffer("state", torch.ones(1))

    def forward(self, features: Tensor) -> Tensor:
        out: Tensor = self.layer(features)[:, 0] * self.state
        return out

    def after_step(self, outputs: Any, targets: AgeTargets) -> None:
        assert not torch.is_grad_enabled()
        self.state += 0.01
        self.told.append(("step", outputs.detach().clone(), targets.age_years.clone()))

    def after_epoch(self, errors_years: Tensor, *, best: bool) -> None:
        assert not torch.is_grad_enabled()
        self.told.append(("epoch", errors_years.clone(), best))


class Watched(L1Regression):
    def __init__(self) -> None:
        super().__init__("0-100")
        self.told: list[Any] = []

    def head(self, features: int) -> nn.Module:
        return WatchingHead(features, self.told)

    def loss(self, outputs: Tensor, targets: AgeTargets) -> Tensor:
        self.told.append(("loss", outputs.detach().clone(), outputs.dtype))
        return (outputs - targets.age_years).abs().mean()

    def posterior(self, outputs: Tensor) -> Tensor:
        return torch.stack([outputs, torch.ones_like(outputs)], dim=1)


@pytest.fixture(scope="module")
def store(bright_store: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(bright_store(tmp_path_factory.mktemp("m") / "bright", samples=44))


def data_of(store: str, **options: Any) -> AgeData:
    data = AgeData(store, **{"batch_size": 8, "workers": 0, **options})
    data.open(
        NetworkInput(32, Brightness.mean, Brightness.std, L1Regression("0-100").scale, {}), seed=1
    )
    return data


def trained(
    data: AgeData,
    *,
    method: Watched | None = None,
    optimizer: OptimizerChoice | None = None,
    schedule: Schedule | None = None,
    epochs: int = 2,
    callbacks: list[pl.Callback] | None = None,
    trainer: dict[str, Any] | None = None,
    **options: Any,
) -> AgeModule:
    reseed(0)
    model = AgeModel(Brightness(), method or Watched())
    module = AgeModule(model, optimizer or SGD(0.01, momentum=0), schedule or Constant(), **options)
    pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=callbacks,
        **(trainer or {}),
    ).fit(module, datamodule=data)
    return module


def told(method: Watched, kind: str) -> list[Any]:
    return [row for row in method.told if row[0] == kind]


@pytest.mark.filterwarnings("ignore:.*LeafSpec.*is deprecated")
class TestAgeModule:
    def test_metrics_are_over_samples_whatever_the_batches(self, store: str) -> None:
        metrics = [trained(data_of(store, eval_batch_size=size)).metrics for size in (1, 3, 100)]
        assert metrics[0].keys() == metrics[1].keys()
        for name, value in metrics[0].items():
            assert metrics[1][name] == pytest.approx(value, rel=1e-5)
            assert metrics[2][name] == pytest.approx(value, rel=1e-5)

    def test_metrics_are_those_of_the_answers(self, store: str) -> None:
        data = data_of(store)
        module = trained(data)
        part = data.parts["valid"]
        with torch.no_grad():
            images = part.batch(np.arange(len(part))).images
            errors = module.model.answer(images)[:, 0].clamp_min(0) - part.age_years
        assert module.metrics["valid/mae"] == pytest.approx(float(errors.abs().mean()), rel=1e-5)
        assert module.metrics["valid/bias"] == pytest.approx(float(errors.mean()), rel=1e-5)
        shares = (errors.abs() <= 5).float().mean()
        assert module.metrics["valid/cs5"] == pytest.approx(float(shares), rel=1e-5)

    def test_heads_learn_from_each_batch_as_it_was_before_the_update(self, store: str) -> None:
        data, method = data_of(store), Watched()
        trained(data, method=method)
        steps = told(method, "step")
        losses = [
            row
            for place, row in enumerate(method.told)
            if row[0] == "loss" and method.told[place + 1 : place + 2][0][0] == "step"
        ]
        batches = len(data.train_dataloader())
        assert len(steps) == 2 * batches
        for (_, outputs, ages), (_, at_loss, _) in zip(steps, losses, strict=True):
            assert torch.equal(outputs, at_loss)
            assert len(ages) == 8

    def test_heads_learn_from_the_errors_of_each_epoch(self, store: str) -> None:
        data, method = data_of(store), Watched()
        module = trained(data, method=method, epochs=3)
        epochs = told(method, "epoch")
        assert [len(errors) for _, errors, _ in epochs] == [len(data.parts["valid"])] * 3
        maes = [float(errors.abs().mean()) for _, errors, _ in epochs]
        assert maes[-1] == pytest.approx(module.metrics["valid/mae"], rel=1e-5)
        best = [mae < min([*maes[:n], float("inf")]) for n, mae in enumerate(maes)]
        assert [flag for _, _, flag in epochs] == best
        assert module.improved == best[-1]

    def test_regularisers_see_the_start_and_are_added(self, store: str) -> None:
        class Term(Regulariser):
            name = "term"

            def setup(self, model: AgeModel) -> None:
                self.start = model.backbone.layer.weight.detach().clone()
                self.calls = 0

            def __call__(self, model: AgeModel, images: Tensor, outputs: ModelOutputs) -> Tensor:
                assert images.shape[1:] == (3, 32, 32)
                assert outputs.age.shape == images.shape[:1]
                self.calls += 1
                return (model.backbone.layer.weight - self.start).square().sum() + 2

        term = Term()
        data = data_of(store)
        module = trained(data, regularisers=[term])
        reseed(0)
        assert torch.equal(term.start, Brightness().layer.weight)
        assert term.calls == 2 * len(data.train_dataloader())
        assert module.metrics["train/term"] > 2
        parts = module.metrics["train/age"] + module.metrics["train/term"]
        assert module.metrics["train/loss"] == pytest.approx(parts)
        assert module.metrics["valid/loss"] == module.metrics["valid/age"]

    def test_a_schedule_counts_steps_of_the_optimiser(self, store: str) -> None:
        rates: list[tuple[int, float]] = []

        class Rates(pl.Callback):
            def on_before_optimizer_step(self, trainer, pl_module, optimizer) -> None:
                rates.append((trainer.current_epoch, optimizer.param_groups[0]["lr"]))

        trained(
            data_of(store),
            schedule=Step(1, 0.5),
            optimizer=SGD(1e-3, momentum=0),
            epochs=3,
            callbacks=[Rates()],
            trainer={"accumulate_grad_batches": 2},
        )
        assert rates == [
            pytest.approx((epoch, 1e-3 * 0.5**epoch)) for epoch in range(3) for _ in range(2)
        ]

    def test_a_plateau_lowers_the_rate_of_the_very_next_step(self, store: str) -> None:
        rates: list[float] = []

        class Rates(pl.Callback):
            def on_before_optimizer_step(self, trainer, pl_module, optimizer) -> None:
                rates.append(optimizer.param_groups[0]["lr"])

        trained(  # so small a rate that nothing is better by the threshold
            data_of(store),
            schedule=Plateau(0.1, patience=0, threshold=0.5),
            optimizer=SGD(1e-6, momentum=0),
            epochs=3,
            callbacks=[Rates()],
        )
        first, second, third = np.array(rates).reshape(3, -1)
        assert first == pytest.approx(1e-6)
        assert second == pytest.approx(1e-6)  # the first epoch is the one to compare with
        assert third == pytest.approx(1e-7)

    def test_patience_ends_the_run(self, store: str) -> None:
        method = Watched()
        trained(
            data_of(store),
            method=method,
            epochs=9,
            selection=Selection(patience=2, gain=1e9),
        )
        assert len(told(method, "epoch")) == 3

    def test_half_precision_networks_reckon_their_losses_in_single(self, store: str) -> None:
        method = Watched()
        trained(data_of(store), method=method, epochs=1, trainer={"precision": "bf16-mixed"})
        assert {dtype for _, _, dtype in told(method, "loss")} == {torch.float32}

    def test_images_and_weights_may_lie_channels_last(self, store: str) -> None:
        last = torch.channels_last
        seen: list[bool] = []

        class Layout(Brightness):
            def with_early(self, images: Tensor) -> tuple[Tensor, Tensor]:
                seen.append(images.is_contiguous(memory_format=last))
                return super().with_early(images)

        plain = trained(data_of(store), epochs=1)
        reseed(0)
        module = AgeModule(
            AgeModel(Layout(), Watched()), SGD(0.01, momentum=0), Constant(), channels_last=True
        )
        trainer = pl.Trainer(
            max_epochs=1,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        trainer.fit(module, datamodule=data_of(store))
        assert all(seen)
        assert module.metrics["valid/mae"] == pytest.approx(plain.metrics["valid/mae"], rel=1e-4)
