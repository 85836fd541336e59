"""The network that is trained: backbone, age head, and heads for what goes with an age."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from agelens.ages import AgeScale
from agelens.errors import UsageError
from agelens.models.auxiliary import AuxiliaryHeads
from agelens.models.backbones.base import Backbone
from agelens.models.methods.base import AgeMethod, LearningHead


def start_head(head: nn.Module, scale: AgeScale, backbone: Backbone) -> None:
    """Fill `head`, a linear layer over `scale`, from the packaged head of `backbone`.

    Each age takes the weights of the packaged age nearest to it. Where several take the same
    ones, they share its probability: the bias falls by the logarithm of how many they are, so
    that on the packaged scale itself the answers are those of the packaged network.

    Raises:
        UsageError: the backbone has no packaged head, or `head` is no single linear layer
            with one output for each age.
    """
    if backbone.packaged_head is None:
        raise UsageError(
            f"backbone {backbone.name!r} has no packaged age head: start it from packaged "
            "weights that have one, or the head from random numbers"
        )
    if not isinstance(head, nn.Linear) or head.out_features != len(scale):
        raise UsageError(
            "a packaged head is one linear layer with an output for each age, which the head of "
            f"this method ({type(head).__name__}) is not; start it from random numbers"
        )
    weight, bias = backbone.packaged_head
    ages = np.asarray(AgeScale.parse(backbone.packaged_ages).years)
    taken = np.abs(np.asarray(scale.years)[:, None] - ages).argmin(axis=1)
    shared = np.log(np.bincount(taken, minlength=len(ages)))[taken]
    rows = torch.from_numpy(taken)
    with torch.no_grad():
        head.weight.copy_(weight[rows])
        head.bias.copy_(bias[rows] - torch.from_numpy(shared).to(bias.dtype))


_DEVIATION: Final = 0.5
"""About what photos have under the usual normalisation, mean and deviation 0.5: layers that
stay as they were pre-trained get what they know."""

_LEAST_VARIANCE: Final = 1e-4
"""Below that a chip is one colour, and dividing would only enlarge its noise."""


class StandardisedChips(nn.Module):
    """Chips [B, 3, H, W], each minus its mean and with a deviation of 0.5, over pixels and colours.

    Part of the network, so that an exported one does the same. Prints that faded and photos
    that were exposed differently look alike behind it; colour casts stay.
    """

    def forward(self, chips: Tensor) -> Tensor:
        """The chips standardised, in their shape."""
        centred = chips - chips.mean(dim=(1, 2, 3), keepdim=True)
        variance = centred.square().mean(dim=(1, 2, 3), keepdim=True)
        standard: Tensor = centred * (_DEVIATION * (variance + _LEAST_VARIANCE).rsqrt())
        return standard


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
        neck: what features pass behind it, such as a narrow layer with dropout; every head sees
            what comes out.
        width: of what comes out of `neck`.
    """

    def __init__(
        self,
        backbone: Backbone,
        method: AgeMethod,
        auxiliary: AuxiliaryHeads | None = None,
        *,
        entry: nn.Module | None = None,
        neck: nn.Module | None = None,
        width: int | None = None,
    ) -> None:
        super().__init__()
        self.entry = nn.Identity() if entry is None else entry
        self.backbone = backbone
        self.neck = nn.Identity() if neck is None else neck
        self.method = method
        self.auxiliary = auxiliary
        seen = width or backbone.features
        self.head = method.head(seen + (auxiliary.fed if auxiliary else 0))

    def forward(self, images: Tensor) -> ModelOutputs:
        """Outputs of every head."""
        if self.auxiliary is None:
            return ModelOutputs(self.head(self.features(images)), {})
        features, early = self.backbone.with_early(self.entry(images))
        features, logits = self.auxiliary(self.neck(features), early)
        return ModelOutputs(self.head(features), logits)

    def features(self, images: Tensor) -> Tensor:
        """What heads see of chips [B, 3, H, W]: features [B, width]."""
        features: Tensor = self.neck(self.backbone(self.entry(images)))
        return features

    def clear_training_features(self) -> None:
        """Clear the features of training faces that the head keeps, if it keeps any."""
        if isinstance(self.head, LearningHead):
            self.head.clear_training_features()

    def answer(self, images: Tensor) -> Tensor:
        """What the exported network answers [B, width]: `method.spec` says what it is."""
        answer: Tensor = self.method.answer(self.forward(images).age)
        return answer

    @property
    def told(self) -> dict[str, tuple[str, ...]]:
        """The columns that it tells beside an age, gender first, each with its words in order.

        A gender whose words are not female and male is nothing that a card could state.
        """
        tasks = self.auxiliary.tasks if self.auxiliary else ()
        words = {task.column: task.classes for task in tasks}
        genders = words.pop("gender", ())
        return ({"gender": genders} if sorted(genders) == ["female", "male"] else {}) | words

    @property
    def told_width(self) -> int:
        """How many probabilities `answers` has beside that for the age."""
        return sum(map(len, self.told.values()))

    def answers(self, images: Tensor) -> tuple[Tensor, ...]:
        """`answer`, and the probabilities [B, words] of each column that is `told`."""
        return self.answers_of(self.forward(images))

    def answers_of(self, outputs: ModelOutputs) -> tuple[Tensor, ...]:
        """`answers` of the outputs of every head."""
        told = (outputs.auxiliary[column].softmax(dim=1) for column in self.told)
        return (self.method.answer(outputs.age), *told)
