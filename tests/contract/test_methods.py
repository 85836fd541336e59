"""What every member of METHODS promises."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from jsonargparse import ArgumentParser
from torch import Tensor, nn

from agelens.errors import UnknownNameError
from agelens.inference.answers import Answers, read_answers
from agelens.models.methods import METHODS, method_class
from agelens.models.methods.base import AgeMethod, AgeTargets, LearningHead

FEATURES, BATCH = 8, 16
SCALES = ["20-50", "0.25,1-40"]


def targets_of(age_years: Tensor) -> AgeTargets:
    return AgeTargets(age_years, torch.full_like(age_years, torch.nan))


@dataclass
class Case:
    """A method that has seen its training ages, its head, and a problem that it can learn."""

    method: AgeMethod
    head: nn.Module
    features: Tensor
    targets: AgeTargets

    def loss(self, features: Tensor, targets: AgeTargets) -> Tensor:
        return self.method.loss(self.head(features), targets)

    def answer(self, features: Tensor) -> Tensor:
        with torch.no_grad():
            return self.method.answer(self.head.eval()(features))

    def read(self, features: Tensor) -> Answers:
        return read_answers(self.answer(features), self.method.spec)

    def check_gradients(self, loss: Tensor) -> None:
        assert loss.shape == ()
        assert loss.dtype == torch.float32
        assert loss.isfinite()
        self.head.zero_grad()
        loss.backward()
        gradients = [w.grad for w in self.head.parameters() if w.grad is not None]
        assert all(gradient.isfinite().all() for gradient in gradients)
        assert any(gradient.abs().max() > 0 for gradient in gradients)


def made(name: str, ages: str) -> Case:
    generator = torch.Generator().manual_seed(1)
    method = method_class(name)(ages)
    first, last = method.scale.years[0], method.scale.years[-1]
    age_years = torch.linspace(first, last, BATCH).round().clamp(first, last)
    features = torch.randn(BATCH, FEATURES, generator=generator) / 3
    features[:, 0] += (age_years - (first + last) / 2) / 10
    method.fit_ages(age_years)
    torch.manual_seed(2)
    head = method.head(FEATURES)
    return Case(method, head, features, targets_of(age_years))


@pytest.fixture(params=[(name, ages) for name in METHODS for ages in SCALES], ids="-".join)
def case(request: pytest.FixtureRequest) -> Case:
    return made(*request.param)


@pytest.fixture(params=METHODS)
def default(request: pytest.FixtureRequest) -> Case:
    return made(request.param, SCALES[0])


def fit(case: Case, steps: int) -> None:
    optimiser = torch.optim.Adam(case.head.parameters(), lr=0.05)
    case.head.train()
    for _ in range(steps):
        outputs = case.head(case.features)
        loss = case.method.loss(outputs, case.targets)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if isinstance(case.head, LearningHead):
            with torch.no_grad():
                case.head.after_step(outputs, case.targets)


def test_an_answer_is_what_its_spec_says(case: Case) -> None:
    answer = case.answer(case.features)
    assert answer.shape == (BATCH, case.method.spec.width)
    assert answer.dtype == torch.float32
    ages = case.read(case.features).estimate_years
    years = case.method.scale.years
    assert (ages >= years[0] - 1e-6).all()
    assert (ages <= years[-1] + 1e-6).all()


def test_the_posterior_is_what_is_read_from_the_answer(case: Case) -> None:
    with torch.no_grad():
        posterior = case.method.posterior(case.head.eval()(case.features)).double().numpy()
    answers = case.read(case.features)
    if answers.distribution is None:
        assert posterior.shape == (BATCH, 2)
        years = case.method.scale.years
        np.testing.assert_allclose(
            answers.estimate_years, posterior[:, 0].clip(years[0], years[-1])
        )
        np.testing.assert_allclose(answers.spread_years, posterior[:, 1])
        assert (posterior[:, 1] > 0).all()
    else:
        assert posterior.shape == (BATCH, len(case.method.scale))
        assert (posterior >= 0).all()
        np.testing.assert_allclose(posterior.sum(axis=1), 1, atol=1e-6)
        np.testing.assert_allclose(answers.distribution, posterior, atol=1e-6)


def test_intervals_grow_with_their_level(case: Case) -> None:
    answers = case.read(case.features)
    (low, high), (wide_low, wide_high) = answers.interval(0.5), answers.interval(0.95)
    assert (low < high).all()
    assert (wide_low <= low).all()
    assert (high <= wide_high).all()
    assert (wide_low >= 0).all()


def test_the_loss_is_a_scalar_that_moves_the_head(case: Case) -> None:
    case.check_gradients(case.loss(case.features, case.targets))


def test_the_loss_is_a_mean_over_the_batch(case: Case) -> None:
    case.head.eval()
    twice = targets_of(case.targets.age_years.repeat(2))
    torch.testing.assert_close(
        case.loss(case.features.repeat(2, 1), twice), case.loss(case.features, case.targets)
    )


@pytest.mark.parametrize("kind", ["ends", "half years", "outside"])
def test_any_age_can_be_learned(case: Case, kind: str) -> None:
    years = case.method.scale.years
    ages = {
        "ends": [years[0], years[-1]],
        "half years": [20.5, 38.5],
        "outside": [0.0, 80.0],
    }[kind]
    case.check_gradients(case.loss(case.features[:2], targets_of(torch.tensor(ages))))


def test_a_batch_may_be_one_sample(case: Case) -> None:
    one = targets_of(case.targets.age_years[:1])
    case.check_gradients(case.loss(case.features[:1], one))
    assert case.answer(case.features[:1]).shape == (1, case.method.spec.width)


def test_faces_do_not_see_each_other(default: Case) -> None:
    together = default.answer(default.features)
    for i in range(BATCH):
        torch.testing.assert_close(default.answer(default.features[i : i + 1])[0], together[i])


@pytest.mark.parametrize("sign", [1, -1])
def test_huge_features_leave_loss_and_gradients_finite(case: Case, sign: int) -> None:
    huge = sign * 1e4 * case.features
    loss = case.loss(huge, case.targets)
    assert loss.isfinite()
    loss.backward()
    for name, weight in case.head.named_parameters():
        assert weight.grad is None or weight.grad.isfinite().all(), name
    assert np.isfinite(case.read(huge).estimate_years).all()


def test_autocast_changes_the_loss_little(default: Case) -> None:
    default.head.eval()
    exact = default.loss(default.features, default.targets)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = default.loss(default.features, default.targets)
        answer = default.answer(default.features)
    default.check_gradients(rounded)
    torch.testing.assert_close(rounded, exact, rtol=0.02, atol=0.02)
    read_answers(answer.float(), default.method.spec)


@pytest.mark.filterwarnings("ignore:.*biases of CORAL:UserWarning")  # so they may early on
def test_a_few_steps_lower_the_loss_and_the_error(default: Case) -> None:
    def measured() -> tuple[float, float]:
        with torch.no_grad():
            loss = default.loss(default.features, default.targets)
        errors = default.read(default.features).estimate_years - default.targets.age_years.numpy()
        return float(loss), float(np.abs(errors).mean())

    default.head.eval()
    before = measured()
    fit(default, 40)
    default.head.eval()
    after = measured()
    assert after[0] < before[0]
    assert after[1] < before[1]


def test_weights_carry_all_that_an_answer_needs(default: Case) -> None:
    fit(default, 3)
    if isinstance(default.head, LearningHead):
        with torch.no_grad():
            default.head.after_epoch(torch.tensor([3.0, -4.0]), best=True)
    fresh = type(default.method)(str(default.method.scale))
    assert fresh.spec == default.method.spec
    head = fresh.head(FEATURES)
    head.load_state_dict(default.head.state_dict())
    other = Case(fresh, head, default.features, default.targets)
    torch.testing.assert_close(
        other.answer(default.features), default.answer(default.features), rtol=0, atol=0
    )


def test_a_method_and_its_head_can_be_copied_and_pickled(default: Case) -> None:
    default.head.eval()
    expected = default.loss(default.features, default.targets)
    for again in (copy.deepcopy, lambda part: pickle.loads(pickle.dumps(part))):
        method, head = again(default.method), again(default.head)
        assert method.spec == default.method.spec
        copied = Case(method, head, default.features, default.targets)
        torch.testing.assert_close(
            copied.loss(default.features, default.targets), expected, rtol=0, atol=0
        )


def test_an_answer_asks_for_no_value_on_the_way(default: Case) -> None:
    """A tensor on the meta device has none, so a branch on one fails: so would the exporter."""
    head = default.head.eval().to("meta")
    answer = default.method.answer(head(torch.empty(3, FEATURES, device="meta")))
    assert answer.shape == (3, default.method.spec.width)


@pytest.mark.parametrize("name", METHODS)
def test_the_constructor_is_the_configuration(name: str) -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(method_class(name), "method")
    config: Any = parser.parse_args(["--method.ages=3-40"])
    method = parser.instantiate(config).method
    assert isinstance(method, method_class(name))
    assert str(method.scale) == "3-40"


@pytest.mark.parametrize("name", METHODS)
def test_says_what_it_is(name: str) -> None:
    loaded = method_class(name)
    assert issubclass(loaded, AgeMethod)
    assert loaded.name == name
    assert loaded.paper
    assert all(loaded.departures)


@pytest.mark.parametrize("name", METHODS)
def test_a_scale_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="'grown-ups' in 'grown-ups' is neither"):
        method_class(name)("grown-ups")


def test_an_unknown_name_lists_the_valid_ones_and_guesses() -> None:
    with pytest.raises(UnknownNameError) as caught:
        method_class("dldl2")
    message = str(caught.value)
    assert "Did you mean 'dldl'?" in message or "Did you mean 'dldl-v2'?" in message
    assert all(name in message for name in METHODS)
