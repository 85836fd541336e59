"""One whole step of the two branches at batch 32: what is lost, what is frozen, who learns."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from agelens.errors import TrainingError
from agelens.recognition.margins import ClassWeights, CosFace, MarginLoss
from agelens.recognition.purification import SelfPurification
from agelens.recognition.training.branch_choice import TwoBranches, start_as_iefp
from agelens.recognition.training.configuration import CLUBOptions, SGDOptions
from agelens.recognition.training.epoch_losses import ClosedEpochs
from agelens.recognition.training.identity_data import BranchInput, IdentityData
from agelens.recognition.training.stages import IdentityStageModule
from agelens.training.callbacks import NaNGuard
from agelens.training.optimizers import Constant
from agelens.training.run_trainer import lightning_logging

BATCH = 32
HALF = (0.5, 0.5, 0.5)


def _gradients(network: nn.Module) -> dict[str, Tensor]:
    named = network.named_parameters()
    return {name: weight.grad.clone() for name, weight in named if weight.grad is not None}


class _Watch(pl.Callback):
    """Notes, before each step of an optimiser, who has gradients and what the loss was."""

    def __init__(self) -> None:
        self.steps: list[dict[str, Any]] = []

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Any
    ) -> None:
        model = pl_module.model
        assert isinstance(model, TwoBranches)
        self.steps.append(
            {
                "optimizer": trainer.optimizers.index(optimizer),
                "parts": dict(pl_module.loss_parts),  # type: ignore[arg-type]
                "identity": _gradients(model.identity),
                "centres": _gradients(model.margin),
                "club": _gradients(model.club) if model.club else {},
                "age": _gradients(model.age) if model.age else {},
            }
        )


def _step(
    model: TwoBranches, store: Path, *callbacks: pl.Callback, **options: Any
) -> tuple[IdentityStageModule, _Watch]:
    """One batch through the module, by Lightning."""
    data = IdentityData(str(store), batch_size=BATCH, workers=0)
    data.open("identity", BranchInput(32, HALF, HALF))
    sgd = SGDOptions(lr=0.05)
    module = IdentityStageModule(model, sgd, sgd, Constant(), **{"club": CLUBOptions(), **options})
    watch = _Watch()
    with lightning_logging():
        trainer = pl.Trainer(
            max_epochs=1,
            limit_train_batches=1,
            accelerator="cpu",
            callbacks=[ClosedEpochs(), watch, *callbacks],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
        trainer.fit(module, datamodule=data)
    return module, watch


def test_both_optimisers_step_in_turn_and_only_their_networks_learn(
    two_branches: TwoBranches, people_store: Path
) -> None:
    before = copy.deepcopy(two_branches.state_dict())
    module, watch = _step(two_branches, people_store)
    likelihood, identity = watch.steps
    assert (likelihood["optimizer"], identity["optimizer"]) == (1, 0)

    assert two_branches.club is not None
    assert likelihood["club"].keys() == dict(two_branches.club.named_parameters()).keys()
    assert not likelihood["identity"]
    assert not likelihood["centres"]
    learned = {n for n, w in two_branches.identity.named_parameters() if w.requires_grad}
    assert identity["identity"].keys() == learned
    assert identity["centres"].keys() == {"classes.weight"}
    for name, gradient in identity["club"].items():  # still those of its own step
        assert gradient.equal(likelihood["club"][name])
    assert not likelihood["age"]
    assert not identity["age"]

    after = two_branches.state_dict()
    moved = {name for name, value in after.items() if not value.equal(before[name])}
    assert not {name for name in moved if name.startswith("age.")}
    frozen = {"identity.backbone.net.features.weight"}
    for part in ("identity.", "club.", "margin."):
        ours = {name for name in after if name.startswith(part)}
        assert ours - moved <= frozen
    assert two_branches.age is not None
    assert not any(one.training for one in two_branches.age.modules())
    assert two_branches.identity.training
    assert module.metrics.keys() >= {"train/likelihood", "train/bound", "train/identity", "lr"}


@pytest.mark.parametrize("together", [True, False])
def test_centres_are_clipped_with_the_branch_only_where_asked(
    two_branches: TwoBranches, together: bool
) -> None:
    sgd = SGDOptions(lr=0.05)
    module = IdentityStageModule(
        two_branches, sgd, sgd, Constant(), club=CLUBOptions(), clip_centres=together
    )
    branch = [weight for weight in two_branches.identity.parameters() if weight.requires_grad]
    centres = two_branches.margin.classes.weight
    chance = torch.Generator().manual_seed(5)
    for weight in (*branch, centres):
        weight.grad = torch.randn(weight.shape, generator=chance)
    wanted = [torch.cat([w.grad.flatten() for w in branch]), centres.grad.flatten().clone()]
    norm = torch.cat(wanted if together else wanted[:1]).norm()
    module.on_before_optimizer_step(torch.optim.SGD([*branch, centres], lr=0.1))
    scaled = torch.cat([w.grad.flatten() for w in branch])
    torch.testing.assert_close(scaled, wanted[0] * 5.0 / norm, rtol=1e-4, atol=1e-7)
    left = wanted[1] * 5.0 / norm if together else wanted[1]
    torch.testing.assert_close(centres.grad.flatten(), left, rtol=1e-4, atol=1e-7)


def test_first_weights_are_as_the_authors_code_has_them() -> None:
    torch.manual_seed(0)
    unit, centres = SelfPurification(512), ClassWeights(2000, 512)
    start_as_iefp(unit, centres)
    embeddings = torch.randn(256, 512)
    removed = (unit(embeddings) - embeddings).norm() / embeddings.norm()
    assert removed.item() == pytest.approx(0.16, abs=0.01)  # 0.01 * sqrt(512 / 2)
    bound = (6 / (2000 + 512)) ** 0.5
    assert centres.weight.abs().max() <= bound
    assert centres.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.01)


def test_the_parts_of_the_loss_are_those_of_the_method(
    two_branches: TwoBranches, people_store: Path
) -> None:
    start = copy.deepcopy(two_branches)
    club = CLUBOptions(bound_weight=0.3, likelihood_weight=0.2)
    module, watch = _step(two_branches, people_store, club=club, gradient_clip=None)
    likelihood, identity = (one["parts"] for one in watch.steps)
    figures = module.metrics
    assert likelihood.keys() == {"likelihood"}
    assert float(likelihood["likelihood"]) == pytest.approx(-0.2 * figures["train/likelihood"])
    assert identity.keys() == {"identity", "bound"}
    assert float(identity["bound"]) == pytest.approx(0.3 * figures["train/bound"])
    total = figures["train/identity"] + 0.3 * figures["train/bound"]
    assert figures["train/loss"] == pytest.approx(total)

    # By hand, from the same start: the bound is that of the likelihood network after its step.
    data = IdentityData(str(people_store), batch_size=BATCH, workers=0)
    data.open("identity", BranchInput(32, HALF, HALF))
    batch = next(iter(data.train_dataloader()))
    assert start.age is not None
    assert start.club is not None
    y = start.identity(batch.images)
    x = start.age(batch.images)
    value = start.club.likelihood(x, y.detach())
    assert value.item() == pytest.approx(figures["train/likelihood"], rel=1e-4)
    (-0.2 * value).backward()
    with torch.no_grad():
        for weight in start.club.parameters():
            assert weight.grad is not None
            weight.sub_(0.05 * (weight.grad + 1e-4 * weight))
    assert two_branches.club is not None
    theirs = dict(two_branches.club.named_parameters())
    for name, weight in start.club.named_parameters():
        torch.testing.assert_close(weight, theirs[name])
    loss = start.margin(y, batch.labels["subject"])
    assert loss.item() == pytest.approx(figures["train/identity"], rel=1e-4)


def test_without_a_bound_one_optimiser_is_left(
    two_branches: TwoBranches, people_store: Path
) -> None:
    alone = TwoBranches(two_branches.identity, two_branches.margin)
    module, watch = _step(alone, people_store, club=CLUBOptions(bound_weight=0))
    assert [one["optimizer"] for one in watch.steps] == [0]
    assert module.metrics["train/loss"] == pytest.approx(module.metrics["train/identity"])
    assert "train/bound" not in module.metrics


def test_clipping_is_by_network_and_leaves_the_centres_alone(two_branches: TwoBranches) -> None:
    sgd = SGDOptions()
    module = IdentityStageModule(
        two_branches, sgd, sgd, Constant(), club=CLUBOptions(), gradient_clip=2.0
    )
    for weight in module.parameters():
        weight.grad = torch.ones_like(weight)
    learned = [*two_branches.identity.parameters(), *two_branches.margin.parameters()]
    module.on_before_optimizer_step(torch.optim.SGD(learned))
    gradients = [w.grad.flatten() for w in two_branches.identity.parameters() if w.grad is not None]
    assert torch.cat(gradients).norm().item() == pytest.approx(2.0, rel=1e-4)
    centres = two_branches.margin.classes.weight.grad
    assert centres is not None
    assert centres.eq(1).all()
    assert two_branches.club is not None
    assert all(w.grad is not None and w.grad.eq(1).all() for w in two_branches.club.parameters())


def test_the_age_branch_stays_in_evaluation_mode(two_branches: TwoBranches) -> None:
    assert two_branches.age is not None
    for mode in (True, False, True):
        two_branches.train(mode)
        assert not any(one.training for one in two_branches.age.modules())
        assert two_branches.identity.training is mode
    assert not any(weight.requires_grad for weight in two_branches.age.parameters())


def test_losses_are_in_32_bits_under_mixed_precision(two_branches: TwoBranches) -> None:
    sampled = MarginLoss(ClassWeights(32, 16, sample_rate=0.9), CosFace())
    model = TwoBranches(two_branches.identity, sampled, two_branches.age)

    with torch.autocast("cpu", torch.bfloat16):
        images = torch.randn(4, 3, 32, 32)
        y = model.identity(images).float()
        x = model.age_embeddings(images)
        assert x.dtype == torch.float32
        assert model.bound(x, y).dtype == torch.float32
        assert model.likelihood(x, y).dtype == torch.float32
        loss = model.margin(y, torch.tensor([0, 1, 2, 3]))
    assert loss.dtype == torch.float32
    loss.backward()
    assert all(w.grad is None or w.grad.isfinite().all() for w in model.identity.parameters())


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_a_second_step_that_breaks_down_names_its_batch(
    where: str, two_branches: TwoBranches, people_store: Path, tmp_path: Path
) -> None:
    """The likelihood step of the same batch is done by then, and the samples are still known."""

    class Broken(CosFace):
        def moved(self, cosines: Tensor) -> Tensor:
            broken = (cosines - cosines.detach()).sqrt() if where == "gradient" else cosines / 0
            return cosines + 0 * broken

    two_branches.margin.margin = Broken()
    before = copy.deepcopy(two_branches.identity.state_dict())
    with pytest.raises(TrainingError, match="is not finite"):
        _step(two_branches, people_store, NaNGuard(tmp_path))
    report = json.loads((tmp_path / "nan-batch.json").read_text())
    assert len(report["sample_ids"]) == BATCH
    for name, weight in two_branches.identity.named_parameters():
        assert weight.equal(before[name])
