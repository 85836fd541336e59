"""DLDL against loops and dlordinal."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from dlordinal.losses import ExponentialLoss
from torch import Tensor
from torch.nn import CrossEntropyLoss

from agelens.models.methods.base import AgeTargets
from agelens.models.methods.dldl import DLDL

Labelled = Callable[..., AgeTargets]
YEARS = {"0-11": [float(a) for a in range(12)], "0.25,1-11": [0.25, *map(float, range(1, 12))]}
LABELS = [0.0, 11.0, 5.5, 3.25]


def logits() -> Tensor:
    return torch.randn(4, 12, generator=torch.Generator().manual_seed(7), dtype=torch.float64)


def loop_loss(
    z: Tensor, years: list[float], labels: list[float], sigmas: list[float], softmax: Callable
) -> Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for i, (age, sigma) in enumerate(zip(labels, sigmas, strict=True)):
        density = [math.exp(-((a - age) ** 2) / (2 * sigma**2)) for a in years]
        for weight, p in zip(density, softmax(z[i]), strict=True):
            d = weight / math.fsum(density)
            if d > 0:
                total = total + d * (math.log(d) - p.log())
    return total / len(z)


@pytest.mark.parametrize("ages", YEARS)
@pytest.mark.parametrize("sigma", [0.8, 2.0])
def test_matches_plain_loops(
    agree: Callable[..., None],
    loop_softmax: Callable[[Tensor], list[Tensor]],
    labelled: Labelled,
    ages: str,
    sigma: float,
) -> None:
    agree(
        lambda z: DLDL(ages, sigma=sigma).loss(z, labelled(LABELS)),
        lambda z: loop_loss(z, YEARS[ages], LABELS, [sigma] * 4, loop_softmax),
        logits(),
    )


def test_votes_give_each_image_its_sigma_where_they_are_known(
    agree: Callable[..., None],
    loop_softmax: Callable[[Tensor], list[Tensor]],
    labelled: Labelled,
) -> None:
    targets = labelled(LABELS, [4.5, None, 0.0, 1.25])  # votes that all agree have the floor
    method = DLDL("0-11", sigma=3.0, sigma_from_votes=True, smallest_sigma=0.5)
    agree(
        lambda z: method.loss(z, targets),
        lambda z: loop_loss(z, YEARS["0-11"], LABELS, [4.5, 3.0, 0.5, 1.25], loop_softmax),
        logits(),
    )


def test_votes_are_ignored_unless_asked_for(labelled: Labelled) -> None:
    voted = DLDL("0-11").loss(logits(), labelled(LABELS, [4.5, 9.0, 0.1, 1.25]))
    assert voted == DLDL("0-11").loss(logits(), labelled(LABELS))


def test_with_soft_labels_of_dlordinal_it_is_their_cross_entropy_less_the_entropy(
    agree: Callable[..., None], labelled: Labelled
) -> None:
    """Their exponential labels of p = 2 and tau = 2 sigma^2 are normal; they lie in float32."""
    method, ages = DLDL("0-11", sigma=2.0), [0.0, 11.0, 5.0, 3.0]
    theirs = ExponentialLoss(CrossEntropyLoss(), 12, p=2, tau=8)
    theirs.cls_probs = method.labels(labelled([float(a) for a in range(12)]), logits())
    entropy = torch.special.entr(method.labels(labelled(ages), logits())).sum(dim=1).mean()
    torch.testing.assert_close(
        ExponentialLoss(CrossEntropyLoss(), 12, p=2, tau=8).cls_probs.double(),
        theirs.cls_probs,
        rtol=1e-6,
        atol=1e-7,
    )
    classes = torch.tensor([int(age) for age in ages])
    agree(
        lambda z: method.loss(z, labelled(ages)) + entropy, lambda z: theirs(z, classes), logits()
    )


def test_a_floor_keeps_labels_of_agreeing_votes_on_the_nearest_class(labelled: Labelled) -> None:
    method = DLDL("0-11", sigma_from_votes=True)
    labels = method.labels(labelled([4.0, 4.5], [0.0, 0.0]), logits())
    assert labels[0, 4] == pytest.approx(1, abs=1e-9)
    assert labels[1, 4].item() == labels[1, 5].item() == pytest.approx(0.5)


@pytest.mark.parametrize("option", ["sigma", "smallest_sigma"])
def test_sigmas_must_be_above_zero(option: str) -> None:
    with pytest.raises(ValueError, match=f"{option} must be above 0"):
        DLDL(**{option: 0.0})
