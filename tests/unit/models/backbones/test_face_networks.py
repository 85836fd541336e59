"""iResNet, IR-50, ThinAgeNet and TinyAgeNet: the layouts that their papers and files have."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from agelens.errors import CardError, UsageError
from agelens.models.backbones import Backbone, build_backbone
from agelens.models.backbones.ir50 import IR50
from agelens.models.backbones.thin_age_net import ThinAgeNet


def on_meta(name: str) -> Backbone:
    with torch.device("meta"):
        return build_backbone(name).backbone


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("layers", [18, 34, 50, 100, 200])
def test_iresnet_has_as_many_layers_as_its_name_says(layers: int) -> None:
    convolutions = [
        module
        for name, module in on_meta(f"iresnet{layers}").named_modules()
        if isinstance(module, nn.Conv2d) and "downsample" not in name
    ]
    # Counted as in ResNet: those of 50 and more layers had bottlenecks of three convolutions.
    assert len(convolutions) + 1 == {18: 18, 34: 34, 50: 50, 100: 100, 200: 198}[layers]


def test_iresnet_has_the_names_and_shapes_of_public_weights() -> None:
    shapes = {name: tuple(value.shape) for name, value in on_meta("iresnet50").state_dict().items()}
    block = ["bn1", "conv1", "bn2", "prelu", "conv2", "bn3", "downsample.0", "downsample.1"]
    assert set(block) == {
        ".".join(name.split(".")[3:-1]) for name in shapes if name.startswith("net.layer")
    }
    assert {name.split(".")[1] for name in shapes} == {
        *("conv1", "bn1", "prelu", "layer1", "layer2", "layer3", "layer4", "bn2", "fc", "features")
    }
    assert shapes["net.conv1.weight"] == (64, 3, 3, 3)
    assert shapes["net.layer3.13.conv2.weight"] == (256, 256, 3, 3)
    assert shapes["net.layer4.0.downsample.0.weight"] == (512, 256, 1, 1)
    assert shapes["net.fc.weight"] == (512, 512 * 7 * 7)
    assert shapes["net.features.running_var"] == (512,)


def test_weights_of_another_depth_or_size_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "iresnet18.pth"
    torch.save(build_backbone("iresnet18", size=32).backbone.state_dict(), path)
    with pytest.raises(CardError, match=r"missing    net\.layer1\.2\.bn1\.weight"):
        build_backbone("iresnet34", size=32, weights=path)
    with pytest.raises(CardError, match=r"\[512, 2048\] -> net\.fc\.weight \[512, 4608\]"):
        build_backbone("iresnet18", size=48, weights=path)
    report = build_backbone("iresnet18", size=48, weights=path, partial=True).report
    assert [line.name for line in report.of("mismatched")] == ["net.fc.weight"]


def test_the_scale_of_the_embedding_stays_one() -> None:
    backbone = build_backbone("iresnet18", size=32).backbone
    fixed = [name for name, value in backbone.named_parameters() if not value.requires_grad]
    assert fixed == ["net.features.weight"]


def test_iresnet_drops_where_it_is_told_to() -> None:
    backbone = build_backbone("iresnet18", size=32, dropout=0.4).backbone
    assert [m.p for m in backbone.modules() if isinstance(m, nn.Dropout)] == [0.4]


def test_ir50_ends_in_256_maps_of_14_by_14() -> None:
    with torch.device("meta"):
        network = IR50()
        maps = network.input_layer(torch.empty(2, 3, 112, 112))
        for body in (network.body1, network.body2, network.body3):
            maps = body(maps)
    assert maps.shape == (2, 256, 14, 14)


def test_ir50_leaves_out_the_output_layer_of_its_public_file(tmp_path: Path) -> None:
    path = tmp_path / "ir50.pth"
    public = {
        **build_backbone("ir50").backbone.state_dict(),
        "output_layer.0.weight": torch.ones(512),
    }
    torch.save(public, path)
    report = build_backbone("ir50", weights=path).report
    assert [line.source for line in report.of("unused")] == ["output_layer.0.weight"]
    assert len(report.of("taken")) == len(public) - 1


@pytest.mark.parametrize(
    ("name", "widths"),
    [("thinagenet", (32, 64, 128, 256, 256)), ("tinyagenet", (16, 32, 64, 128, 128))],
)
def test_age_nets_are_vgg16_with_fewer_channels(name: str, widths: tuple[int, ...]) -> None:
    backbone = on_meta(name)
    convolutions = [m for m in backbone.modules() if isinstance(m, nn.Conv2d)]
    a, b, c, d, e = widths
    assert [m.out_channels for m in convolutions] == [a, a, b, b, c, c, c, d, d, d, e, e, e]
    assert all(m.kernel_size == (3, 3) and m.padding == (1, 1) for m in convolutions)
    assert sum(isinstance(m, nn.BatchNorm2d) for m in backbone.modules()) == 13
    assert (backbone.features, backbone.size) == (e, 224)
    with torch.device("meta"):
        last = backbone.get_submodule("group5")(torch.empty(1, d, 14, 14))
    assert last.shape == (1, e, 7, 7)


def test_thin_has_about_a_quarter_of_the_convolutions_of_vgg16() -> None:
    with torch.device("meta"):
        vgg = build_backbone("vgg16").backbone
    convolutions = sum(
        parameters(m) for m in vgg.modules() if isinstance(m, nn.Conv2d) if m.kernel_size == (3, 3)
    )
    assert 0.2 < parameters(on_meta("thinagenet")) / convolutions < 0.3


def test_early_features_are_those_of_the_stated_stage() -> None:
    torch.manual_seed(1)
    network = ThinAgeNet(size=64).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        expected = network.group3(network.group2(network.group1(images))).mean((2, 3))
        assert torch.equal(network.with_early(images)[1], expected)


@pytest.mark.parametrize("name", ["iresnet18", "tinyagenet", "dlib-resnet10", "c3ae", "resnet18"])
def test_chips_too_small_to_see_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="32 pixels or more, got 31"):
        build_backbone(name, size=31)


def test_an_option_that_there_is_not_names_those_that_there_are() -> None:
    with pytest.raises(UsageError, match=r"'iresnet18'.*'depth'.*size, dropout"):
        build_backbone("iresnet18", depth=3)
