from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch.optim import lr_scheduler

from agelens.errors import UsageError
from agelens.training.optimizers import (
    Constant,
    Cosine,
    MultiStep,
    OneCycle,
    Plateau,
    Schedule,
    Step,
)

EPOCHS, PER_EPOCH = 8, 5
STEPS = EPOCHS * PER_EPOCH


def factors(schedule: Schedule) -> list[float]:
    return [schedule.factor(n, steps_per_epoch=PER_EPOCH, steps=STEPS) for n in range(STEPS)]


def of_torch(make, *, by_epoch: bool) -> list[float]:
    """The rates that torch's own scheduler gives an optimiser with rate 1."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = make(optimizer)
    rates = []
    for step in range(STEPS):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if not by_epoch or (step + 1) % PER_EPOCH == 0:
            scheduler.step()
    return rates


@pytest.mark.parametrize(
    ("ours", "theirs", "by_epoch"),
    [
        (Constant(), lambda o: lr_scheduler.ConstantLR(o, factor=1.0), False),
        (Step(3, 0.5), lambda o: lr_scheduler.StepLR(o, 3, 0.5), True),
        (MultiStep([5, 2]), lambda o: lr_scheduler.MultiStepLR(o, [2, 5]), True),
        (Cosine(0.1), lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS, 0.1), False),
    ],
    ids=["constant", "step", "multi-step", "cosine"],
)
def test_schedules_are_those_of_torch(ours, theirs, by_epoch) -> None:
    assert factors(ours) == pytest.approx(of_torch(theirs, by_epoch=by_epoch))


def test_one_cycle_is_that_of_torch_but_for_its_last_step() -> None:
    # Torch reaches its peak and its end one step early: its run is STEPS - 1 long.
    theirs = of_torch(
        lambda o: lr_scheduler.OneCycleLR(o, 1.0, total_steps=STEPS, cycle_momentum=False),
        by_epoch=False,
    )
    ours = factors(OneCycle())
    assert ours[0] == pytest.approx(theirs[0]) == 1 / 25
    assert max(ours) == pytest.approx(1)
    assert ours == pytest.approx(theirs, abs=0.08)
    end = OneCycle().factor(STEPS, steps_per_epoch=PER_EPOCH, steps=STEPS)
    assert end == pytest.approx(1 / 25 / 1e4)


@pytest.mark.parametrize("schedule", [Constant, Cosine, OneCycle], ids=lambda kind: kind.__name__)
def test_warm_up_is_a_straight_line_to_the_schedule(schedule) -> None:
    warmed = factors(schedule(warmup_epochs=2, warmup_start=0.1))
    rising = warmed[: 2 * PER_EPOCH]
    gaps = [b - a for a, b in pairwise(rising)]
    assert all(gap == pytest.approx(gaps[0]) for gap in gaps)
    assert warmed[2 * PER_EPOCH] - rising[-1] == pytest.approx(gaps[0])
    assert rising[0] > 0.1 * warmed[2 * PER_EPOCH]


def test_cosine_starts_behind_its_warm_up() -> None:
    warmed = factors(Cosine(warmup_epochs=2))
    assert warmed[2 * PER_EPOCH] == 1
    middle = 2 * PER_EPOCH + (STEPS - 2 * PER_EPOCH) // 2
    assert warmed[middle] == pytest.approx(0.5)


def test_a_plateau_is_torchs() -> None:
    costs = [5.0, 4.0, 4.0, 4.1, 4.0, 3.0, 3.0, 3.0, 3.0]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    ours = Plateau(0.5, patience=1)
    for cost in costs:
        theirs.step(cost)
        ours.observe(cost)
        assert ours.at(0, 1) == optimizer.param_groups[0]["lr"]
    assert ours.at(0, 1) < 1


def test_a_plateau_goes_on_where_it_was() -> None:
    before, after = Plateau(0.5, patience=1), Plateau(0.5, patience=1)
    for cost in (3.0, 3.0, 3.0, 3.0):
        before.observe(cost)
    after.load_state_dict(before.state_dict())
    for cost in (3.0, 3.0, 3.0):
        before.observe(cost)
        after.observe(cost)
        assert before.at(0, 1) == after.at(0, 1)
    assert after.at(0, 1) < 0.5


@pytest.mark.parametrize(
    "make",
    [
        lambda: Constant(warmup_epochs=-1),
        lambda: Cosine(warmup_start=1.5),
        lambda: Step(0),
        lambda: OneCycle(rise=1.0),
    ],
)
def test_numbers_out_of_range_are_refused(make) -> None:
    with pytest.raises(UsageError):
        make()


def test_every_factor_is_finite_and_not_negative() -> None:
    for schedule in (Step(1), MultiStep([1]), Cosine(warmup_epochs=99), OneCycle(rise=0.01)):
        assert all(math.isfinite(one) and one >= 0 for one in factors(schedule))
