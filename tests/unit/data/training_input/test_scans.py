from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from agelens.data.training_input import scans
from agelens.data.training_input.geometry import RandomSimilarity

STEPS: dict[str, Callable[[float], nn.Module]] = {
    "resolution": lambda p: scans.RandomResolution(0.3, 0.6, p),
    "blur": lambda p: scans.RandomBlur(0.02, 0.05, p),
    "tone": lambda p: scans.RandomTone(0.4, p),
    "dyes": lambda p: scans.RandomFadedDyes(0.2, 0.2, 0.6, p),
    "fade": lambda p: scans.RandomFade(0.4, 0.8, 0.1, p),
    "grain": lambda p: scans.RandomGrain(0.1, p),
    "jpeg": lambda p: scans.RandomJPEG(20, 60, p),
    "similarity": lambda p: RandomSimilarity(10, 0.1, 0.05, p),
}


@pytest.fixture
def chips() -> Tensor:
    return torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", STEPS)
def test_every_step_changes_all_and_stays_in_range(name: str, chips: Tensor) -> None:
    changed = STEPS[name](1)(chips.clone(), seeded())
    assert changed.shape == chips.shape
    assert changed.dtype == torch.float32
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert ((changed - chips).abs().amax((1, 2, 3)) > 1e-3).all()


@pytest.mark.parametrize("name", STEPS)
def test_chance_is_the_generators(name: str, chips: Tensor) -> None:
    step = STEPS[name](0.5)
    first, again, other = (step(chips.clone(), seeded(s)) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", STEPS)
def test_no_chance_no_change(name: str, chips: Tensor) -> None:
    assert torch.equal(STEPS[name](0)(chips.clone(), seeded()), chips)


def detail(images: Tensor) -> float:
    """Mean squared difference between neighbours."""
    return float((images[..., 1:] - images[..., :-1]).square().mean())


@pytest.mark.parametrize("name", ["resolution", "blur"])
def test_detail_is_lost(name: str, chips: Tensor) -> None:
    assert detail(STEPS[name](1)(chips.clone(), seeded())) < 0.6 * detail(chips)


def test_a_toned_print_has_one_hue(chips: Tensor) -> None:
    toned = scans.RandomTone(0.4, 1)(chips * 0.6, seeded())
    ratio = toned[:, 0] / toned[:, 1]
    assert (ratio.amax((1, 2)) - ratio.amin((1, 2))).max() < 1e-4


def test_fading_takes_contrast(chips: Tensor) -> None:
    faded = scans.RandomFade(0.5, 0.5, 0.0, 1)(chips.clone(), seeded())
    assert faded.std() == pytest.approx(0.5 * chips.std().item(), rel=0.01)
    assert faded.mean() == pytest.approx(chips.mean().item(), abs=1e-5)


def test_blur_of_a_point_is_the_gaussian() -> None:
    point = torch.zeros(1, 3, 33, 33)
    point[..., 16, 16] = 1
    blurred = scans.RandomBlur(0.05, 0.05, 1)(point, seeded())[0, 0]
    sigma = 0.05 * 33
    assert blurred.sum() == pytest.approx(1, abs=1e-4)
    assert blurred[16, 17] / blurred[16, 16] == pytest.approx(
        torch.tensor(-0.5 / sigma**2).exp().item(), rel=1e-4
    )


def test_a_shift_moves_by_shares_of_the_side() -> None:
    step = RandomSimilarity(0, 0, 0.25)
    ramp = torch.linspace(0, 1, 64).expand(200, 3, 64, 64).clone()
    middle = step(ramp, seeded())[:, 0, 32, 32] - ramp[0, 0, 32, 32]
    assert middle.abs().max() == pytest.approx(0.25, abs=0.02)
    assert middle.mean() == pytest.approx(0, abs=0.04)
