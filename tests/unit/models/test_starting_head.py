import numpy as np
import pytest
import torch
from torch import nn

from agelens.ages import AgeScale
from agelens.errors import UsageError
from agelens.inference.cards import load_card
from agelens.inference.network import ChipNetwork
from agelens.models.age_model import AgeModel, start_head
from agelens.models.backbones import build_backbone
from agelens.models.methods import method_class


def started(ages: str) -> AgeModel:
    backbone = build_backbone("dlib-resnet10", weights="packaged").backbone
    model = AgeModel(backbone, method_class("dex")(ages)).eval()
    start_head(model.head, model.method.scale, backbone)
    return model


def chips(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 64, 64, 3), dtype=np.uint8)


def normalised(model: AgeModel, pixels: np.ndarray) -> torch.Tensor:
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (model.backbone.mean, model.backbone.std))
    return (images - mean) / std


def test_on_its_own_scale_it_answers_as_the_packaged_network() -> None:
    model = started("0.25,1-80")
    with torch.no_grad():
        ours = model.answer(normalised(model, chips(4))).numpy()
    packaged = ChipNetwork(load_card("cc0-resnet10"))
    assert ours == pytest.approx(packaged.answers(chips(4)), abs=1e-5)


def test_ages_beyond_share_the_last_ones_probability() -> None:
    pixels = normalised(started("0.25,1-80"), chips(4))
    with torch.no_grad():
        narrow, wide = (started(ages).answer(pixels) for ages in ("0.25,1-80", "0-116"))
    assert wide[:, 80:].sum(1) == pytest.approx(narrow[:, 80], abs=1e-5)
    assert wide[:, 1:80] == pytest.approx(narrow[:, 1:80].numpy(), abs=1e-5)


def test_heads_of_another_kind_are_refused() -> None:
    backbone = build_backbone("dlib-resnet10", weights="packaged").backbone
    with pytest.raises(UsageError, match="one linear layer"):
        start_head(nn.Sequential(nn.Linear(256, 81)), AgeScale.parse("0.25,1-80"), backbone)
    bare = build_backbone("dlib-resnet10").backbone
    with pytest.raises(UsageError, match="no packaged age head"):
        start_head(nn.Linear(256, 81), AgeScale.parse("0.25,1-80"), bare)
