"""Purifiers, one file a paper; `PURIFIERS` names them all.

`none` is the baseline that is trained without any; the untouched embedding is a baseline that needs
no entry.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Final

import torch
from torch import Tensor, nn

from agelens.errors import UnknownNameError
from agelens.recognition.purification import AgeDiscriminator, CanonicalCorrelation, SampledCLUB


@dataclass(frozen=True, slots=True, eq=False)
class SeenBatch:
    """A batch as purifiers see it.

    `raw` [B, D] is the extractor's embedding at about 1 a dimension, `purified` [B, D] what the
    identity branch makes of it, `age` [B, groups] the frozen age branch's scores, and `groups`
    int64 [B] the age groups.
    """

    raw: Tensor
    purified: Tensor
    age: Tensor
    groups: Tensor

    @property
    def removed(self) -> Tensor:
        """What the identity branch took out [B, D]."""
        return self.raw - self.purified

    def detached(self) -> SeenBatch:
        """The same, from which nothing comes back to the identity branch."""
        return SeenBatch(self.raw, self.purified.detach(), self.age, self.groups)


class AgeAdversary(nn.Module, ABC):
    """An adversary and a penalty, which take turns on every batch.

    Args:
        features: width of the embedding.
        groups: of age.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    paper: ClassVar[str]
    weights: ClassVar[tuple[float, ...]]
    """Of the penalty beside the margin loss: those to choose from on validation people."""

    def __init__(self, features: int, groups: int) -> None:
        super().__init__()
        self.features = features
        self.groups = groups

    @abstractmethod
    def adversary_loss(self, batch: SeenBatch) -> Tensor:
        """What the adversary minimises; `batch` is detached."""

    @abstractmethod
    def penalty(self, batch: SeenBatch, generator: torch.Generator) -> Tensor:
        """What the identity branch minimises beside the margin loss.

        Args:
            batch: with gradients.
            generator: of all chance in it.
        """


class MarginOnly(AgeAdversary):
    """What any purifier has to beat: it tells what the margin loss does by itself."""

    name: ClassVar[str] = "none"
    summary: ClassVar[str] = "the same branch under the margin loss alone"
    paper: ClassVar[str] = "none"
    weights: ClassVar[tuple[float, ...]] = (0.0,)

    def adversary_loss(self, batch: SeenBatch) -> Tensor:
        """Zero: there is no adversary."""
        return batch.purified.new_zeros(())

    def penalty(self, batch: SeenBatch, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        """Zero."""
        return batch.purified.new_zeros(())


_LIKELIHOOD: Final = 0.1
"""IEFP's factor of the likelihood network's loss."""


class IEFP(AgeAdversary):
    """Xie, Pun and Lam (IEEE TIFS 17, 2022): the sampled CLUB bound as penalty.

    The paper's weight is 0.001, beside embeddings of a network that is trained whole.
    """

    name: ClassVar[str] = "iefp"
    summary: ClassVar[str] = "sampled CLUB bound of mutual information with the age branch"
    paper: ClassVar[str] = "Xie, Pun and Lam, IEEE TIFS 17, 2022"
    weights: ClassVar[tuple[float, ...]] = (0.3, 1.0, 3.0)

    def __init__(self, features: int, groups: int) -> None:
        super().__init__(features, groups)
        self.club = SampledCLUB(groups, features)

    def adversary_loss(self, batch: SeenBatch) -> Tensor:
        """The likelihood network's, which tells identity embeddings from age scores."""
        return -_LIKELIHOOD * self.club.likelihood(batch.age, batch.purified)

    def penalty(self, batch: SeenBatch, generator: torch.Generator) -> Tensor:
        """The bound, in nats."""
        return self.club.bound(batch.age, batch.purified, generator)


class ReversedGradient(AgeAdversary):
    """An age discriminator behind a gradient reversal, as in MTLFace (Huang et al., CVPR 2021).

    The paper's weight is 0.002, beside a network that is trained whole.
    """

    name: ClassVar[str] = "gradient-reversal"
    summary: ClassVar[str] = "an age discriminator whose gradient is reversed"
    paper: ClassVar[str] = "Huang et al., CVPR 2021; Ganin and Lempitsky, ICML 2015"
    weights: ClassVar[tuple[float, ...]] = (0.3, 1.0, 3.0)

    def __init__(self, features: int, groups: int) -> None:
        super().__init__(features, groups)
        self.discriminator = AgeDiscriminator(features, groups)

    def adversary_loss(self, batch: SeenBatch) -> Tensor:
        """The discriminator's cross-entropy."""
        loss: Tensor = self.discriminator(batch.purified, batch.groups)
        return loss

    def penalty(self, batch: SeenBatch, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        """The same cross-entropy, whose gradient makes it larger."""
        loss: Tensor = self.discriminator(batch.purified, batch.groups, reverse=True)
        return loss


class DAL(AgeAdversary):
    """Wang et al. (CVPR 2019): x = identity + age, decorrelated by an adversary.

    The age part is what the identity branch takes out. It needs no age branch: a linear layer
    tells age groups from that part, and its cross-entropy stands beside the correlation.
    """

    name: ClassVar[str] = "dal"
    summary: ClassVar[str] = "what is taken out tells age and is uncorrelated with what stays"
    paper: ClassVar[str] = "Wang et al., CVPR 2019"
    weights: ClassVar[tuple[float, ...]] = (0.3, 1.0, 3.0)

    def __init__(self, features: int, groups: int) -> None:
        super().__init__(features, groups)
        self.correlation = CanonicalCorrelation(features, features)
        self.to_groups = nn.Linear(features, groups)

    def adversary_loss(self, batch: SeenBatch) -> Tensor:
        """The correlation, to be made large, and the groups' cross-entropy."""
        return self._groups(batch) - self._correlated(batch)

    def penalty(self, batch: SeenBatch, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        """The correlation, to be made small, and the groups' cross-entropy."""
        return self._groups(batch) + self._correlated(batch)

    def _correlated(self, batch: SeenBatch) -> Tensor:
        correlation: Tensor = self.correlation(batch.removed, batch.purified)
        return correlation

    def _groups(self, batch: SeenBatch) -> Tensor:
        return nn.functional.cross_entropy(self.to_groups(batch.removed), batch.groups)


PURIFIERS: Final[dict[str, type[AgeAdversary]]] = {
    "none": MarginOnly,
    "iefp": IEFP,
    "dal": DAL,
    "gradient-reversal": ReversedGradient,
}


def purifier_class(name: str) -> type[AgeAdversary]:
    """The purifier called `name`.

    Raises:
        UnknownNameError: none has that name; the message lists those that exist.
    """
    if name not in PURIFIERS:
        raise UnknownNameError("purifier", name, PURIFIERS)
    return PURIFIERS[name]
