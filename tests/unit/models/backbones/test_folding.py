import pytest
import torch
from torch import nn

from agelens.errors import UsageError
from agelens.models.backbones import build_backbone
from agelens.models.backbones.base import fold_batch_norm


def with_statistics(name: str, size: int):  # type: ignore[no-untyped-def]
    """A backbone whose batch norms have seen something, so that folding has what to fold."""
    torch.manual_seed(0)
    backbone = build_backbone(name, size=size).backbone
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return backbone


@pytest.mark.parametrize("name", ["resnet18", "tf_efficientnet_lite0", "tinyagenet"])
def test_features_stay_and_no_batch_norm_is_left(name: str) -> None:
    backbone = with_statistics(name, 32).eval()
    chips = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        before = backbone(chips)
        norms = sum(isinstance(m, nn.BatchNorm2d) for m in backbone.modules())
        assert fold_batch_norm(backbone) == norms > 0
        after = backbone(chips)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in backbone.modules())
    assert (after - before).abs().max() < 1e-3 * before.abs().max()


def test_the_mode_and_the_stages_stay() -> None:
    backbone = with_statistics("resnet18", 32).train()
    fold_batch_norm(backbone)
    assert backbone.training
    named = [
        [prefix for stage in backbone.stages for prefix in stage if name.startswith(prefix)]
        for name, _ in backbone.named_parameters()
    ]
    assert all(len(prefixes) == 1 for prefixes in named)


def test_a_network_without_batch_norm_is_refused() -> None:
    with pytest.raises(UsageError, match="none follows a convolution"):
        build_backbone("dlib-resnet10", fold_batch_norm=True)


def test_a_norm_before_its_convolution_is_refused() -> None:
    with pytest.raises(UsageError, match=r"does not follow|would change"):
        fold_batch_norm(with_statistics("iresnet18", 32))
