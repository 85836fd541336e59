"""RAPL: references from the best epoch, re-weighting, and a loss of position after that."""

from __future__ import annotations

import copy
import io
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from agelens.errors import UsageError
from agelens.models.methods.base import AgeTargets
from agelens.models.methods.rapl import RAPL, RAPLHead, RAPLOutputs

Agree = Callable[[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor], Tensor], None]
YEARS = [20.0, 25.0, 31.0]
NONE = torch.zeros(0)


def head_of(method: RAPL | None = None, features: int = 4) -> RAPLHead:
    torch.manual_seed(0)
    head = (method or RAPL("20,25,31")).head(features)
    assert isinstance(head, RAPLHead)
    return head


def targets(ages: list[float]) -> AgeTargets:
    return AgeTargets(torch.tensor(ages), torch.full((len(ages),), math.nan))


def seen(head: RAPLHead, ages: list[float], errors: list[float], features: Tensor) -> None:
    """A batch whose expected ages err by so much."""
    aims = torch.tensor([age + error for age, error in zip(ages, errors, strict=True)])
    low = (31 - aims) / 11  # softmax weights on 20 and 31 whose mean is the aim
    logits = torch.stack([low.log(), torch.full_like(low, -math.inf), (1 - low).log()], dim=1)
    made = RAPLOutputs(features, logits, torch.zeros_like(logits), torch.zeros(len(ages)))
    head.after_step(made, targets(ages))


def marked(*marks: float) -> Tensor:
    return torch.tensor(marks)[:, None].expand(-1, 4)


def test_scale_is_narrowed_to_the_ages_that_occur() -> None:
    method = RAPL("0-100")
    method.fit_ages(torch.tensor([31.0, 20.0, 25.2, 20.0]))
    assert str(method.scale) == "20,25,31"
    assert method.spec.width == 3
    again = RAPL(str(method.scale)).head(7)
    again.load_state_dict(method.head(7).state_dict())
    method.fit_ages(torch.tensor([31.0, 20.0, 50.0]))
    assert str(method.scale) == "20,31,50"


def test_one_age_alone_is_refused() -> None:
    with pytest.raises(UsageError, match="have the same"):
        RAPL().fit_ages(torch.tensor([31.0, 31.0]))


def test_position_is_that_of_explicit_copies() -> None:
    head = head_of()
    head.references.normal_()
    with torch.no_grad():
        head.theta.normal_()
    features = torch.randn(5, 4)
    position = head(features).position_logits
    for b in range(5):
        mixed = []
        for f in range(4):
            copies = [
                features[b, f] / (1 + (-head.references[j, f] * head.theta[j]).exp())
                for j in range(3)
            ]
            weighed = [w * c for w, c in zip(head.fc_feature.weight[0], copies, strict=True)]
            mixed.append(sum(weighed) + head.fc_feature.bias[0])
        torch.testing.assert_close(position[b], head.fc_pos(torch.stack(mixed)))


@pytest.mark.parametrize("ready", [0.0, 1.0])
def test_loss_is_plain_loops(agree: Agree, ready: float) -> None:
    ages, places = [25.0, 31.0, 20.0, 31.0], [1, 2, 0, 2]
    method = RAPL("20,25,31")

    def ours(inputs: Tensor) -> Tensor:
        made = RAPLOutputs(inputs[0], inputs[0], inputs[1], torch.full((4,), ready))
        return method.loss(made, targets(ages))

    def loops(inputs: Tensor) -> Tensor:
        total = inputs.new_zeros(())
        for i in range(4):
            p = inputs[0, i].exp() / inputs[0, i].exp().sum()
            expected = sum(p[j] * YEARS[j] for j in range(3))
            total = total + (expected - ages[i]).abs()
            q = inputs[1, i].exp() / inputs[1, i].exp().sum()
            total = total - ready * q[places[i]].log()
        return total / 4

    chance = torch.Generator().manual_seed(0)
    agree(ours, loops, torch.randn(2, 4, 3, generator=chance, dtype=torch.float64))


def test_every_weight_has_a_gradient_before_the_first_references() -> None:
    head = head_of()
    RAPL("20,25,31").loss(head(torch.randn(2, 4)), targets([20.0, 31.0])).backward()
    assert all(weight.grad is not None for weight in head.parameters())
    assert head.fc_pos.weight.grad is not None
    assert head.fc_pos.weight.grad.abs().max() == 0


def test_references_are_the_least_errors_of_the_best_epoch() -> None:
    head = head_of()
    seen(head, [20.0, 25.0, 20.0], [4.0, -3.0, 2.0], marked(1, 2, 3))
    seen(head, [20.0, 25.0], [3.0, 1.0], marked(4, 5))
    assert head.ready == 0
    head.after_epoch(NONE, best=True)
    assert head.ready == 1
    assert head.references[:, 0].tolist() == [3, 5, 0]

    seen(head, [20.0, 25.0, 31.0], [0.5, 0.5, -0.5], marked(6, 7, 8))
    head.after_epoch(NONE, best=False)  # better errors of a worse epoch do not count
    assert head.references[:, 0].tolist() == [3, 5, 0]

    seen(head, [20.0, 31.0], [6.0, -6.0], marked(9, 10))  # an epoch starts anew
    head.after_epoch(NONE, best=True)
    assert head.references[:, 0].tolist() == [9, 5, 10]


