"""Taking age out of identity embeddings."""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

import torch
from torch import Tensor, distributed, nn
from torch.distributed.nn.functional import all_gather

from agelens.errors import UsageError
from agelens.models.backbones import Backbone

Blocks: TypeAlias = Literal[0, 1, 2]
_BLOCKS: Final = (0, 1, 2)


class SelfPurification(nn.Module):
    """y = x - f(x), with f of 0, 1 or 2 blocks of batch norm, ReLU and a linear layer.

    From IEFP (Xie, Pun and Lam, IEEE TIFS 17, 2022), whose default is one block. Without any it
    leaves x as it is and has no weights. A block of 512 features has 263,680 weights.

    Args:
        features: width of the embedding.
        blocks: 0, 1 or 2.

    Raises:
        UsageError: another number of blocks.
    """

    def __init__(self, features: int, blocks: Blocks = 1) -> None:
        super().__init__()
        if blocks not in _BLOCKS:
            raise UsageError(f"a self-purification unit has 0, 1 or 2 blocks, got {blocks}")
        self.blocks = blocks
        self.impurity = nn.Sequential(*(_block(features) for _ in range(blocks)))

    def forward(self, embeddings: Tensor) -> Tensor:
        """Purified embeddings [B, features]."""
        if not self.blocks:
            return embeddings
        purified: Tensor = embeddings - self.impurity(embeddings)
        return purified


def _block(features: int) -> nn.Sequential:
    linear = nn.Linear(features, features)
    nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
    nn.init.zeros_(linear.bias)
    return nn.Sequential(nn.BatchNorm1d(features), nn.ReLU(), linear)


class _Reversed(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, values: Tensor, factor: float) -> Tensor:
        context.factor = factor
        return values.view_as(values)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -context.factor * gradients[0], None


def reverse_gradient(values: Tensor, factor: float = 1.0) -> Tensor:
    """`values` as they are, whose gradient is multiplied by `-factor` on its way back.

    From Ganin and Lempitsky (ICML 2015).
    """
    reversed_: Tensor = _Reversed.apply(values, factor)
    return reversed_


class AgeDiscriminator(nn.Module):
    """Tells the age group from an identity embedding, as MTLFace's adversary does.

    From Huang et al. (CVPR 2021), who put it behind a gradient reversal. An embedding that holds
    no age leaves it at the entropy of the groups: ln 8, 2.079 nats, where 8 are equally many.

    Args:
        features: width of the identity embedding, and of the hidden layer.
        groups: of age.
    """

    def __init__(self, features: int, groups: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.BatchNorm1d(features),
            nn.Linear(features, features),
            nn.ReLU(),
            nn.Linear(features, groups),
        )

    def forward(self, identity: Tensor, groups: Tensor, *, reverse: bool = False) -> Tensor:
        """The cross-entropy, in nats, of the groups told from `identity`: a scalar.

        Args:
            identity: [B, features].
            groups: int64 [B] from 0; -1 where an age is unknown, which is left out.
            reverse: what comes back to `identity` makes the groups harder to tell.
        """
        seen = reverse_gradient(identity) if reverse else identity
        return nn.functional.cross_entropy(self.layers(seen), groups, ignore_index=-1)


_LEAST_VARIANCE: Final = 1e-8


class CanonicalCorrelation(nn.Module):
    """How far one direction of an age embedding and one of an identity embedding correlate.

    DAL, decorrelated adversarial learning (Wang et al., CVPR 2019): this module's two directions
    learn to make the correlation large, whoever makes the identity embedding to make it small.
    For two Gaussians with one pair of coordinates correlated by r, the largest is r.

    Args:
        age_features: width of the age embedding.
        identity_features: width of the identity embedding.
    """

    def __init__(self, age_features: int, identity_features: int) -> None:
        super().__init__()
        self.of_age = nn.Linear(age_features, 1, bias=False)
        self.of_identity = nn.Linear(identity_features, 1, bias=False)

    def forward(self, age: Tensor, identity: Tensor) -> Tensor:
        """The magnitude of the correlation over the batch, a scalar from 0 to 1.

        Args:
            age: [B, age_features].
            identity: [B, identity_features].
        """
        first, second = self.of_age(age).squeeze(1), self.of_identity(identity).squeeze(1)
        first, second = first - first.mean(), second - second.mean()
        # A direction in which nothing varies correlates with nothing.
        variances = (first.square().mean() * second.square().mean()).clamp_min(_LEAST_VARIANCE**2)
        correlation: Tensor = (first * second).mean() / torch.sqrt(variances)
        return correlation.abs()


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

        Another's y comes by a random permutation of the batch, which may leave some in place. Of
        several processes the batch is that of all, so that their number changes nothing.

        Args:
            x_age: [B, age].
            y_identity: [B, identity].
            generator: of the permutation, on the CPU; torch's own by default.
        """
        mean, log_variance = self.mean(x_age), self.log_variance(x_age)
        others = _permuted(y_identity, generator)
        gap = (mean - others).square() - (mean - y_identity).square()
        bound: Tensor = (gap / log_variance.exp()).sum(1).mean() / 2
        return bound


def _permuted(values: Tensor, generator: torch.Generator | None) -> Tensor:
    """`values` [B, F] of a random permutation of all processes' rows."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return values[torch.randperm(len(values), generator=generator)]
    parts = all_gather(values.contiguous())  # type: ignore[no-untyped-call]
    whole = torch.cat(list(parts))
    order = torch.randperm(len(whole), generator=generator).to(values.device)
    distributed.broadcast(order, 0)
    first = distributed.get_rank() * len(values)
    return whole[order[first : first + len(values)]]


def _predictor(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.BatchNorm1d(inputs),
        nn.Linear(inputs, outputs),
        nn.ReLU(),
        nn.BatchNorm1d(outputs),
        nn.Linear(outputs, outputs),
    )


class PurifiedBranch(nn.Module):
    """Chips to embeddings, as IEFP (Xie, Pun and Lam, IEEE TIFS 17, 2022) has both branches.

    Args:
        backbone: iResNet-50 there; any will do.
        blocks: of the `SelfPurification` after it.
    """

    def __init__(self, backbone: Backbone, blocks: Blocks = 1) -> None:
        super().__init__()
        self.backbone = backbone
        self.purification = SelfPurification(backbone.features, blocks)

    @property
    def features(self) -> int:
        """Width of the embedding."""
        return self.backbone.features

    def forward(self, images: Tensor) -> Tensor:
        """Embeddings [B, features], of any length, of normalised chips [B, 3, S, S]."""
        embeddings: Tensor = self.purification(self.backbone(images))
        return embeddings

    def answer(self, images: Tensor) -> Tensor:
        """What an exported branch answers: the embeddings."""
        return self.forward(images)

    def clear_training_features(self) -> None:
        """Nothing to do: the centres of people are the margin's, and no branch holds them."""
