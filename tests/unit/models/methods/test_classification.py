"""What the classifying methods share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from agelens.inference.answers import read_answers
from agelens.models.methods.amr import AdaptiveMeanResidue
from agelens.models.methods.base import AgeClassification, AgeTargets
from agelens.models.methods.dex import DEX
from agelens.models.methods.dldl import DLDL, DLDLv2
from agelens.models.methods.mean_variance import MeanVariance
from agelens.models.methods.sord import SORD
from agelens.models.methods.unimodal import UnimodalConcentrated

CLASSIFIERS = [DEX, DLDL, DLDLv2, MeanVariance, SORD, UnimodalConcentrated, AdaptiveMeanResidue]


@pytest.mark.parametrize("method", CLASSIFIERS)
def test_the_point_ends_in_the_spec_and_in_the_age(method: type[AgeClassification]) -> None:
    skewed = torch.tensor([[0.4, 0.3, 0.2, 0.1]]).log()
    ages = {"expected": 11.0, "median": 1 / 3 + 10.5, "argmax": 10.0}
    for point, age in ages.items():
        made = method("10-13", point=point)
        assert made.spec.point == point
        answers = read_answers(made.answer(skewed), made.spec)
        np.testing.assert_allclose(answers.estimate_years, age, rtol=1e-6)


@pytest.mark.parametrize("method", CLASSIFIERS)
def test_an_unknown_point_is_refused(method: type[AgeClassification]) -> None:
    with pytest.raises(ValueError, match=r"point must be one of .*'mode'"):
        method(point="mode")


def test_the_posterior_is_the_softmax_in_float32_even_of_bfloat16() -> None:
    logits = torch.randn(4, 101, generator=torch.Generator().manual_seed(0))
    posterior = DEX().posterior(logits.bfloat16())
    assert posterior.dtype == torch.float32
    torch.testing.assert_close(posterior, logits.bfloat16().float().softmax(dim=1))
    assert DEX().posterior(logits.double()).dtype == torch.float64


def test_the_log_posterior_is_finite_where_the_posterior_is_zero() -> None:
    logits = torch.tensor([[1e4, -1e4]])
    method = DEX("0-1")
    assert method.posterior(logits)[0, 1] == 0
    assert method.log_posterior(logits)[0, 1] == -2e4


@pytest.mark.parametrize("method", CLASSIFIERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_logits_of_ten_thousand_leave_loss_and_gradient_finite(
    method: type[AgeClassification], dtype: torch.dtype, labelled: Callable[..., AgeTargets]
) -> None:
    """Sure and wrong, sure and right, and sure of two ages at once."""
    z = torch.full((3, 101), -1e4, dtype=dtype)
    z[0, 0] = z[1, 50] = z[2, 20] = z[2, 80] = 1e4
    z.requires_grad_()
    loss = method().loss(z, labelled([100.0, 50.0, 20.0]))
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.isfinite()
    assert z.grad is not None
    assert z.grad.isfinite().all()