def test_an_epoch_without_training_makes_no_references() -> None:
    head = head_of()
    head.after_epoch(NONE, best=True)
    assert head.ready == 0


def test_features_are_kept_as_they_were() -> None:
    head, features = head_of(), torch.randn(2, 4)
    made = head(features)
    with torch.no_grad():
        head.after_step(made, targets([20.0, 31.0]))
    features.zero_()
    assert head.candidates[[0, 2]].abs().min() > 0
    assert not head.candidates.requires_grad


def test_ties_fall_by_seed_and_on_both() -> None:
    def winner(seed: int) -> float:
        head = head_of(RAPL("20,25,31", seed=seed))
        seen(head, [20.0, 20.0], [1.0, 1.0], marked(1, 2))
        seen(head, [20.0], [1.0], marked(3))
        head.after_epoch(NONE, best=True)
        return head.references[0, 0].item()

    winners = [winner(seed) for seed in range(30)]
    assert winners == [winner(seed) for seed in range(30)]
    assert set(winners) == {1, 2, 3}


def test_any_order_of_batches_gives_the_same_references() -> None:
    chance = torch.Generator().manual_seed(0)
    errors = torch.rand(60, generator=chance)
    ages = [YEARS[i % 2] for i in range(60)]
    features = torch.randn(60, 4, generator=chance)
    whole, parts = head_of(), head_of()
    seen(whole, ages, errors.tolist(), features)
    for start in range(50, -1, -10):
        rows = slice(start, start + 10)
        seen(parts, ages[rows], errors[rows].tolist(), features[rows])
    assert torch.equal(whole.candidates, parts.candidates)
    best = [min(range(i, 60, 2), key=lambda j: errors[j].item()) for i in range(2)]
    assert torch.equal(whole.candidates[:2], features[best])


def test_state_does_not_grow_with_samples() -> None:
    head = head_of()
    size = sum(buffer.numel() for buffer in head.buffers())
    for _ in range(5):
        seen(head, [20.0, 25.0], [1.0, 2.0], torch.randn(2, 4))
    assert sum(buffer.numel() for buffer in head.buffers()) == size
    assert set(head.state_dict()) == {
        *(name for name, _ in head.named_parameters()),
        *(name for name, _ in head.named_buffers()),
    }


def test_a_stopped_epoch_goes_on_from_its_checkpoint() -> None:
    whole, stopped = head_of(), head_of()
    for head in (whole, stopped):
        seen(head, [20.0, 20.0, 25.0], [1.0, 1.0, 2.0], marked(1, 2, 3))
    file = io.BytesIO()
    torch.save(stopped.state_dict(), file)
    file.seek(0)
    resumed = copy.deepcopy(head_of())
    resumed.load_state_dict(torch.load(file, weights_only=True))
    for head in (whole, resumed):
        seen(head, [20.0, 31.0], [1.0, -2.0], marked(4, 5))
        head.after_epoch(NONE, best=True)
    assert torch.equal(whole.references, resumed.references)
    assert torch.equal(whole.ready, resumed.ready)


def test_theta_starts_where_the_constructor_says() -> None:
    assert head_of().theta.tolist() == [0, 0, 0]
    assert head_of(RAPL("20,25,31", theta=1.0)).theta.tolist() == [1, 1, 1]
    assert any("theta" in departure.theirs for departure in RAPL.departures)


def test_posterior_is_the_softmax_of_ages_alone() -> None:
    made = head_of()(torch.randn(5, 4))
    torch.testing.assert_close(RAPL("20,25,31").answer(made), made.age_logits.softmax(1))


def test_the_terms_of_the_loss_are_told_apart() -> None:
    method = RAPL("20,25,31")
    made = RAPLOutputs(torch.randn(5, 4), torch.randn(5, 3), torch.randn(5, 3), torch.ones(5))
    wanted = targets([20.0, 25.0, 31.0, 31.0, 20.0])
    parts = method.loss_parts(made, wanted)
    ages = made.age_logits.softmax(1) @ torch.tensor([20.0, 25.0, 31.0])
    torch.testing.assert_close(parts["age"], (ages - wanted.age_years).abs().mean())
    log = made.position_logits.log_softmax(1)
    position = -(log[0, 0] + log[1, 1] + log[2, 2] + log[3, 2] + log[4, 0]) / 5
    torch.testing.assert_close(parts["position"], position)
    torch.testing.assert_close(method.loss(made, wanted), parts["age"] + position)
