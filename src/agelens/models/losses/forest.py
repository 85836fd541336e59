"""The likelihood of a regression forest, and the leaves that raise it.

Shen et al., "Deep Regression Forests for Age Estimation", CVPR 2018. N samples, T trees,
L leaves a tree. Everything stays in logarithms: a leaf 60 years away has a density that
float32 cannot hold.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class Leaves(NamedTuple):
    """A normal distribution a leaf: `mean` in years, `variance`; [T, L], or [N, T, L] repeated."""

    mean: Tensor
    variance: Tensor


def log_routes(decisions: Tensor, turns: int) -> Tensor:
    """Log probability [N, T, L] of reaching each leaf, L = 2 ** turns.

    Args:
        decisions: logits [N, T, L - 1] of turning left, nodes numbered level by level: below
            node n are 2n + 1 on the left and 2n + 2 on the right.
        turns: decisions on the way to a leaf.
    """
    left, right = functional.logsigmoid(decisions), functional.logsigmoid(-decisions)
    reached = torch.zeros_like(decisions[:, :, :1])
    for level in range(turns):
        nodes = slice(2**level - 1, 2 ** (level + 1) - 1)
        both = torch.stack([left[:, :, nodes], right[:, :, nodes]], dim=3)
        reached = (reached[..., None] + both).flatten(2)
    return reached


def joint_logarithms(routes: Tensor, age_years: Tensor, leaves: Leaves) -> Tensor:
    """Log of route probability times leaf density [N, T, L]; their sum over L is the likelihood.

    Args:
        routes: log probabilities [N, T, L].
        age_years: [N].
        leaves: of the forest.
    """
    apart = age_years[:, None, None] - leaves.mean
    densities = -0.5 * (apart**2 / leaves.variance + (2 * math.pi * leaves.variance).log())
    return routes + densities


def log_likelihood(routes: Tensor, age_years: Tensor, leaves: Leaves) -> Tensor:
    """Log p(age) [N, T] of each sample under each tree; see `joint_logarithms`."""
    return joint_logarithms(routes, age_years, leaves).logsumexp(dim=2)


def updated_leaves(
    routes: Tensor, age_years: Tensor, leaves: Leaves, least_variance: float
) -> Leaves:
    """One step of expectation maximisation with the routes fixed; all tensors are float64.

    It never lowers the mean of `log_likelihood`, for leaves whose variances are at least
    `least_variance`: the floor is where the best allowed variance lies when the best one is
    below. A leaf that no sample reaches stays as it is (the authors' code moves it to age 0).
    """
    shares = joint_logarithms(routes, age_years, leaves).softmax(dim=2)
    powers = torch.stack([torch.ones_like(age_years), age_years, age_years**2])
    mass, first, second = torch.einsum("kn,ntl->ktl", powers, shares)
    held = mass > 0
    safe = mass.where(held, 1.0)
    mean = first / safe
    variance = (second / safe - mean**2).clamp_min(least_variance)
    return Leaves(mean.where(held, leaves.mean), variance.where(held, leaves.variance))
