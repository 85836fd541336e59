"""Features held to a teacher's."""

from __future__ import annotations

import pytest
import torch

from agelens.errors import UsageError
from agelens.training.regularisers import FeatureDistance, ModelTeacher


def _set_up(model, **options):
    term = FeatureDistance(**options)
    term.setup(model)
    return term


def test_is_the_mean_squared_difference_of_features(toy, images) -> None:
    model, other = toy(seed=0), toy(seed=1)
    term = _set_up(model, teacher=ModelTeacher(other, model.backbone), weight=2.0)
    got = term(model, images, model(images))
    difference = (model.backbone(images) - other.backbone(images)).flatten().tolist()
    expected = 2 * sum(value**2 for value in difference) / len(difference)
    assert got.item() == pytest.approx(expected, rel=1e-5)
    got.backward()
    assert model.backbone.first.weight.grad.abs().sum() > 0
    assert model.head.weight.grad is None


def test_is_nothing_at_the_start(toy, images) -> None:
    model = toy()
    term = _set_up(model)
    assert term(model, images, model(images)).item() == pytest.approx(0, abs=1e-12)


def test_answers_in_evaluation_are_not_listened_to(toy, images) -> None:
    model = toy()
    term = _set_up(model)
    outputs = model.train()(images)
    model.eval()(torch.zeros(1, 3, 8, 8))
    assert term(model.train(), images, outputs).item() == pytest.approx(0, abs=1e-12)


def test_other_widths_are_an_error(toy, images) -> None:
    model = toy()
    term = _set_up(model, teacher=ModelTeacher(toy(features=6), model.backbone))
    with pytest.raises(UsageError, match="teacher has 6 features, the student 4"):
        term(model, images, model(images))


def test_a_packaged_teacher_shows_no_features(toy, images) -> None:
    model = toy()
    term = _set_up(model, teacher="cc0-resnet10")
    with pytest.raises(UsageError, match="'start' or a run folder"):
        term(model, images, model(images))


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 0"):
        FeatureDistance(weight=-1)
