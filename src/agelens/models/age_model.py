"""The network that is trained: backbone, age head, and heads for what goes with an age."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor, nn

from agelens.models.auxiliary.base import AuxiliaryHeads
from agelens.models.backbones.base import Backbone
from agelens.models.methods.base import AgeMethod, LearningHead


class ModelOutputs(NamedTuple):
    """`age` is what the method's head gave; `auxiliary` logits [B, classes] by column."""

    age: Any
    auxiliary: dict[str, Tensor]


class AgeModel(nn.Module):
    """Chips [B, 3, H, W] to the outputs of one method, on any backbone.

    Args:
        backbone: pixels to features.
        method: the head that it makes is this model's `head`.
        auxiliary: further heads, and whether their outputs feed the age head.
        entry: what chips pass before the backbone; nothing by default.
    """

    def __init__(
        self,
        backbone: Backbone,
        method: AgeMethod,
        auxiliary: AuxiliaryHeads | None = None,
        *,
        entry: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.entry = nn.Identity() if entry is None else entry
        self.backbone = backbone
        self.method = method
        self.auxiliary = auxiliary
        self.head = method.head(backbone.features + (auxiliary.fed if auxiliary else 0))

    def forward(self, images: Tensor) -> ModelOutputs:
        """Outputs of every head."""
        if self.auxiliary is None:
            return ModelOutputs(self.head(self.features(images)), {})
        features, early = self.backbone.with_early(self.entry(images))
        features, logits = self.auxiliary(features, early)
        return ModelOutputs(self.head(features), logits)

    def features(self, images: Tensor) -> Tensor:
        """What the backbone makes of chips [B, 3, H, W]: features [B, width]."""
        features: Tensor = self.backbone(self.entry(images))
        return features

    def forget_faces(self) -> None:
        """Let go of what the head keeps of training faces; see `LearningHead.forget_faces`."""
        if isinstance(self.head, LearningHead):
            self.head.forget_faces()

    def answer(self, images: Tensor) -> Tensor:
        """What the exported network answers [B, width]: `method.spec` says what it is."""
        answer: Tensor = self.method.answer(self.forward(images).age)
        return answer
