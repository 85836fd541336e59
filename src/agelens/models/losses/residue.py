"""Entropy of the classes that are ranked out (Zhao et al., adaptive mean-residue loss, 2022)."""

from __future__ import annotations

import torch
from torch import Tensor


def beyond_rank(log_posterior: Tensor, classes: Tensor) -> Tensor:
    """Marks [B, K] the classes outside the K_i likeliest, K_i = max(2, rank of the true class).

    The paper's rule. Of equally likely classes the lower index ranks first, so that the true
    class is always inside.

    Args:
        log_posterior: natural logarithms of probabilities [B, K]: unlike the probabilities
            themselves they keep their order where they are tiny.
        classes: index of the true class, int64 [B].
    """
    order = log_posterior.argsort(dim=1, descending=True, stable=True)
    ranks = order.argsort(dim=1)
    kept = (ranks.gather(1, classes[:, None]) + 1).clamp(min=2)
    return ranks >= kept


def below_true(log_posterior: Tensor, classes: Tensor) -> Tensor:
    """Marks [B, K] the classes less likely than the true one: the rule of the authors' code.

    Where the true class is the likeliest, all others are out; `beyond_rank` keeps one more.
    Arguments as in `beyond_rank`.
    """
    return log_posterior < log_posterior.gather(1, classes[:, None])


def residue(log_posterior: Tensor, out: Tensor, eps: float = 0.0) -> Tensor:
    """-(p + eps) log(p + eps), summed over the classes marked in `out`, averaged over the batch.

    Args:
        log_posterior: natural logarithms of probabilities [B, K].
        out: bool [B, K].
        eps: 0 is the paper's formula, exact down to p = 0; 1e-3 stands in the authors' code,
            which also adds -eps log(eps) for every class kept: no gradient comes of that.
    """
    posterior = log_posterior.exp() + eps
    logarithm = log_posterior if eps == 0 else posterior.log()
    terms = torch.where(out, -posterior * logarithm, 0)
    return terms.sum(dim=1).mean()
