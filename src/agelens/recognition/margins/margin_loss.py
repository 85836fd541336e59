"""The loss of a batch's embeddings: which identity each is."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from agelens.recognition.margins.class_weights import ClassWeights
from agelens.recognition.margins.margin import Margin
from agelens.recognition.margins.sharding import sharded_cross_entropy


class MarginLoss(nn.Module):
    """Cross-entropy of the identities, the right one handicapped by a margin.

    It reckons in 32 bits under mixed precision too: in 16, a cosine near 1 times 64 is wrong by
    more than a hundredth of a nat. Of several processes that share the identities, each has
    the same loss: the mean over all of their batches.

    Args:
        classes: the identities' centres.
        margin: the handicap.
    """

    def __init__(self, classes: ClassWeights, margin: Margin) -> None:
        super().__init__()
        self.classes = classes
        self.margin = margin

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The loss, a scalar, of embeddings [b, F] with identities int64 [b]."""
        with torch.autocast(embeddings.device.type, enabled=False):
            cosines, targets = self.classes(embeddings.float(), labels)
            logits = self.margin(cosines, targets)
            if self.classes.processes > 1:
                return sharded_cross_entropy(logits, targets)
            return nn.functional.cross_entropy(logits, targets)
