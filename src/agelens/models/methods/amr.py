"""Adaptive mean-residue loss: the mean is pulled to the age, classes ranked out are emptied."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final, Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from agelens.errors import UnknownNameError
from agelens.inference.answers import Point
from agelens.models.losses import posterior_mean
from agelens.models.methods.base import AgeClassification, AgeTargets, Departure, not_negative


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


ResidueRule: TypeAlias = Literal["beyond-rank", "below-true"]
RESIDUE_RULES: Final[dict[str, Callable[[Tensor, Tensor], Tensor]]] = {
    "beyond-rank": beyond_rank,
    "below-true": below_true,
}


class AdaptiveMeanResidue(AgeClassification):
    """Cross entropy + lambda_1 (m - y)^2 / 2 + lambda_2 residue (Zhao et al., 2022).

    The paper and its repository differ; the paper is the default. The repository, which made
    the published figures, is ``residue_rule=below-true, eps=1e-3``.

    Args:
        ages: such as ``"0-100"``; the paper's are 0-69.
        point: how the posterior becomes one age: ``expected``, ``median``, ``argmax``.
        mean_weight: lambda_1, per square year; 0.2 in the paper.
        residue_weight: lambda_2; 0.05 in the authors' script. The paper sweeps 0 to 0.2 and
            prints 0.75 as best, which lies outside; 0.075 may be meant.
        residue_rule: which classes are out: ``beyond-rank`` those after the max(2, rank of the
            true class) likeliest, ``below-true`` those less likely than the true class.
        eps: see `agelens.models.methods.amr`.

    Raises:
        UnknownNameError: `residue_rule` is another word.
        ValueError: a weight or `eps` is negative, `ages` is no age scale, or `point` no such word.
    """

    name: ClassVar[str] = "amr"
    paper: ClassVar[str] = (
        "Zhao et al., Adaptive Mean-Residue Loss for Robust Facial Age Estimation, ICME 2022"
    )
    departures: ClassVar[tuple[Departure, ...]] = (
        Departure(
            "every class less likely than the true one is residue, and 1e-3 is added to each",
            "the residue is what is beyond the rank of the true class, with nothing added",
            "the paper's rule, from which its code differs",
            "--method.residue_rule below-true --method.eps 1e-3",
        ),
    )

    def __init__(
        self,
        ages: str = "0-100",
        *,
        point: Point = "expected",
        mean_weight: float = 0.2,
        residue_weight: float = 0.05,
        residue_rule: ResidueRule = "beyond-rank",
        eps: float = 0.0,
    ) -> None:
        super().__init__(ages, point=point)
        not_negative(mean_weight=mean_weight, residue_weight=residue_weight, eps=eps)
        if residue_rule not in RESIDUE_RULES:
            raise UnknownNameError("residue rule", residue_rule, RESIDUE_RULES)
        self.mean_weight = mean_weight
        self.residue_weight = residue_weight
        self.residue_rule = residue_rule
        self.eps = eps

    def loss(self, outputs: Tensor, targets: AgeTargets) -> Tensor:
        """The three terms of logits [B, K], each a batch mean."""
        log_posterior = self.log_posterior(outputs)
        classes = self.classes(targets.age_years)
        mean = posterior_mean(log_posterior.exp(), self.years(log_posterior))
        cross_entropy = functional.nll_loss(log_posterior, classes)
        mean_loss = functional.mse_loss(mean, targets.age_years.to(mean)) / 2
        out = RESIDUE_RULES[self.residue_rule](log_posterior, classes)
        residue_loss = residue(log_posterior, out, self.eps)
        return cross_entropy + self.mean_weight * mean_loss + self.residue_weight * residue_loss
