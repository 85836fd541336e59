"""SSR-Net: stages of bins, their shifts and the stretch of their ranges."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from agelens.models.methods.base import AgeTargets
from agelens.models.methods.ssr_net import SSRHead, SSRNet, soft_stagewise

Agree = Callable[[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor], Tensor], None]
AGES = [31.0, 8.0, 70.0]


def parts_of(row: Tensor, bins: tuple[int, ...]) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Weights, shifts and stretch of each stage from rows of numbers [B, 2 * sum(bins) + 3]."""
    stages, at = [], 0
    for count in bins:
        shifts = row[:, at + count : at + 2 * count].tanh()
        stretch = row[:, at + 2 * count : at + 2 * count + 1].tanh()
        stages.append((row[:, at : at + count].relu(), shifts, stretch))
        at += 2 * count + 1
    return stages


@pytest.mark.parametrize("bins", [(3, 3, 3), (2, 4)])
def test_age_is_plain_loops(
    agree: Agree, labelled: Callable[..., AgeTargets], bins: tuple[int, ...]
) -> None:
    def ours(numbers: Tensor) -> Tensor:
        age = 101 * soft_stagewise(parts_of(numbers, bins), 0.7, 0.4)
        return SSRNet().loss(torch.stack([age, age], dim=1), labelled(AGES))

    def loops(numbers: Tensor) -> Tensor:
        total = numbers.new_zeros(())
        for b, label in enumerate(AGES):
            age, width = numbers.new_zeros(()), numbers.new_full((), 101.0)
            for weights, shifts, stretch in parts_of(numbers, bins):
                width = width / (weights.shape[1] * (1 + 0.4 * stretch[b, 0]))
                for i in range(weights.shape[1]):
                    age = age + weights[b, i] * (i + 0.7 * shifts[b, i]) * width
            total = total + (age - label).abs()
        return total / len(AGES)

    chance = torch.Generator().manual_seed(0)
    width = 2 * sum(bins) + len(bins)
    agree(ours, loops, torch.randn(3, width, generator=chance, dtype=torch.float64))


def test_sure_digits_are_a_number_of_base_three() -> None:
    digits = [torch.eye(3)[[digit]] for digit in (1, 2, 0)]
    stages = [(digit, torch.zeros(1, 3), torch.zeros(1, 1)) for digit in digits]
    assert soft_stagewise(stages, 1, 1).item() == pytest.approx(1 / 3 + 2 / 9)


def test_a_range_stretched_without_end_stays_finite() -> None:
    stages = [(torch.ones(1, 3), torch.zeros(1, 3), -torch.ones(1, 1))] * 3
    assert soft_stagewise(stages, 1, 1).isfinite().all()


def test_an_untrained_net_answers_about_the_middle_of_the_scale() -> None:
    torch.manual_seed(0)
    for ages, middle in (("0-100", 48.6), ("20-59", 20 + 19.3)):
        method = SSRNet(ages)
        answer = method.answer(method.head(6).eval()(torch.randn(50, 6)))
        torch.testing.assert_close(answer[:, 0], torch.full((50,), middle), rtol=0, atol=5)
        assert (answer[:, 1] == 15).all()


def test_each_stage_sees_its_own_features() -> None:
    torch.manual_seed(0)
    head = SSRNet(bins=(3, 2), stage_features=(4, 2)).head(6).eval()
    assert isinstance(head, SSRHead)
    features = torch.randn(5, 6)
    stages = [head.digits[0](features[:, :4]), head.digits[1](features[:, 4:])]
    expected = 101 * soft_stagewise(stages, 1, 1)
    torch.testing.assert_close(head(features)[:, 0], expected)


def test_stages_share_features_by_default() -> None:
    torch.manual_seed(0)
    head = SSRNet().head(6).eval()
    assert isinstance(head, SSRHead)
    features = torch.randn(5, 6)
    expected = 101 * soft_stagewise([digit(features) for digit in head.digits], 1, 1)
    torch.testing.assert_close(head(features)[:, 0], expected)


def test_spread_is_what_validation_erred_by() -> None:
    head = copy.deepcopy(SSRNet().head(6))
    assert isinstance(head, SSRHead)
    head.after_epoch(torch.tensor([3.0, -4.0]), best=False)
    assert head(torch.zeros(2, 6))[:, 1].tolist() == pytest.approx([12.5**0.5] * 2)


def test_features_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="add up to 6, and the features to 9"):
        SSRNet(stage_features=(2, 2, 2)).head(9)


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"stage_features": (4, 2)}, "2 stages and bins 3"),
        ({"bins": ()}, "stages"),
        ({"bins": (3, 0)}, "fewest_bins"),
        ({"dropout": 1.0}, "kept"),
        ({"range_weight": -1.0}, "range_weight"),
    ],
)
def test_senseless_options_are_refused(wrong: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        SSRNet(**wrong)  # type: ignore[arg-type]
