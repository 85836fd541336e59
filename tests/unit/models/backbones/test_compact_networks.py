"""The networks of SSR-Net and C3AE."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from agelens.errors import UsageError
from agelens.models.backbones import build_backbone
from agelens.models.backbones.c3ae import C3AEBackbone
from agelens.models.backbones.ssr_net import SSRNetBackbone


def test_ssr_net_says_how_many_features_each_stage_has() -> None:
    network = SSRNetBackbone()
    assert network.stage_features == (160, 90, 90)
    assert network.features == 340


@pytest.mark.parametrize("size", [38, 47, 64, 100])
def test_stages_of_ssr_net_are_the_products_of_its_streams(size: int) -> None:
    torch.manual_seed(2)
    network = SSRNetBackbone(size).eval()
    images = torch.randn(2, 3, size, size)
    with torch.inference_mode():
        found = network(images).split(network.stage_features, dim=1)
        expected = plain_stages(network, images)
    for stage, (one, other) in enumerate(zip(found, expected, strict=True)):
        torch.testing.assert_close(one, other, msg=f"stage {stage + 1}")
        assert one.any()


def plain_stages(network: SSRNetBackbone, images: Tensor) -> list[Tensor]:
    """The two streams and their fusion, layer after layer as the paper's figure has them."""
    held: dict[str, list[Tensor]] = {}
    for stream, activation, pool in (
        ("relu", F.relu, nn.AvgPool2d),
        ("tanh", torch.tanh, nn.MaxPool2d),
    ):
        maps, held[stream] = images, []
        for layer in range(1, 5):
            maps = activation(network.get_submodule(f"{stream}{layer}")(maps))
            maps = pool(2)(maps) if layer < 4 else maps
            held[stream].append(maps)
    stages = []
    for stage, (layer, pooled) in enumerate(((4, 1), (2, 4), (1, 8))):
        one = F.relu(network.fuse_relu[stage](held["relu"][layer - 1]))
        other = F.relu(network.fuse_tanh[stage](held["tanh"][layer - 1]))
        product = F.avg_pool2d(one, pooled) * F.max_pool2d(other, pooled)
        stages.append(product.flatten(1))
    return stages


def test_ssr_net_is_as_small_as_the_paper_says() -> None:
    """0.32 MB with its head, which has some 3,000 weights more."""
    weights = sum(parameter.numel() for parameter in SSRNetBackbone().parameters())
    assert 35_000 < weights < 41_000


def test_ssr_net_needs_maps_to_pool() -> None:
    with pytest.raises(UsageError, match="38 pixels or more, got 37"):
        SSRNetBackbone(37)


def test_c3ae_is_the_plain_model_of_the_paper() -> None:
    """Its table: 32 maps everywhere, 512 numbers of 4x4x32 a crop, some 30 thousand weights."""
    network = C3AEBackbone()
    kernels = [m.kernel_size[0] for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert kernels == [3, 3, 3, 3, 1]
    assert all(m.out_channels == 32 for m in network.modules() if isinstance(m, nn.Conv2d))
    assert network.features == 3 * 512
    convolutions = 3 * 9 * 32 + 3 * 32 * 9 * 32 + 32 * 32 + 32
    assert sum(p.numel() for p in network.parameters()) == convolutions + 4 * 2 * 32


@pytest.mark.parametrize("size", [64, 100, 128, 201])
def test_crops_of_c3ae_lie_about_the_centre(size: int) -> None:
    torch.manual_seed(3)
    network = C3AEBackbone(size).eval()
    images = torch.randn(2, 3, size, size)
    changed = images.clone()
    edge = round(size / 8) - 1  # outside of the medium and the tight crop
    changed[..., :edge, :] += 1
    with torch.inference_mode():
        tight, medium, wide = (network(changed) != network(images)).any(0).chunk(3)
    assert not tight.any()
    assert not medium.any()
    assert wide.any()


def test_features_of_c3ae_are_one_network_on_three_crops() -> None:
    torch.manual_seed(4)
    network = C3AEBackbone().eval()
    images = torch.rand(2, 3, 128, 128)
    crops = images[..., 32:96, 32:96], images[..., 16:112, 16:112], images
    with torch.inference_mode():
        expected = [
            plain(network, F.interpolate(crop, (64, 64), mode="bilinear")) for crop in crops
        ]
        found = network(images)
    torch.testing.assert_close(found, torch.cat(expected, dim=1))


def plain(network: C3AEBackbone, maps: Tensor) -> Tensor:
    for block in (network.block1, network.block2, network.block3):
        maps = F.avg_pool2d(block(maps), 2)
    return network.last(network.block4(maps)).flatten(1)


def test_shrinking_a_crop_to_half_averages_its_pixels() -> None:
    seen: list[Tensor] = []
    network = C3AEBackbone().eval()
    network.block1.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    images = torch.rand(1, 3, 128, 128)
    network(images)
    torch.testing.assert_close(seen[0][2:], F.avg_pool2d(images, 2))
    assert torch.equal(seen[0][:1], images[..., 32:96, 32:96])


def test_tinyage_as_the_label_distribution_system_built_it() -> None:
    """Two convolutions in its third group: 884,848 weights below the age layer."""
    for convolutions, weights in (([2, 2, 2, 3, 3], 884_848), ([2, 2, 3, 3, 3], 921_840)):
        net = build_backbone("tinyagenet", size=64, convolutions=convolutions).backbone
        assert sum(weight.numel() for weight in net.parameters()) == weights
    with pytest.raises(UsageError, match="five groups"):
        build_backbone("tinyagenet", size=64, convolutions=[2, 2])
