"""Margins against plain loops, in value and in gradient."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from agelens.errors import UsageError
from agelens.recognition.margins import ArcFace, ClassWeights, CosFace, Margin, MarginLoss

Moved = Callable[[float], float]


def _cosface(cosine: float) -> float:
    return cosine - 0.35


def _arcface(cosine: float) -> float:
    angle = math.acos(cosine)
    if angle + 0.5 < math.pi:
        return math.cos(angle + 0.5)
    return cosine - 0.5 * math.sin(0.5)


def _easy_arcface(cosine: float) -> float:
    return math.cos(math.acos(cosine) + 0.5) if cosine > 0 else cosine


CASES = [
    pytest.param(CosFace(), _cosface, id="cosface"),
    pytest.param(ArcFace(), _arcface, id="arcface"),
    pytest.param(ArcFace(easy=True), _easy_arcface, id="easy arcface"),
]


def _loss_by_loops(cosines: list[list[float]], labels: list[int], moved: Moved) -> float:
    total = 0.0
    for row, label in zip(cosines, labels, strict=True):
        logits = [
            64 * (moved(cosine) if place == label else cosine) for place, cosine in enumerate(row)
        ]
        greatest = max(logits)
        total += greatest + math.log(sum(math.exp(z - greatest) for z in logits)) - logits[label]
    return total / len(cosines)


def _cosines_by_loops(embeddings: Tensor, centres: Tensor) -> list[list[float]]:
    def cosine(a: list[float], b: list[float]) -> float:
        dot = sum(x * y for x, y in zip(a, b, strict=True))
        return dot / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))

    return [[cosine(one, centre) for centre in centres.tolist()] for one in embeddings.tolist()]


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    """Embeddings of every angle to their centres, which `_loss` sets."""
    generator = torch.Generator().manual_seed(3)
    labels = torch.tensor([0, 3, 3, 1, 4, 2])
    return torch.randn(6, 4, generator=generator, dtype=torch.float64), labels


def _loss(margin: Margin, embeddings: Tensor) -> MarginLoss:
    loss = MarginLoss(ClassWeights(5, 4), margin).double()
    with torch.no_grad():
        loss.classes.weight[0] = -embeddings[0] + 0.01  # nearly opposite
        loss.classes.weight[1] = embeddings[3] + 0.1  # nearly on it
    return loss


@pytest.mark.parametrize(("margin", "moved"), CASES)
def test_value_and_gradient_are_those_of_plain_loops(
    margin: Margin, moved: Moved, batch: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The loss reckons in 32 bits; slopes by differences need 64.
    monkeypatch.setattr(Tensor, "float", lambda self: self)
    embeddings, labels = batch
    loss = _loss(margin, embeddings)
    embeddings.requires_grad_()
    value = loss(embeddings, labels)
    value.backward()

    def by_loops(at: Tensor, centres: Tensor) -> float:
        return _loss_by_loops(_cosines_by_loops(at, centres), labels.tolist(), moved)

    centres = loss.classes.weight.detach()
    assert value.item() == pytest.approx(by_loops(embeddings.detach(), centres), rel=1e-9)
    for which, gradient in ((0, embeddings.grad), (1, loss.classes.weight.grad)):
        assert gradient is not None
        for place in ((0, 0), (3, 2), (1, 1), (4, 3)):
            near = []
            for step in (1e-6, -1e-6):
                both = [embeddings.detach().clone(), centres.clone()]
                both[which][place] += step
                near.append(by_loops(*both))
            slope = (near[0] - near[1]) / 2e-6
            assert gradient[place].item() == pytest.approx(slope, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(("margin", "moved"), CASES)
def test_every_angle_is_moved_as_the_reference_moves_it(margin: Margin, moved: Moved) -> None:
    cosines = torch.linspace(-1, 1, 201, dtype=torch.float64)
    expected = [moved(min(1.0, max(-1.0, cosine))) for cosine in cosines.tolist()]
    torch.testing.assert_close(
        margin.moved(cosines), torch.tensor(expected).double(), atol=1e-6, rtol=0
    )


@pytest.mark.parametrize(
    "margin", [CosFace(margin=0), ArcFace(angle=0), ArcFace(angle=0, easy=True)]
)
def test_no_margin_is_a_softmax_of_scaled_cosines(margin: Margin) -> None:
    cosines = torch.tensor([[0.5, -0.9], [0.1, 0.2]])
    torch.testing.assert_close(
        margin(cosines, torch.tensor([0, 1])), 64 * cosines, atol=1e-3, rtol=0
    )


def test_an_embedding_on_its_centre_has_a_finite_gradient() -> None:
    loss = MarginLoss(ClassWeights(2, 3), ArcFace())
    embeddings = (2 * loss.classes.weight.detach()).requires_grad_()
    loss(embeddings, torch.tensor([0, 1])).backward()
    assert embeddings.grad is not None
    assert embeddings.grad.isfinite().all()


def test_a_target_elsewhere_leaves_its_row_as_it_is() -> None:
    cosines = torch.tensor([[0.5, 0.25], [0.5, 0.25]])
    logits = CosFace(scale=10, margin=0.1)(cosines, torch.tensor([-1, 0]))
    torch.testing.assert_close(logits, torch.tensor([[5.0, 2.5], [4.0, 2.5]]))


def test_mixed_precision_does_not_reach_the_loss() -> None:
    loss = MarginLoss(ClassWeights(5, 8), CosFace())
    embeddings, labels = torch.randn(4, 8), torch.tensor([0, 1, 2, 3])
    alone = loss(embeddings, labels)
    with torch.autocast("cpu", torch.bfloat16):
        assert loss(embeddings, labels).equal(alone)


@pytest.mark.parametrize(
    "make",
    [
        lambda: CosFace(scale=0),
        lambda: CosFace(margin=-0.1),
        lambda: ArcFace(angle=3.2),
        lambda: ClassWeights(1, 8),
        lambda: ClassWeights(5, 8, sample_rate=0),
        lambda: ClassWeights(5, 8, sample_rate=1.5),
    ],
)
def test_what_is_out_of_range_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(UsageError, match="got"):
        make()
