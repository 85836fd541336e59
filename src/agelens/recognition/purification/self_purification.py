"""The self-purification unit: what an embedding holds beside its purpose, taken off it."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from torch import Tensor, nn

from agelens.errors import UsageError

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
