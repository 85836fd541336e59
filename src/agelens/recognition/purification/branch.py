"""One branch of the two: a backbone, and the unit that purifies its embedding."""

from __future__ import annotations

from torch import Tensor, nn

from agelens.models.backbones import Backbone
from agelens.recognition.purification.self_purification import Blocks, SelfPurification


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

    def forget_faces(self) -> None:
        """Nothing to do: the centres of people are the margin's, and no branch holds them."""
