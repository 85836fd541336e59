"""Integrated gradients: years add up; and what both gradient methods stand on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from agelens.errors import UnknownNameError, UsageError
from agelens.evaluation.heat_maps.occlusion import filled
from agelens.evaluation.heat_maps.sanity_check import sanity_check
from agelens.inference.answers import read_answers
from agelens.models.attribution import (
    ClassActivationExplainer,
    ExplainedNetwork,
    IntegratedGradientsExplainer,
)
from agelens.models.methods import METHODS

Networks = Callable[..., ExplainedNetwork]
CHIPS = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)


@pytest.mark.parametrize("fill", ["mean", "blur"])
def test_years_add_up(fill: str, network_of: Networks) -> None:
    network = network_of()
    found = IntegratedGradientsExplainer(network, patch=1, fill=fill, steps=64)(CHIPS[0])
    stated, hidden = (
        float(network.age(network.images(chip)).detach())
        for chip in (CHIPS[0], filled(CHIPS[0], fill))
    )
    assert abs(stated - hidden) > 0.01
    assert found.facts["baseline_estimate_years"] == pytest.approx(hidden)
    assert found.values.sum() == pytest.approx(stated - hidden, abs=0.01)
    assert found.facts["gap_years"] == pytest.approx(
        found.values.sum() - (stated - hidden), abs=1e-4
    )


def test_as_a_plain_sum_over_the_path(network_of: Networks) -> None:
    network = network_of()
    image, start = (network.images(c).double() for c in (CHIPS[0], filled(CHIPS[0], "mean")))
    network.model.double()
    steps, total = 400, torch.zeros_like(image)
    for step in range(steps):
        point = (start + (step + 0.5) / steps * (image - start)).requires_grad_()
        (gradient,) = torch.autograd.grad(network.age(point).sum(), point)
        total += gradient / steps
    expected = ((image - start) * total).sum(1)[0].numpy()
    network.model.float()
    found = IntegratedGradientsExplainer(network, patch=1, fill="mean", steps=256)(CHIPS[0])
    np.testing.assert_allclose(found.values, expected, atol=0.01 * np.abs(expected).max())


def test_wrong_options(network_of: Networks) -> None:
    with pytest.raises(UsageError, match="2 steps or more"):
        IntegratedGradientsExplainer(network_of(), patch=1, steps=1)
    with pytest.raises(UnknownNameError, match="fill"):
        IntegratedGradientsExplainer(network_of(), patch=1, fill="grey")(CHIPS[0])


@pytest.mark.parametrize("method", METHODS)
def test_every_methods_expected_age_has_a_gradient(method: str, network_of: Networks) -> None:
    network = network_of(method)
    images = network.images(CHIPS[0]).requires_grad_()
    age = network.age(images)
    (gradient,) = torch.autograd.grad(age.sum(), images)
    assert gradient.isfinite().all()
    with torch.no_grad():
        posterior = network.model.method.posterior(network.model(images).age)
        read = read_answers(network.model.answer(images).numpy(), network.model.method.spec)
    if read.distribution is None:
        assert float(age.detach()) == pytest.approx(float(posterior[0, 0]))
    else:
        scale = network.model.method.scale
        assert float(age.detach()) == pytest.approx(scale.expected(read.distribution)[0], abs=1e-3)


@pytest.mark.parametrize(("side", "enlarge"), [(16, 1.0), (32, 1.0), (20, 1.25), (40, 1.25)])
def test_years_stay_what_they_were_on_the_way_to_the_chip(
    side: int, enlarge: float, network_of: Networks
) -> None:
    network = network_of(enlarge=enlarge)
    years = np.random.default_rng(0).uniform(0.5, 1, (4, 4))
    density = network.onto_chip(years, side)
    assert density.shape == (side, side)
    assert density.sum() == pytest.approx(years.sum(), rel=0.03)
    border = round(side * (1 - 1 / enlarge) / 2)
    assert (density[: max(0, border - 1)] == 0).all()  # what the network did not see


@pytest.mark.parametrize("name", ["grad-cam", "integrated-gradients"])
def test_gradient_maps_pass_the_randomisation_check(name: str, network_of: Networks) -> None:
    network = network_of()
    explain = (
        IntegratedGradientsExplainer(network, patch=1, steps=8)
        if name == "integrated-gradients"
        else ClassActivationExplainer.of(network, name, patch=1)
    )
    (same,) = sanity_check(explain, CHIPS, shares=(1e-9,))
    (other,) = sanity_check(explain, CHIPS, shares=(1.0,))
    assert other.rank_correlation < same.rank_correlation
    assert abs(other.rank_correlation) < 0.6


def test_shuffling_keeps_the_network_and_the_numbers_of_each_layer(network_of: Networks) -> None:
    network = network_of()
    before = {name: w.clone() for name, w in network.model.named_parameters()}
    other = dict(network.shuffled(0.3, seed=0).model.named_parameters())
    assert all(torch.equal(w, before[name]) for name, w in network.model.named_parameters())
    changed = {name for name, w in before.items() if not torch.equal(w, other[name])}
    assert changed == {"head.weight"}  # one of three layers, the nearest to the answer
    everything = dict(network.shuffled(1.0, seed=0).model.named_parameters())
    for name, weight in before.items():
        assert torch.equal(weight.flatten().sort()[0], everything[name].flatten().sort()[0])
    assert not torch.equal(everything["backbone.first.0.weight"], before["backbone.first.0.weight"])
