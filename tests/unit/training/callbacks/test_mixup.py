from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from agelens.data.training_input import ChipBatch
from agelens.errors import UsageError
from agelens.models.age_model import AgeModel
from agelens.models.methods.base import AgeTargets
from agelens.models.methods.drf import DeepRegressionForest
from agelens.models.methods.regression import L1Regression
from agelens.training.age_module import AgeModule
from agelens.training.callbacks.mixup import Mixup
from agelens.training.optimizers import SGD, Constant


@pytest.fixture
def batch() -> ChipBatch:
    chance = torch.Generator().manual_seed(0)
    images = torch.randn(6, 3, 8, 8, generator=chance)
    ages = torch.tensor([3.0, 20, 31, 44, 52, 70])
    labels = {"age_years": ages, "age_std": torch.full((6,), torch.nan)}
    return ChipBatch(images, labels, torch.arange(6))


def module_of(toy: Any, method: Any) -> AgeModule:
    torch.manual_seed(0)
    model = AgeModel(type(toy().model.backbone)(), method)
    return AgeModule(model.eval(), SGD(0.1), Constant())


def mixed(module: AgeModule, batch: ChipBatch, **options: Any) -> ChipBatch:
    copy = batch._replace(images=batch.images.clone())
    torch.manual_seed(1)
    Mixup(**options).on_train_batch_start(None, module, copy, 0)
    return copy


def test_images_are_mixed_as_the_module_is_told(toy: Any, batch: ChipBatch) -> None:
    module = module_of(toy, L1Regression("0-100"))
    pictures = mixed(module, batch, alpha=1.0).images
    assert module.mixed is not None
    others, share = module.mixed
    assert sorted(others.tolist()) == list(range(6))
    assert 0 < share < 1
    expected = share * batch.images + (1 - share) * batch.images[others]
    torch.testing.assert_close(pictures, expected)


def test_the_loss_is_that_of_both_ages_by_their_share(
    toy: Any, batch: ChipBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = module_of(toy, L1Regression("0-100"))
    monkeypatch.setattr(module, "log", lambda *_, **__: None)
    monkeypatch.setattr(
        AgeModule,
        "trainer",
        type("T", (), {"optimizers": [torch.optim.SGD(module.parameters(), 0.1)]}),
    )
    pictures = mixed(module, batch, alpha=1.0)
    assert module.mixed is not None
    others, share = module.mixed
    loss = module.training_step(pictures, 0)
    assert module.mixed is None
    ages, unknown = batch.labels["age_years"], batch.labels["age_std"]
    outputs = module.model(pictures.images).age
    own, theirs = (
        module.model.method.loss(outputs, AgeTargets(one, unknown)) for one in (ages, ages[others])
    )
    torch.testing.assert_close(loss, share * own + (1 - share) * theirs)
    torch.testing.assert_close(module.training_step(pictures, 0), own)


def test_a_share_of_batches_stays_as_it_is(toy: Any, batch: ChipBatch) -> None:
    module = module_of(toy, L1Regression("0-100"))
    assert torch.equal(mixed(module, batch, p=0.0).images, batch.images)
    assert module.mixed is None


@pytest.mark.parametrize("options", [{"alpha": 0.0}, {"p": 1.5}, {"alpha": -math.inf}])
def test_bad_options(options: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="alpha above 0 and a p from 0 to 1"):
        Mixup(**options)


def test_heads_that_learn_from_answers_are_refused(toy: Any) -> None:
    with pytest.raises(UsageError, match="mixup cannot be used"):
        Mixup().on_fit_start(None, module_of(toy, DeepRegressionForest("0-9")))
