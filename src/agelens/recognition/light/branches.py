"""The two branches on a frozen embedding: what is kept of it, and what it tells of age."""

from __future__ import annotations

from torch import Tensor, nn

from agelens.recognition.purification import SelfPurification
from agelens.recognition.purification.self_purification import Blocks


class IdentityBranch(nn.Module):
    """A self-purification unit that begins as no change at all.

    Its last layer starts at zero, so that training goes on from the extractor's own embedding,
    and weight decay draws it back there.

    Args:
        features: width of the embedding.
        blocks: see `SelfPurification`.
    """

    def __init__(self, features: int, blocks: Blocks = 1) -> None:
        super().__init__()
        self.scale = features**0.5
        self.unit = SelfPurification(features, blocks)
        last = [module for module in self.unit.modules() if isinstance(module, nn.Linear)][-1:]
        for linear in last:
            nn.init.zeros_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Purified [B, features], about 1 a dimension, of embeddings of length 1."""
        purified: Tensor = self.unit(embeddings * self.scale)
        return purified


class AgeBranch(nn.Module):
    """A self-purification unit and a linear layer to age groups, whose scores are its embedding.

    The full network's age branch sees the photo. This one sees an embedding that was made for
    identity, and anything wider than the scores would hand most of that on to the penalty.

    Args:
        features: width of the embedding.
        groups: of age.
        blocks: see `SelfPurification`.
    """

    def __init__(self, features: int, groups: int, blocks: Blocks = 1) -> None:
        super().__init__()
        self.scale = features**0.5
        self.groups = groups
        self.unit = SelfPurification(features, blocks)
        self.to_groups = nn.Linear(features, groups)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Scores [B, groups], before a softmax, of embeddings of length 1."""
        scores: Tensor = self.to_groups(self.unit(embeddings * self.scale))
        return scores

    def freeze(self) -> None:
        """Let nothing change it any more, neither gradients nor batch statistics."""
        self.eval()
        self.requires_grad_(False)
