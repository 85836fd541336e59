from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.error import URLError

import huggingface_hub.constants
import pytest
import timm
import torch
from torch import nn

from agelens.errors import CardError, UnknownNameError, UsageError
from agelens.models.backbones import Backbone, build_backbone, timm_backbone
from agelens.models.backbones.timm_backbone import RENAMED

VIT = "vit_small_patch14_dinov2"
SWIN = "swin_tiny_patch4_window7_224"


def on_meta(name: str, **options: Any) -> Backbone:
    with torch.device("meta"):
        return build_backbone(name, **options).backbone


@pytest.mark.parametrize(
    ("name", "size", "features", "early"),
    [
        ("resnet18", 224, 512, 128),
        ("resnet152", 224, 2048, 512),
        ("seresnext50_32x4d", 224, 2048, 512),
        ("efficientnet_b0", 224, 1280, 40),
        ("vgg16", 224, 4096, 512),
        (VIT, 518, 384, 384),
        (SWIN, 224, 768, 192),
        ("convnext_tiny", 224, 768, 192),
    ],
)
def test_widths_and_size_are_timms(name: str, size: int, features: int, early: int) -> None:
    backbone = on_meta(name)
    assert (backbone.size, backbone.features, backbone.early_features) == (size, features, early)
    configuration = timm.get_pretrained_cfg(name)
    assert configuration is not None
    assert (backbone.mean, backbone.std) == (configuration.mean, configuration.std)


def test_stages_are_as_few_prefixes_as_name_them() -> None:
    assert on_meta("resnet18").stages == (
        ("net.conv1.", "net.bn1."),
        ("net.layer1.",),
        ("net.layer2.",),
        ("net.layer3.",),
        ("net.layer4.",),
    )
    first, *_, last = on_meta(VIT, size=56).stages
    assert first == ("net.cls_token", "net.pos_embed", "net.patch_embed.")
    assert last == ("net.blocks.11.", "net.norm.")


@pytest.mark.parametrize("name", ["resnet18", SWIN])
def test_early_features_cost_no_second_pass(name: str) -> None:
    backbone = build_backbone(name, size=32).backbone.eval()
    calls: dict[str, int] = {}
    for path, module in backbone.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(
                lambda *_, path=path: calls.update({path: calls.get(path, 0) + 1})
            )
    with torch.inference_mode():
        backbone.with_early(torch.zeros(1, 3, 32, 32))
    assert set(calls.values()) == {1}


def test_options_reach_the_network() -> None:
    network = on_meta("resnet18", drop_rate=0.3, drop_path_rate=0.2)
    assert network.net.drop_rate == 0.3
    assert any(type(module).__name__ == "DropPath" for module in network.modules())


def test_an_option_that_the_network_has_not_is_refused() -> None:
    with pytest.raises(UsageError, match=r"vgg16.*drop_path_rate"):
        on_meta("vgg16", drop_path_rate=0.1)
    with pytest.raises(UsageError, match=r"'resnet18'.*'depth'.*drop_rate"):
        on_meta("resnet18", depth=3)


def test_a_size_that_is_no_whole_number_of_patches_names_one_that_is() -> None:
    with pytest.raises(UsageError, match=r"patches of 4 pixels: a size of 98.*96 is"):
        on_meta(SWIN, size=98)


def test_a_vision_transformer_leaves_out_what_is_no_whole_patch() -> None:
    backbone = build_backbone(VIT, size=128).backbone.eval()
    chips = torch.randn(1, 3, 128, 128)
    blank = chips.clone()
    blank[..., 126:, :] = blank[..., 126:] = 7.0  # nine patches of 14 pixels are 126
    with torch.inference_mode():
        torch.testing.assert_close(backbone(chips), backbone(blank))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("se_resnext50_32x4d", "called 'legacy_seresnext50_32x4d' in timm"),
        ("xception", "called 'legacy_xception' in timm"),
        ("polynet", "no counterpart in timm"),
    ],
)
def test_names_of_pretrainedmodels_are_known(name: str, told: str) -> None:
    with pytest.raises(UnknownNameError, match=told):
        build_backbone(name)


def test_the_networks_that_are_only_renamed_are_there() -> None:
    assert all(timm.is_model(name) for name in RENAMED.values() if name)
    # timm knows xception by its old name, which it lists no more and build_backbone does not take.
    assert RENAMED.keys().isdisjoint(timm.list_models())


