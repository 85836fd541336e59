"""Distillation: from whom, over which ages, and that only the student learns."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch

from agelens.ages import AgeScale
from agelens.errors import CardError, UnknownNameError, UsageError
from agelens.inference.cards import load_card
from agelens.inference.network import ChipNetwork
from agelens.training.regularisers import Distillation, ModelTeacher, PackagedTeacher, Teacher
from agelens.training.regularisers.teachers import Lesson


class Fixed(Teacher):
    """Says the same of every image."""

    def __init__(self, row, scale) -> None:
        self.row, self.scale = row, scale

    def predict(self, images, /) -> Lesson:
        return Lesson(torch.tensor([self.row]).expand(len(images), -1), self.scale)

    def features(self, images, /):
        raise NotImplementedError


def _term(model, images, **options):
    term = Distillation(**options)
    term.setup(model)
    return term(model, images, model(images))


def test_a_student_at_its_start_is_no_distance_from_it(toy, images) -> None:
    assert _term(toy(), images).item() == pytest.approx(0, abs=1e-6)


def test_the_teacher_stays_while_the_student_moves(toy, images) -> None:
    model, term = toy(), Distillation(temperature=1.0)
    start = copy.deepcopy(model)
    term.setup(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in range(3):
        optimizer.zero_grad()
        (model(images).age[:, 0].sum() + term(model, images, model(images))).backward()
        optimizer.step()
    old, new = (net.method.posterior(net(images).age) for net in (start, model))
    expected = (old * (old.log() - new.log())).sum(1).mean()
    assert expected > 0.001
    torch.testing.assert_close(term(model, images, model(images)), expected)


def test_the_term_pulls_back_to_the_teacher(toy, images) -> None:
    start, model = toy(seed=0), toy(seed=1)
    term = Distillation(ModelTeacher(start, model.backbone), weight=3.0)
    term.setup(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = term(model, images, model(images))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.05 * losses[0]


def test_weight_multiplies(toy, images) -> None:
    teacher = Fixed([0.0] * 9 + [1.0], AgeScale.yearly(0, 9))
    one, three = (_term(toy(), images, teacher=teacher, weight=weight) for weight in (1, 3))
    torch.testing.assert_close(three, 3 * one)


def test_a_teacher_of_other_ages_is_carried_over(toy, images) -> None:
    model = toy(ages="0-9")
    coarse = Fixed([0.0, 1.0], AgeScale((2.0, 7.0)))  # the second cell is 4.5 to 9.5
    got = _term(model, images, teacher=coarse, temperature=1.0)
    student = model.method.posterior(model(images).age)
    expected = -(student[:, 5:].log().mean(1) + math.log(5)).mean()
    torch.testing.assert_close(got, expected)


def test_a_student_of_one_number_is_held_to_the_mean(toy, images) -> None:
    model = toy("l1")
    teacher = Fixed([0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5], AgeScale.yearly(0, 9))
    got = _term(model, images, teacher=teacher)
    ages = model.method.posterior(model(images).age)[:, 0]
    torch.testing.assert_close(got, ((ages - 4.5) ** 2 / (2 * 4.5**2)).mean())


def test_a_student_that_learns_its_spread_is_held_to_that_too(toy, images) -> None:
    model = toy("gaussian")
    mean, spread = model.method.posterior(model(images).age).unbind(1)
    got = _term(model, images, teacher=Fixed([30.0, 5.0], None))
    expected = (spread / 5).log() + (25 + (mean - 30) ** 2) / (2 * spread**2) - 0.5
    torch.testing.assert_close(got, expected.mean())


def test_a_posterior_is_compared_with_a_mean_and_spread_by_its_own(toy, images) -> None:
    model = toy("dex")
    got = _term(model, images, teacher=Fixed([4.5, math.sqrt(8.25)], None))
    # An untrained student is near the uniform distribution, which is what the teacher says.
    assert 0 <= got.item() < 0.05


def test_packaged_teacher_answers_as_it_does_in_use(toy) -> None:
    student = toy().backbone
    network = ChipNetwork(load_card("cc0-resnet10"))
    chips = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
    pixels = torch.from_numpy(chips).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(part).reshape(1, 3, 1, 1) for part in (student.mean, student.std))
    lesson = PackagedTeacher(load_card("cc0-resnet10"), student).predict((pixels - mean) / std)
    assert lesson.scale == load_card("cc0-resnet10").age_scale
    np.testing.assert_allclose(lesson.posterior, network.answers(chips), atol=1e-5)


def test_packaged_teacher_by_name_teaches_a_model_of_any_size(toy, images) -> None:
    assert _term(toy(ages="0-100"), images, teacher="cc0-resnet10").item() > 0


def test_a_teacher_with_another_normalisation_sees_the_same_pixels(toy, images) -> None:
    model, student = toy(), toy(seed=1)
    student.backbone.mean, student.backbone.std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    pixels = images * 0.25 + 0.5
    own = torch.tensor((0.1, 0.2, 0.3)).reshape(1, 3, 1, 1)
    theirs = (pixels - own) / torch.tensor((0.5, 0.6, 0.7)).reshape(1, 3, 1, 1)
    got = ModelTeacher(model, student.backbone).predict(theirs).posterior
    torch.testing.assert_close(got, model.method.posterior(model(images).age.detach()))


def test_an_unknown_teacher_is_an_error_that_lists_the_known(toy) -> None:
    with pytest.raises(
        UnknownNameError, match=r"teacher 'strat'. Did you mean 'start'.*run folder"
    ):
        Distillation("strat").setup(toy())


def test_a_gender_model_cannot_teach_ages(toy) -> None:
    with pytest.raises(CardError, match="its task is gender"):
        Distillation("cc0-gender").setup(toy())


@pytest.mark.parametrize("options", [{"weight": -1}, {"temperature": 0}])
def test_bad_numbers_are_refused(options) -> None:
    with pytest.raises(UsageError, match="above 0"):
        Distillation(**options)


def test_use_before_setup_is_a_mistake_of_the_caller(toy, images) -> None:
    model = toy()
    with pytest.raises(RuntimeError, match="setup"):
        Distillation()(model, images, model(images))
