"""OR-CNN, CORAL and CORN: what they share."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor

from agelens.errors import UsageError
from agelens.inference.answers import read_answers
from agelens.models.methods.coral import CORAL
from agelens.models.methods.corn import CORN
from agelens.models.methods.or_cnn import ORCNN
from agelens.models.methods.ordinal import OrdinalMethod, WeighedOrdinalMethod

AGES = "10-16"
METHODS = [
    ORCNN(AGES),
    ORCNN(AGES, two_way=False),
    CORAL(AGES),
    CORN(AGES),
]


def outputs(method: OrdinalMethod) -> Tensor:
    torch.manual_seed(0)
    result: Tensor = method.head(5)(3 * torch.randn(9, 5))
    return result.detach()


@pytest.mark.parametrize("method", METHODS)
def test_posterior_is_what_the_answer_is_read_as(method: OrdinalMethod) -> None:
    made = outputs(method)
    read = read_answers(method.answer(made).numpy(), method.spec)
    assert read.distribution is not None
    np.testing.assert_allclose(method.posterior(made).numpy(), read.distribution, atol=1e-6)
    np.testing.assert_allclose(read.distribution.sum(1), 1)


@pytest.mark.parametrize("method", METHODS)
def test_rank_counts_the_ages_passed(method: OrdinalMethod) -> None:
    made = outputs(method)
    older = method.answer(made).sigmoid()
    if isinstance(method, CORN):
        older = older.cumprod(1)
    expected = 10 + (older > 0.5).sum(1)
    read = read_answers(method.answer(made).numpy(), method.spec)
    assert read.estimate_years.tolist() == expected.tolist()


def test_threshold_and_point_reach_the_spec() -> None:
    logits = torch.tensor([[2.0, 0.5, -0.5, -2.0, -3.0, -4.0]])
    for threshold, age in ((0.1, 14.0), (0.5, 12.0), (0.9, 10.0)):
        spec = CORAL(AGES, threshold=threshold).spec
        assert read_answers(logits.numpy(), spec).estimate_years.tolist() == [age]
    mean = read_answers(logits.numpy(), CORAL(AGES, point="expected").spec).estimate_years
    assert mean == pytest.approx(10 + logits.sigmoid().sum().item())


@pytest.mark.parametrize("method", [ORCNN, CORAL])
def test_wanted_weights_need_training_ages(method: type[WeighedOrdinalMethod]) -> None:
    blind = method(AGES, task_weights=True)
    with pytest.raises(UsageError, match=f"{method.name}.*fit_ages"):
        _ = blind.task_weights
    blind.fit_ages(torch.tensor([10.0, 11.0, 16.0]))
    weights = blind.task_weights
    assert weights is not None
    assert weights.shape == (6,)
    copied = copy.deepcopy(blind).task_weights
    assert copied is not None
    assert torch.equal(copied, weights)


def test_unweighed_methods_do_not_look_at_training_ages() -> None:
    method = CORAL(AGES)
    method.fit_ages(torch.tensor([10.0, 16.0]))
    assert method.task_weights is None


@pytest.mark.parametrize("wrong", [{"threshold": 1.0}, {"point": "mode"}, {"ages": "30"}])
@pytest.mark.parametrize("method", [ORCNN, CORAL, CORN])
def test_senseless_options_are_refused(
    method: type[OrdinalMethod], wrong: dict[str, object]
) -> None:
    with pytest.raises(ValueError, match=r"threshold|point|age scale"):
        method(**wrong)  # type: ignore[arg-type]
