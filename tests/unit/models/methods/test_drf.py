"""Deep regression forests: routing, leaves that learn in turn, the mixture as an answer."""

from __future__ import annotations

import copy
import io
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from agelens.models.methods.base import AgeTargets
from agelens.models.methods.drf import (
    DeepRegressionForest,
    ForestHead,
    age_clusters,
    log_likelihood,
)

Labelled = Callable[..., AgeTargets]


def small(**options: object) -> DeepRegressionForest:
    defaults = {"trees": 2, "depth": 3, "units": 6, "leaf_every": 3}
    return DeepRegressionForest("0-80", **{**defaults, **options})  # type: ignore[arg-type]


def head_of(method: DeepRegressionForest, features: int = 4) -> ForestHead:
    torch.manual_seed(0)
    head = method.head(features)
    assert isinstance(head, ForestHead)
    return head


def batch(seed: int, size: int = 8) -> tuple[Tensor, AgeTargets]:
    chance = torch.Generator().manual_seed(seed)
    ages = 80 * torch.rand(size, generator=chance)
    features = torch.randn(size, 4, generator=chance) + ages[:, None] / 20
    return features, AgeTargets(ages, torch.full((size,), math.nan))


def learn(head: ForestHead, seed: int) -> None:
    features, targets = batch(seed)
    with torch.no_grad():
        head.after_step(head(features), targets)


def test_the_forest_of_the_paper() -> None:
    head = head_of(DeepRegressionForest())
    assert head.routing.shape == (5, 31)
    assert head.leaf_mean.shape == (5, 32)
    assert (head.units.out_features, head.leaf_every, head.leaf_iterations) == (128, 50, 20)


def test_nodes_of_a_tree_look_at_different_units_by_seed_alone() -> None:
    routing = head_of(DeepRegressionForest(seed=1)).routing
    assert all(len(set(tree)) == 31 for tree in routing.tolist())
    assert len({tuple(tree) for tree in routing.tolist()}) == 5
    torch.manual_seed(99)
    assert torch.equal(DeepRegressionForest(seed=1).head(4).get_buffer("routing"), routing)
    assert not torch.equal(head_of(DeepRegressionForest(seed=2)).routing, routing)


def test_leaves_start_spread_over_the_scale() -> None:
    head = head_of(small())
    assert head.leaf_mean.tolist() == [[10, 30, 50, 70]] * 2
    assert head.leaf_variance.tolist() == [[400] * 4] * 2


def test_leaves_start_at_the_clusters_of_the_training_ages() -> None:
    method = small()
    method.fit_ages(torch.tensor([1.0, 3.0, 20.0, 22.0, 24.0, 50.0, 50.0, 71.0, 79.0]))
    head = head_of(method)
    assert head.leaf_mean[0].tolist() == [2, 22, 50, 75]
    assert head.leaf_variance[1].tolist() == pytest.approx([1, 8 / 3, 1, 16])  # floor of 1


def test_clusters_of_fewer_ages_than_leaves_share_ages() -> None:
    means, variances = age_clusters(np.array([20.0, 20.0, 30.0]), 4)
    assert means.tolist() == [20, 20, 30, 30]
    assert variances.tolist() == [0, 0, 0, 0]
    assert age_clusters(np.array([20.0, 20.0]), 3)[0].tolist() == [20, 20, 20]


def test_loss_is_the_mean_of_minus_log_p(labelled: Labelled) -> None:
    outputs = head_of(small())(batch(0)[0])
    targets = batch(0)[1]
    logs = log_likelihood(outputs.routes, targets.age_years, outputs.leaves)
    torch.testing.assert_close(small().loss(outputs, targets), -logs.mean())


def test_squared_error_is_half_of_each_tree_summed() -> None:
    method = small(criterion="squared-error")
    features, targets = batch(0)
    outputs = head_of(method)(features)
    total = 0.0
    for i, age in enumerate(targets.age_years.tolist()):
        for t in range(2):
            leaves = outputs.routes[i, t].exp() * outputs.leaf_mean[i, t]
            total += 0.5 * (age - leaves.sum().item()) ** 2
    assert method.loss(outputs, targets).item() == pytest.approx(total / 8)


def test_answer_has_the_mean_and_spread_of_the_mixture() -> None:
    head = head_of(small())
    for seed in range(3):
        learn(head, seed)
    outputs = head(batch(5)[0])
    answers = small().answer(outputs)
    for i, (mean, spread) in enumerate(answers.tolist()):
        weights = (outputs.routes[i].exp() / 2).flatten().tolist()
        means, variances = head.leaf_mean.flatten().tolist(), head.leaf_variance.flatten().tolist()
        first = sum(w * m for w, m in zip(weights, means, strict=True))
        second = sum(w * (v + m * m) for w, m, v in zip(weights, means, variances, strict=True))
        assert mean == pytest.approx(first, rel=1e-5)
        assert spread == pytest.approx(math.sqrt(second - first**2), rel=1e-4)


def test_leaves_learn_every_so_many_batches_and_raise_the_likelihood() -> None:
    head, start = head_of(small()), head_of(small())
    for seed in range(2):
        learn(head, seed)
    assert torch.equal(head.leaf_mean, start.leaf_mean)
    learn(head, 2)
    assert not torch.equal(head.leaf_mean, start.leaf_mean)
    for seed in range(3):
        features, targets = batch(seed)
        assert small().loss(head(features), targets) < small().loss(start(features), targets)
    assert (head.leaf_variance >= 1).all()
    assert len(head.get_extra_state()) == 0


def test_leaves_do_not_learn_by_gradient() -> None:
    head = head_of(small())
    features, targets = batch(0)
    small().loss(head(features), targets).backward()
    assert {name for name, _ in head.named_parameters()} == {"units.weight", "units.bias"}
    assert all(weight.grad is not None for weight in head.parameters())


def test_a_run_that_stops_between_updates_goes_on_as_if_it_had_not() -> None:
    whole, stopped = head_of(small()), head_of(small())
    for seed in range(5):
        learn(whole, seed)
    for seed in range(4):
        learn(stopped, seed)
    file = io.BytesIO()
    torch.save(stopped.state_dict(), file)
    file.seek(0)
    resumed = head_of(small())
    resumed.load_state_dict(torch.load(file, weights_only=True))
    learn(resumed, 4)
    for seed in (5, 6):
        learn(whole, seed)
        learn(resumed, seed)
    assert torch.equal(whole.leaf_mean, resumed.leaf_mean)
    assert torch.equal(whole.leaf_variance, resumed.leaf_variance)
    assert torch.equal(whole.get_extra_state(), resumed.get_extra_state())


def test_a_copy_learns_apart() -> None:
    head = head_of(small())
    learn(head, 0)
    twin = copy.deepcopy(head)
    for seed in (1, 2):
        learn(twin, seed)
    assert int(head.batches_kept) == 1
    assert torch.equal(head.leaf_mean, head_of(small()).leaf_mean)
    assert not torch.equal(twin.leaf_mean, head.leaf_mean)


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"criterion": "l1"}, "criterion must be"),
        ({"units": 2}, "3 split nodes"),
        ({"depth": 1}, "split_levels"),
        ({"trees": 0}, "trees"),
        ({"least_variance": 0.0}, "least_variance"),
    ],
)
def test_senseless_options_are_refused(wrong: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        small(**wrong)