def test_without_network_timm_is_not_even_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def nobody(request: Any, timeout: float) -> None:
        asked.append(request.full_url)
        raise URLError("Name or service not known")

    def forbidden(*_: Any, **options: Any) -> None:
        if options.get("pretrained"):
            raise AssertionError("timm tries for a minute")
        return create(*_, **options)

    create = timm.create_model
    monkeypatch.setattr(timm_backbone, "try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(timm_backbone, "urlopen", nobody)
    monkeypatch.setattr(timm, "create_model", forbidden)
    with pytest.raises(CardError, match=r"(?s)neither in its cache.*HF_HOME.*packaged.*random"):
        build_backbone("resnet18", weights="timm")
    assert asked == ["https://huggingface.co/timm/resnet18.a1_in1k/resolve/main/model.safetensors"]


@pytest.mark.parametrize(
    "name", ["resnet51", "resnet18.nope", "hf-hub:timm/resnet18", "", "../net"]
)
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(UnknownNameError, match="unknown backbone"):
        build_backbone(name)


def test_an_unknown_tag_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"resnet18\.a1_in1k"):
        build_backbone("resnet18.a1_in2k")


def test_public_files_load_without_their_classifier(tmp_path: Path) -> None:
    torch.manual_seed(1)
    public = timm.create_model("resnet18", num_classes=10).eval()
    path = tmp_path / "resnet18.pth"
    torch.save({"state_dict": {f"module.{k}": v for k, v in public.state_dict().items()}}, path)
    backbone, report = build_backbone("resnet18", weights=path)
    images = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        expected = public.forward_head(public.forward_features(images), pre_logits=True)
        torch.testing.assert_close(backbone.eval()(images), expected)
    assert [line.source for line in report.of("unused")] == ["module.fc.weight", "module.fc.bias"]


def test_weights_of_a_deeper_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "resnet34.pth"
    torch.save(timm.create_model("resnet34").state_dict(), path)
    with pytest.raises(CardError, match=r"unexpected layer1\.2\.conv1\.weight \[64, 64, 3, 3\]"):
        build_backbone("resnet18", weights=path)


def test_position_embeddings_are_brought_to_another_size(tmp_path: Path) -> None:
    torch.manual_seed(2)
    small = build_backbone(VIT, size=56).backbone
    path = tmp_path / "vit.pth"
    torch.save(small.net.state_dict(), path)
    large, report = build_backbone(VIT, size=84, weights=path)
    (line,) = report.of("resampled")
    assert str(line) == "resampled  pos_embed [1, 17, 384] -> net.pos_embed [1, 37, 384]"
    assert len(report.of("taken")) == len(report.lines) - 1
    grids = [
        b.net.pos_embed[0, 1:].unflatten(0, (side, side)) for b, side in ((small, 4), (large, 6))
    ]
    assert torch.equal(small.net.pos_embed[0, 0], large.net.pos_embed[0, 0])  # of the class token
    torch.testing.assert_close(grids[0].mean((0, 1)), grids[1].mean((0, 1)), rtol=0, atol=5e-3)


def test_other_shapes_of_position_embeddings_do_not_fit() -> None:
    backbone = on_meta(VIT, size=56)
    assert backbone.resampled("net.pos_embed", torch.ones(1, 16, 384)) is None
    assert backbone.resampled("net.norm.weight", torch.ones(5)) is None


def test_position_biases_are_brought_to_another_window() -> None:
    swin = on_meta(SWIN, size=96)
    table = "net.layers.3.blocks.0.attn.relative_position_bias_table"
    expected = swin.get_parameter(table).shape
    assert expected == (25, 24)  # a window of 3, where that of 224 pixels is 7
    slope = torch.arange(13.0).repeat_interleave(13)[:, None].repeat(1, 24)
    resampled = swin.resampled(table, slope)
    assert resampled is not None
    assert resampled.shape == expected
    rows = resampled[:, 0].unflatten(0, (5, 5)).mean(1)
    torch.testing.assert_close(rows, torch.tensor([0.8, 3.4, 6, 8.6, 11.2]), rtol=0, atol=0.1)
    assert swin.resampled(table, torch.ones(24, 24)) is None


def test_timms_own_weights_need_the_network_or_its_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(CardError, match=r"'resnet18' are neither in its cache.*packaged"):
        build_backbone("resnet18", weights="timm")


def test_a_network_that_timm_has_no_weights_for() -> None:
    name = next(
        name for name in timm.list_models("resnet*") if not timm.list_pretrained(f"{name}.*")
    )
    with pytest.raises(CardError, match=f"no weights of '{name}'"):
        build_backbone(name, weights="timm")


def test_timms_own_weights_are_taken_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    create, published = timm.create_model, timm.create_model("resnet18")

    def without_network(name: str, pretrained: bool = False, **options: Any) -> nn.Module:
        return published if pretrained else create(name, **options)

    monkeypatch.setattr(timm, "create_model", without_network)
    monkeypatch.setattr(timm_backbone, "try_to_load_from_cache", lambda *_: "there")
    backbone, report = build_backbone("resnet18", weights="timm")
    assert torch.equal(backbone.net.layer4[1].conv2.weight, published.layer4[1].conv2.weight)
    assert [line.source for line in report.of("unused")] == ["fc.weight", "fc.bias"]
    assert len(report.of("taken")) == len(report.lines) - 2
