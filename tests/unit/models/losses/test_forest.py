"""Likelihood and leaves of a forest, beside plain loops."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from agelens.models.methods.drf import Leaves, log_likelihood, log_routes, updated_leaves

Agree = Callable[[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor], Tensor], None]
SAMPLES, TREES, TURNS, LEAVES = 7, 2, 3, 8


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def decisions(seed: int = 0) -> Tensor:
    shape = (SAMPLES, TREES, LEAVES - 1)
    return 2 * torch.randn(shape, generator=chance(seed), dtype=torch.float64)


def ages(seed: int = 0) -> Tensor:
    return 80 * torch.rand(SAMPLES, generator=chance(seed), dtype=torch.float64)


def leaves(seed: int = 0) -> Leaves:
    mean, variance = torch.rand(2, TREES, LEAVES, generator=chance(seed), dtype=torch.float64)
    return Leaves(80 * mean, 1 + 50 * variance)


def loop_routes(logits: Tensor) -> list[list[list[Tensor]]]:
    """Route probabilities by walking down from the root, leaf by leaf."""
    routes = []
    for sample in logits:
        routes.append([])
        for tree in sample:
            routes[-1].append([])
            for leaf in range(LEAVES):
                node, probability = 0, logits.new_ones(())
                for turn in reversed(range(TURNS)):
                    right = (leaf >> turn) & 1
                    left = 1 / (1 + (-tree[node]).exp())
                    probability = probability * ((1 - left) if right else left)
                    node = 2 * node + 1 + right
                routes[-1][-1].append(probability)
    return routes


def density(age: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    return (-((age - mean) ** 2) / (2 * variance)).exp() / (2 * math.pi * variance).sqrt()


def test_routes_are_walks_from_the_root() -> None:
    expected = torch.tensor(loop_routes(decisions()))
    torch.testing.assert_close(log_routes(decisions(), TURNS).exp(), expected)


@settings(max_examples=25)
@given(st.integers(0, 100), st.sampled_from([1.0, 30.0, 1e4]))
def test_routes_sum_to_1_however_sure_the_nodes_are(seed: int, scale: float) -> None:
    routes = log_routes(scale * decisions(seed), TURNS)
    torch.testing.assert_close(routes.logsumexp(2), torch.zeros(SAMPLES, TREES).double())


def test_likelihood_is_plain_loops(agree: Agree) -> None:
    held = leaves()

    def loops(logits: Tensor) -> Tensor:
        routes, total = loop_routes(logits), logits.new_zeros(())
        for i, age in enumerate(ages()):
            for t in range(TREES):
                total = (
                    total
                    + sum(
                        routes[i][t][leaf]
                        * density(age, held.mean[t, leaf], held.variance[t, leaf])
                        for leaf in range(LEAVES)
                    ).log()
                )
        return -total / (SAMPLES * TREES)

    agree(lambda z: -log_likelihood(log_routes(z, TURNS), ages(), held).mean(), loops, decisions())


def test_likelihood_is_finite_where_the_density_is_not_a_float32() -> None:
    far = Leaves(torch.full((1, 2), 90.0), torch.ones(1, 2))
    logits = torch.zeros(1, 1, 1, requires_grad=True)
    value = log_likelihood(log_routes(logits, 1), torch.tensor([10.0]), far)
    assert value.item() == pytest.approx(-3200 - 0.5 * math.log(2 * math.pi))
    value.sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def loop_update(routes: Tensor, years: Tensor, held: Leaves, floor: float) -> Leaves:
    mean, variance = held.mean.clone(), held.variance.clone()
    for t in range(TREES):
        shares = []
        for i in range(SAMPLES):
            row = [
                routes[i, t, leaf].exp()
                * density(years[i], held.mean[t, leaf], held.variance[t, leaf])
                for leaf in range(LEAVES)
            ]
            shares.append([each / sum(row) for each in row])
        for leaf in range(LEAVES):
            weights = [row[leaf] for row in shares]
            total = sum(weights[i] * years[i] for i in range(SAMPLES))
            mean[t, leaf] = total / sum(weights)
            total = sum(weights[i] * (years[i] - mean[t, leaf]) ** 2 for i in range(SAMPLES))
            variance[t, leaf] = (total / sum(weights)).clamp_min(floor)
    return Leaves(mean, variance)


def test_update_is_the_step_of_plain_loops() -> None:
    routes, held = log_routes(decisions(), TURNS), leaves()
    ours = updated_leaves(routes, ages(), held, 0.01)
    expected = loop_update(routes, ages(), held, 0.01)
    torch.testing.assert_close(ours.mean, expected.mean, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(ours.variance, expected.variance, rtol=1e-6, atol=1e-6)


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.sampled_from([0.01, 1.0, 40.0]))
def test_update_never_lowers_the_likelihood(seed: int, floor: float) -> None:
    routes = log_routes(decisions(seed), TURNS)
    held = Leaves(leaves(seed).mean, leaves(seed).variance.clamp_min(floor))
    for _ in range(5):
        before = log_likelihood(routes, ages(seed), held).sum(0)
        held = updated_leaves(routes, ages(seed), held, floor)
        assert (log_likelihood(routes, ages(seed), held).sum(0) >= before - 1e-9).all()
        assert (held.variance >= floor).all()


def test_a_leaf_that_nobody_reaches_stays() -> None:
    logits = torch.full((SAMPLES, TREES, LEAVES - 1), 1e5, dtype=torch.float64)  # always left
    updated = updated_leaves(log_routes(logits, TURNS), ages(), leaves(), 1.0)
    assert torch.equal(updated.mean[:, 1:], leaves().mean[:, 1:])
    assert torch.equal(updated.variance[:, 1:], leaves().variance[:, 1:])
    torch.testing.assert_close(updated.mean[:, 0], ages().mean().expand(TREES))
