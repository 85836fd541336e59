"""Several trained networks as one: the mean of what they say, or of their weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import deepcopy
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

    def answers(self, images: Tensor) -> tuple[Tensor, ...]:
        """The mean of their answers, and of what all of them tell; see `AgeModel.answers`."""
        if not self.told:
            return (self.answer(images),)
        alike = zip(*(model.answers(images) for model in self.members), strict=True)
        return tuple(torch.stack(each).mean(0) for each in alike)

    def clear_training_features(self) -> None:
        """See `AgeModel.clear_training_features`."""
        for model in self.members:
            model.clear_training_features()


def mean_weights(models: Sequence[AgeModel], shares: Sequence[float] | None = None) -> AgeModel:
    """One network whose weights are the mean of those of `models`, as fast as one of them.

    Wortsman et al., "Model soups", ICML 2022: networks trained on from the same start, by other
    seeds or other augmentations, lie close enough together that their mean errs less than each.
    Running means and variances of batch norm are averaged too; whole numbers are the first's.

    Args:
        models: of the same method and backbone, from the same starting weights.
        shares: how much each counts, beside the others; all alike by default.

    Raises:
        UsageError: fewer than two, or networks of other shapes; not one share above 0 of each.
    """
    shares = [1.0] * len(models) if shares is None else shares
    if len(shares) != len(models) or not all(0 < share < math.inf for share in shares):
        raise UsageError(f"a share above 0 is needed of each of {len(models)} runs, got {shares}")
    states = [model.state_dict() for model in models]
    shapes = [{name: value.shape for name, value in state.items()} for state in states]
    if len(models) < 2 or any(one != shapes[0] for one in shapes[1:]):
        raise UsageError(
            "weights can be averaged of two or more networks of one method, backbone and size"
        )
    mean = deepcopy(models[0])
    mean.load_state_dict(
        {
            name: sum(
                share / sum(shares) * state[name]
                for share, state in zip(shares, states, strict=True)
            )
            if value.is_floating_point()
            else value
            for name, value in states[0].items()
        }
    )
    return mean
