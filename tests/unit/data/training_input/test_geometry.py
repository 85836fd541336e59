from __future__ import annotations

import pytest
import torch
from torchvision.transforms import v2

from agelens.data.training_input import geometry


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def images():
    return torch.rand(64, 3, 17, 17, generator=generator(1))


@pytest.mark.parametrize(
    ("transform", "flip"),
    [
        (geometry.RandomHorizontalFlip, v2.functional.horizontal_flip),
        (geometry.RandomVerticalFlip, v2.functional.vertical_flip),
    ],
)
def test_flips_are_drawn_for_each_sample(images, transform, flip):
    changed = transform(0.3)(images.clone(), generator())
    same = (changed == images).flatten(1).all(1)
    flipped = (changed == flip(images)).flatten(1).all(1)
    assert (same ^ flipped).all()
    assert 8 <= flipped.sum() <= 32  # 19 expected of 64, sd 3.7
    assert torch.equal(transform(1.0)(images.clone()), flip(images))
    assert torch.equal(transform(0.0)(images.clone()), images)


@pytest.mark.parametrize("sampling", ["nearest", "bilinear"])
def test_each_sample_turns_by_its_own_angle_as_torchvision_turns(images, sampling):
    turned = geometry.RandomRotation(30, sampling=sampling)(images, generator(5))
    angles = torch.rand(64, generator=generator(5)) * 60 - 30
    for image, one, angle in zip(images, turned, angles, strict=True):
        mode = v2.InterpolationMode(sampling)
        expected = v2.functional.rotate(image, float(angle), interpolation=mode)
        # Torchvision rounds its angles otherwise: a few nearest pixels fall on the other side.
        assert (one - expected).abs().gt(1e-3).float().mean() < 0.02
    assert len(angles.unique()) == 64


def test_no_turn_changes_nothing(images):
    assert torch.allclose(geometry.RandomRotation(0)(images.clone()), images)


def test_zoom_shows_a_part_of_each_sample():
    ramp = torch.linspace(0, 1, 65).expand(40, 3, 65, 65)
    zoomed = geometry.RandomZoom(0.8)(ramp, generator())
    inside = zoomed[:, 0, 32, 1:-1]
    widths = (inside[:, -1] - inside[:, 0]) / (ramp[0, 0, 0, -2] - ramp[0, 0, 0, 1])
    assert (widths > 0.79).all()
    assert (widths < 1.01).all()
    assert widths.std() > 0.02
    middles = zoomed[:, 0, 32, 32]
    assert (middles > 0.39).all()
    assert (middles < 0.61).all()
    assert middles.std() > 0.01


def test_one_rectangle_of_each_sample_is_erased():
    images = torch.full((300, 3, 40, 40), 2.0)
    erased = geometry.RandomErasing(0.05, 0.2, p=1)(images, generator())[:, 0] < 2
    lines, columns = erased.any(2).sum(1), erased.any(1).sum(1)
    assert torch.equal(erased.flatten(1).sum(1), lines * columns)
    shares = lines * columns / 40**2
    assert 0.03 < shares.min() < shares.max() < 0.23
    assert 1 / 3.3 < (lines / columns).min() < 0.6
    assert 1.6 < (lines / columns).max() < 3.3
    assert erased.any(0)[3:-3, 3:-3].all()


def test_crops_lie_anywhere_in_each_sample():
    rows, columns = torch.meshgrid(torch.arange(12), torch.arange(12), indexing="ij")
    numbered = torch.stack([rows, columns, rows]).expand(200, 3, 12, 12)
    crops = geometry.RandomCrop(10)(numbered, generator())
    corners = {tuple(crop[:2, 0, 0].tolist()) for crop in crops}
    assert corners == {(top, left) for top in range(3) for left in range(3)}
    first = crops[0]
    top, left = first[0, 0, 0], first[1, 0, 0]
    assert torch.equal(first[0], (top + torch.arange(10))[:, None].expand(10, 10))
    assert torch.equal(first[1], (left + torch.arange(10)).expand(10, 10))


def test_equal_seeds_equal_batches(images):
    for transform in (
        geometry.RandomHorizontalFlip(0.5),
        geometry.RandomRotation(30, p=0.5),
        geometry.RandomZoom(0.5),
        geometry.RandomErasing(),
        geometry.RandomCrop(9),
    ):
        once, again, other = (transform(images.clone(), generator(s)) for s in (3, 3, 4))
        assert torch.equal(once, again)
        assert not torch.equal(once, other)


def test_no_probability():
    with pytest.raises(ValueError, match="0 to 1"):
        geometry.RandomHorizontalFlip(1.5)
