"""Several trained networks as one that answers the mean of what they say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from agelens.errors import UsageError
from agelens.models.age_model import AgeModel
from agelens.models.methods.base import AgeMethod


class MeanModel(nn.Module):
    """Networks that see the same chips, each what it looks at of them.

    Distributions are averaged, and genders where all tell them. Networks that look at different
    crops, or were started differently, err on different faces: their mean errs less than each.

    Args:
        models: with answers of one kind, a distribution over the same ages.

    Raises:
        UsageError: fewer than two, other kinds of answers, or answers that differ in kind.
    """

    def __init__(self, models: Sequence[AgeModel]) -> None:
        super().__init__()
        specs = {model.method.spec for model in models}
        if len(models) < 2 or len(specs) > 1:
            raise UsageError("a mean is of two or more networks with the same ages and method")
        if any(spec.kind != "posterior" for spec in specs):
            raise UsageError(
                f"only distributions can be averaged inside a network, and {models[0].method.name} "
                f"answers {models[0].method.spec.kind}"
            )
        self.models = nn.ModuleList(models)
        common = models[0].told if all(m.told == models[0].told for m in models) else {}
        self.told: dict[str, tuple[str, ...]] = common
        """See `AgeModel.told`; nothing unless all tell the same."""

    @property
    def members(self) -> list[AgeModel]:
        """The networks."""
        return [cast(AgeModel, model) for model in self.models]

    @property
    def method(self) -> AgeMethod:
        """The method of the first, whose answers are like the others'."""
        return self.members[0].method

    def forward(self, images: Tensor) -> Tensor:
        """Answers [B, width]."""
        return self.answer(images)

    def answer(self, images: Tensor) -> Tensor:
        """The mean of the networks' answers [B, width]."""
        return torch.stack([model.answer(images) for model in self.members]).mean(0)

    def whole_answer(self, images: Tensor) -> Tensor:
        """The mean of their answers and of what all of them tell."""
        if not self.told:
            return self.answer(images)
        return torch.stack([model.whole_answer(images) for model in self.members]).mean(0)

    def clear_training_features(self) -> None:
        """See `AgeModel.clear_training_features`."""
        for model in self.members:
            model.clear_training_features()
