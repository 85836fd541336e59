"""The loss of the untrained network against closed forms."""

from __future__ import annotations

import math

import pytest
import torch

from agelens.training.tuning.checks import UntrainedLoss, untrained_loss

TRAIN_AGES = range(0, 64, 2)


def test_classes_that_are_all_alike_cost_their_logarithm(training) -> None:
    loss = untrained_loss(training("--method.ages", "0-80"))
    assert loss.samples == len(TRAIN_AGES)
    assert loss.expected == pytest.approx(math.log(81), abs=0.1)  # biases start near 0
    assert loss.as_expected


def test_regression_costs_the_distance_from_where_it_starts(training) -> None:
    loss = untrained_loss(training("--method", "l1", "--method.start_age", "20"))
    expected = sum(abs(age - 20) for age in TRAIN_AGES) / len(TRAIN_AGES)
    assert loss.expected == pytest.approx(expected, rel=1e-5)
    assert loss.as_expected


def test_ordinal_tasks_cost_a_coin_each(training) -> None:
    loss = untrained_loss(training("--method", "or-cnn", "--method.ages", "0-80"))
    assert loss.expected == pytest.approx(80 * math.log(2), rel=0.02)


def test_an_auxiliary_task_adds_its_classes(training) -> None:
    loss = untrained_loss(training("--auxiliary.columns", '{"gender": 3.0}'))
    assert loss.expected == pytest.approx(math.log(101) + 3 * math.log(2), abs=0.15)
    assert loss.as_expected


def test_weights_that_are_far_too_large_are_noticed(training) -> None:
    wild = training()
    with torch.no_grad():
        wild.model.head.weight.mul_(1000)
    loss = untrained_loss(wild)
    assert loss.measured > 2 * loss.expected
    assert not loss.as_expected


def test_the_run_is_as_it_was(training) -> None:
    run = training()
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    untrained_loss(run)
    torch.testing.assert_close(run.model.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize(("measured", "good"), [(3.0, True), (4.7, False)])
def test_a_trained_head_has_to_be_better_than_a_constant(measured, good) -> None:
    assert UntrainedLoss(measured, 4.6, 8, trained_head=True).as_expected is good
