"""Chips resized inside the graph are those that the network was trained on, to the last bit."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor
from torchvision.transforms.v2 import functional as v2

from agelens.data.training_input.geometry import ChipTransform
from agelens.export.export_network import ByteResize, ChipFitting

# Elsewhere torchvision resizes bytes as floats, and rounds once.
AVX2 = pytest.mark.skipif(
    "AVX2" not in torch.backends.cpu.get_cpu_capability()
    and "AVX512" not in torch.backends.cpu.get_cpu_capability(),
    reason="torch resizes bytes in another way on this processor",
)


def noise(side: int, seed: int = 1) -> Tensor:
    """Noise, and noise of black and white alone, where sums are largest."""
    generator = torch.Generator().manual_seed(seed)
    chips = torch.randint(0, 256, (2, 3, side, side), generator=generator, dtype=torch.uint8)
    chips[1] = (chips[1] > 127) * 255
    return chips


@AVX2
@given(st.integers(8, 200), st.integers(8, 200))
@example(64, 64)
@example(180, 112)
@example(112, 224)
@example(112, 128)
@example(1024, 64)
def test_bytes_are_resized_as_torch_does(side: int, wanted: int) -> None:
    chips = noise(side)
    expected = v2.resize(chips, [wanted, wanted], antialias=True).float()
    assert torch.equal(ByteResize(side, wanted)(chips.float()), expected)


def test_resized_values_are_near_those_of_plain_bilinear() -> None:
    chips = noise(40).float()
    plain = torch.nn.functional.interpolate(chips, (31, 31), mode="bilinear", antialias=True)
    assert (ByteResize(40, 31)(chips) - plain).abs().max() <= 1.01


@AVX2
@pytest.mark.parametrize(
    ("chip_size", "size", "enlarge"),
    [
        (32, 32, 1.0),
        (32, 40, 1.0),
        (48, 32, 1.0),
        (48, 32, 1.14),
        (36, 32, 1.125),
        (33, 32, 1.5),
        (32, 40, 1.0667),
    ],
)
def test_fitting_is_what_training_does(chip_size: int, size: int, enlarge: float) -> None:
    transform = ChipTransform(size, enlarge=enlarge, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    chips = noise(chip_size)
    mean, std = (torch.tensor(v)[:, None, None] * 255 for v in (transform.mean, transform.std))
    fitted = ChipFitting(chip_size, transform)((chips - mean) / std)
    torch.testing.assert_close(fitted, transform(chips), rtol=0, atol=2e-6)


def test_a_crop_of_one_pixel_is_the_one_of_torchvision() -> None:
    transform = ChipTransform(40, enlarge=41 / 40)
    pixels = noise(41).float()
    expected = v2.center_crop(pixels, [40, 40])
    assert torch.equal(ChipFitting(41, transform)(pixels), expected)


def test_chips_that_fit_pass_through() -> None:
    pixels = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    assert ChipFitting(32, ChipTransform(32))(pixels) is pixels
