from __future__ import annotations

import pytest
import torch
from torchvision.transforms.v2 import functional as v2

from agelens.data.training_input import PRESETS, preset_named
from agelens.errors import UnknownNameError, UsageError

SIZES = (64, 112, 256)
WITHOUT_CHANCE = "coral-tf"  # its authors change nothing about their pictures
CHANGING = [name for name in PRESETS if name != WITHOUT_CHANCE]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def chips():
    return torch.randint(0, 256, (24, 3, 96, 96), dtype=torch.uint8, generator=generator(1))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", PRESETS)
def test_both_forms_give_what_a_network_takes(name, size, chips):
    preset = preset_named(name)
    for transform in (preset.for_training(size), preset.for_evaluation(size)):
        before = chips.clone()
        out = transform(chips, generator())
        assert out.shape == (24, 3, size, size)
        assert out.dtype == torch.float32
        assert torch.equal(chips, before)  # a cached batch must survive
        lowest = (0 - torch.tensor(preset.mean)) / torch.tensor(preset.std)
        highest = (1 - torch.tensor(preset.mean)) / torch.tensor(preset.std)
        assert (out.amin((0, 2, 3)) >= lowest - 1e-5).all()
        assert (out.amax((0, 2, 3)) <= highest + 1e-5).all()


@pytest.mark.parametrize("name", CHANGING)
def test_chance_only_in_training_and_by_seed(name, chips):
    preset = preset_named(name)
    train = preset.for_training(64)
    assert torch.equal(train(chips, generator(5)), train(chips, generator(5)))
    assert not torch.equal(train(chips, generator(5)), train(chips, generator(6)))
    evaluate = preset.for_evaluation(64)
    assert torch.equal(evaluate(chips, generator(5)), evaluate(chips, generator(6)))


def test_a_preset_without_chance_trains_on_what_it_evaluates(chips):
    preset = preset_named(WITHOUT_CHANCE)
    seen = preset.for_training(64)(chips, generator(5))
    assert torch.equal(seen, preset.for_evaluation(64)(chips, generator(6)))


@pytest.mark.parametrize("name", CHANGING)
def test_samples_of_a_batch_differ_from_each_other(name):
    chip = torch.randint(0, 256, (1, 3, 128, 128), dtype=torch.uint8, generator=generator(2))
    out = preset_named(name).for_training(64)(chip.expand(48, -1, -1, -1), generator())
    kinds = {tuple(sample.flatten()[:: 64 * 7].tolist()) for sample in out}
    assert len(kinds) > 1


@pytest.mark.parametrize(
    ("name", "size", "mean", "std"),
    [
        ("rapl", 112, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ("ldl", 224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ("iefp", 112, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ("coral", 120, (0, 0, 0), (1, 1, 1)),
        ("unified", 256, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ],
)
def test_published_sizes_and_normalisation(name, size, mean, std):
    preset = preset_named(name)
    assert (preset.size, preset.mean, preset.std) == (size, mean, std)


def test_coral_crops_120_of_128(chips):
    preset = preset_named("coral")
    resized = v2.to_dtype(v2.resize(chips, [128, 128]), torch.float32, scale=True)
    centre = preset.for_evaluation()(chips)
    assert torch.allclose(centre, resized[..., 4:124, 4:124])
    crop = preset.for_training()(chips, generator())[0]
    windows = resized[0].unfold(1, 120, 1).unfold(2, 120, 1)
    matches = [torch.allclose(crop, windows[:, top, left]) for top in range(9) for left in range(9)]
    assert sum(matches) == 1


def test_evaluation_is_resize_and_normalisation(chips):
    out = preset_named("iefp").for_evaluation(96)(chips)
    assert torch.allclose(out, chips / 127.5 - 1, atol=1e-6)


def test_wrong_names_and_sizes():
    with pytest.raises(UnknownNameError, match="rapl"):
        preset_named("rappl")
    with pytest.raises(UsageError, match="32 to 1024"):
        preset_named("rapl").for_training(16)
