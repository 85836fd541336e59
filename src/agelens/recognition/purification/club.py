"""CLUB: an upper bound on what two embeddings know of each other, by which to part them."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SampledCLUB(nn.Module):
    """The contrastive log-ratio upper bound of mutual information, sampled.

    From Cheng et al. (ICML 2020), as IEFP (Xie, Pun and Lam, IEEE TIFS 17, 2022) has it. A
    network q(y | x), a normal distribution with mean and log variance by dimension, learns to
    tell the identity embedding y from the age embedding x (`likelihood`). How much better it
    tells a face's own y than another's bounds what they share (`bound`): 0 where x and y are
    independent; for y = r x + sqrt(1 - r^2) noise and the right q, r^2 / (1 - r^2) nats a
    dimension, 0.5625 for r = 0.6, where the mutual information is 0.223.

    The log variance lies between -1 and 1, so that no dimension can dominate.

    Args:
        age_features: width of x.
        identity_features: width of y, and of the hidden layers.
    """

    def __init__(self, age_features: int, identity_features: int) -> None:
        super().__init__()
        self.mean = _predictor(age_features, identity_features)
        self.log_variance = nn.Sequential(_predictor(age_features, identity_features), nn.Tanh())

    def likelihood(self, x_age: Tensor, y_identity: Tensor) -> Tensor:
        """Twice the mean log likelihood of y [B, identity] given x [B, age], without constants.

        The sum over dimensions of -(mean - y)^2 / variance - log variance, averaged over B: a
        scalar to be maximised.
        """
        mean, log_variance = self.mean(x_age), self.log_variance(x_age)
        terms = -(mean - y_identity).square() / log_variance.exp() - log_variance
        likelihood: Tensor = terms.sum(1).mean()
        return likelihood

    def bound(
        self, x_age: Tensor, y_identity: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """The bound in nats, a scalar to be minimised; where q is bad it may be below 0.

        Another's y comes by a random permutation of the batch, which may leave some in place.

        Args:
            x_age: [B, age].
            y_identity: [B, identity].
            generator: of the permutation, on the CPU; torch's own by default.
        """
        mean, log_variance = self.mean(x_age), self.log_variance(x_age)
        others = y_identity[torch.randperm(len(y_identity), generator=generator)]
        gap = (mean - others).square() - (mean - y_identity).square()
        bound: Tensor = (gap / log_variance.exp()).sum(1).mean() / 2
        return bound


def _predictor(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.BatchNorm1d(inputs),
        nn.Linear(inputs, outputs),
        nn.ReLU(),
        nn.BatchNorm1d(outputs),
        nn.Linear(outputs, outputs),
    )
