from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agelens.errors import UsageError
from agelens.models.age_model import AgeModel, StandardisedChips
from agelens.models.backbones import build_backbone
from agelens.models.methods import method_class
from agelens.training.model_parts import AuxiliaryChoice, BackboneChoice, age_model


def _chips(count: int = 4) -> torch.Tensor:
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_each_chip_by_plain_loops() -> None:
    chips = _chips() * torch.tensor([0.5, 1, 2, 3]).reshape(4, 1, 1, 1) + 0.7
    for chip, found in zip(chips, StandardisedChips()(chips), strict=True):
        expected = 0.5 * (chip - chip.mean()) / (chip.var(unbiased=False) + 1e-4).sqrt()
        torch.testing.assert_close(found, expected)


@given(contrast=st.floats(0.3, 3), light=st.floats(-2, 2))
def test_light_and_contrast_tell_nothing(contrast: float, light: float) -> None:
    standard = StandardisedChips()
    torch.testing.assert_close(
        standard(_chips() * contrast + light), standard(_chips()), atol=2e-3, rtol=1e-3
    )


def test_one_colour_stays_finite() -> None:
    assert torch.equal(StandardisedChips()(torch.full((1, 3, 4, 4), 0.3)), torch.zeros(1, 3, 4, 4))


def test_a_model_asks_its_entry_first() -> None:
    backbone = build_backbone("tinyagenet", size=64).backbone
    method = method_class("dex")("0-9")
    plain = AgeModel(backbone, method).eval()
    model = AgeModel(backbone, method, entry=StandardisedChips()).eval()
    model.head = plain.head
    chips = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(model.answer(3 * chips), plain.answer(StandardisedChips()(3 * chips)))
        assert torch.equal(model.features(chips), plain.features(StandardisedChips()(chips)))


def test_heads_see_the_neck() -> None:
    choice = BackboneChoice("tinyagenet", size=64, neck=8, dropout=0.5, neck_activation="relu")
    torch.manual_seed(1)
    model = age_model(choice.build(), method_class("l1")("0-9"), AuxiliaryChoice(), {}, choice)
    chips = torch.randn(2, 3, 64, 64)
    model.eval()
    with torch.no_grad():
        features = model.backbone(chips) @ model.neck[1].weight.T + model.neck[1].bias
        torch.testing.assert_close(model.features(chips), features.clamp_min(0))
        age = model.head(features.clamp_min(0))
        torch.testing.assert_close(model(chips).age, age)
        model.train()
        assert not torch.equal(model.features(chips), model.features(chips))


@pytest.mark.parametrize(
    "options",
    [{"neck": 0}, {"dropout": 1.0}, {"neck_activation": "relu"}, {"neck": 4, "head": "packaged"}],
)
def test_a_neck_that_is_none_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        BackboneChoice("tinyagenet", **options)
