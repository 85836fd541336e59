from __future__ import annotations

import math

import pytest
import torch

from agelens.recognition.purification import (
    AgeDiscriminator,
    CanonicalCorrelation,
    reverse_gradient,
)


def test_a_reversed_gradient_is_the_negative_times_the_factor() -> None:
    values = torch.tensor([1.0, -2.0], requires_grad=True)
    reversed_ = reverse_gradient(values, 0.5)
    assert torch.equal(reversed_, values)
    (reversed_ * torch.tensor([3.0, 4.0])).sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [-1.5, -2.0]


def test_the_discriminator_learns_what_the_embedding_learns_to_hide() -> None:
    torch.manual_seed(0)
    discriminator = AgeDiscriminator(4, 8)
    identity = torch.randn(64, 4, requires_grad=True)
    groups = torch.randint(0, 8, (64,))
    (plain,) = torch.autograd.grad(discriminator(identity, groups), identity)
    (hidden,) = torch.autograd.grad(discriminator(identity, groups, reverse=True), identity)
    torch.testing.assert_close(hidden, -plain)
    assert plain.abs().max() > 0


def test_an_unknown_group_is_left_out() -> None:
    torch.manual_seed(0)
    discriminator = AgeDiscriminator(4, 8).eval()
    identity = torch.randn(6, 4)
    groups = torch.tensor([0, 1, -1, 2, -1, 3])
    whole = discriminator(identity, groups)
    torch.testing.assert_close(whole, discriminator(identity[groups >= 0], groups[groups >= 0]))


def test_no_age_leaves_the_discriminator_at_the_entropy_of_the_groups() -> None:
    torch.manual_seed(0)
    discriminator = AgeDiscriminator(4, 8)
    groups = torch.arange(8).repeat(200)
    optimizer = torch.optim.Adam(discriminator.parameters(), 1e-2)
    for _ in range(60):  # on fresh noise each time: there is nothing to learn
        optimizer.zero_grad()
        discriminator(torch.randn(1600, 4), groups).backward()
        optimizer.step()
    found = discriminator(torch.randn(1600, 4), groups).detach()
    assert float(found) == pytest.approx(math.log(8), abs=0.05)


def test_the_largest_correlation_is_the_gaussians_own() -> None:
    torch.manual_seed(0)
    correlation = CanonicalCorrelation(3, 5)
    age = torch.randn(20_000, 3)
    identity = torch.randn(20_000, 5)
    identity[:, 2] = 0.6 * age[:, 1] + 0.8 * identity[:, 2]
    optimizer = torch.optim.Adam(correlation.parameters(), 0.05)
    for _ in range(150):
        optimizer.zero_grad()
        (-correlation(age, identity)).backward()
        optimizer.step()
    assert float(correlation(age, identity).detach()) == pytest.approx(0.6, abs=0.03)


def test_the_correlation_is_that_of_numpy_whatever_the_scale() -> None:
    torch.manual_seed(1)
    correlation = CanonicalCorrelation(1, 1)
    age, identity = torch.randn(50, 1), torch.randn(50, 1)
    expected = torch.corrcoef(torch.cat([age, identity], dim=1).T)[0, 1].abs()
    torch.testing.assert_close(correlation(age, identity).detach(), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        correlation(7 * age + 3, -identity).detach(), expected, rtol=1e-4, atol=1e-5
    )


def test_a_constant_embedding_correlates_with_nothing_and_has_a_gradient() -> None:
    correlation = CanonicalCorrelation(2, 2)
    identity = torch.ones(8, 2, requires_grad=True)
    found = correlation(torch.randn(8, 2), identity)
    found.backward()
    assert float(found.detach()) == 0
    assert identity.grad is not None
    assert torch.isfinite(identity.grad).all()
