from __future__ import annotations

import colorsys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional as v2

from agelens.data.training_input import colour

EVERY = (
    colour.RandomGrey(0.5),
    colour.RandomSharpness(0.2, p=0.5),
    colour.RandomGamma(0.5, 2.0, p=0.5),
    colour.RandomBrightnessContrast(0.3, 0.3, p=0.5),
    colour.RandomHueSaturationValue(60, 0.3, 0.3, p=0.5),
    colour.RandomColourJitter(0.4, 0.4, 0.4, 0.2, p=0.5),
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn(low, high, seed, skip=0):
    source = generator(seed)
    numbers = [torch.rand(32, generator=source) for _ in range(skip + 1)][-1]
    return (numbers * (high - low) + low).tolist()


@pytest.fixture
def images():
    return torch.rand(32, 3, 9, 9, generator=generator(1))


@pytest.mark.parametrize("transform", EVERY, ids=lambda t: type(t).__name__)
def test_each_sample_for_itself_within_bounds_and_by_seed(images, transform):
    once, again, other = (transform(images.clone(), generator(s)) for s in (3, 3, 4))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert once.min() >= 0
    assert once.max() <= 1
    untouched = (once == images).flatten(1).all(1)
    assert 6 <= untouched.sum() <= 26  # 16 expected of 32, sd 2.8


def test_grey(images):
    expected = v2.rgb_to_grayscale(images, 3)
    assert torch.allclose(colour.RandomGrey(1)(images), expected)


def test_sharpness(images):
    expected = torch.stack([v2.adjust_sharpness(image, 0.2) for image in images])
    assert torch.allclose(colour.RandomSharpness(0.2, p=1)(images.clone()), expected, atol=1e-6)


def test_gamma(images):
    changed = colour.RandomGamma(0.5, 2, p=1)(images.clone(), generator(2))
    gammas = drawn(0.5, 2, 2)
    expected = [v2.adjust_gamma(i, g) for i, g in zip(images, gammas, strict=True)]
    assert torch.allclose(changed, torch.stack(expected), atol=1e-6)


def test_brightness_and_contrast_are_one_line(images):
    changed = colour.RandomBrightnessContrast(0.2, 0.3, p=1)(images.clone(), generator(2))
    slopes, offsets = drawn(0.7, 1.3, 2), drawn(-0.2, 0.2, 2, skip=1)
    expected = [
        (image * slope + offset).clamp(0, 1)
        for image, slope, offset in zip(images, slopes, offsets, strict=True)
    ]
    assert torch.allclose(changed, torch.stack(expected), atol=1e-6)


@pytest.mark.parametrize(
    ("options", "adjust"),
    [
        ({"brightness": 0.4}, v2.adjust_brightness),
        ({"contrast": 0.4}, v2.adjust_contrast),
        ({"saturation": 0.4}, v2.adjust_saturation),
    ],
)
def test_jitter_is_torchvision_s_sample_by_sample(images, options, adjust):
    changed = colour.RandomColourJitter(**options)(images.clone(), generator(2))
    factors = drawn(0.6, 1.4, 2)
    expected = [adjust(image, factor) for image, factor in zip(images, factors, strict=True)]
    assert torch.allclose(changed, torch.stack(expected), atol=1e-6)


def test_jitter_of_hue_is_torchvision_s_sample_by_sample(images):
    changed = colour.RandomColourJitter(hue=0.3)(images.clone(), generator(2))
    turns = drawn(-0.3, 0.3, 2)
    expected = [v2.adjust_hue(image, turn) for image, turn in zip(images, turns, strict=True)]
    assert torch.allclose(changed, torch.stack(expected), atol=1e-4)


unit = st.floats(0, 1, width=32, allow_subnormal=False)
shift = st.floats(-0.5, 0.5, width=32, allow_subnormal=False)


@given(st.tuples(unit, unit, unit), st.floats(-180, 180, width=32), shift, shift)
def test_hsv_is_the_standard_library_s(rgb, degrees, saturation, value):
    pixel = torch.tensor(rgb).reshape(1, 3, 1, 1)
    limits = (torch.tensor(x).reshape(1, 1, 1, 1) for x in (degrees, saturation, value))
    got = colour.shift_hsv(pixel, *limits).flatten().tolist()
    h, s, v = colorsys.rgb_to_hsv(*rgb)
    s, v = (min(max(x + dx, 0), 1) for x, dx in ((s, saturation), (v, value)))
    assert got == pytest.approx(colorsys.hsv_to_rgb((h + degrees / 360) % 1, s, v), abs=2e-4)


def test_greys_keep_to_grey_when_hues_turn():
    greys = torch.linspace(0, 1, 32).reshape(-1, 1, 1, 1).expand(32, 3, 4, 4).clone()
    assert torch.allclose(colour.RandomColourJitter(hue=0.5)(greys.clone()), greys)
