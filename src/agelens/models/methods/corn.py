"""CORN: each question is asked only where the one before was answered yes."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from agelens.inference.answers import Link
from agelens.models.losses import conditional_cross_entropy
from agelens.models.methods.base import AgeTargets, Departure
from agelens.models.methods.ordinal import OrdinalMethod


class CORN(OrdinalMethod):
    """Conditional ordinal regression: P(older than k) is a running product, so it never rises.

    Its published figures are on class-balanced subsets (33 ages of MORPH-2, 13 of AFAD) and
    do not compare with those of full sets.

    Args:
        ages: the K ages, such as ``"0-100"`` or ``"16-77"``.
        threshold: the probability above which a face counts as older, for the rank.
        point: how the probabilities become one age; the papers count ranks.

    Raises:
        ValueError: `ages` is no age scale, `threshold` is outside (0, 1), or `point` no such word.
    """

    name: ClassVar[str] = "corn"
    paper: ClassVar[str] = (
        "Shi, Cao and Raschka, Deep neural networks for rank-consistent ordinal regression based "
        "on conditional probabilities, Pattern Analysis and Applications 26, 2023"
    )
    departures: ClassVar[tuple[Departure, ...]] = (
        Departure(
            "the epoch of the best RMSE is tested, on subsets with as many faces of each age",
            "MAE chooses, on all samples",
            "one figure chooses in every method",
            "none; the subsets as a list of their own",
        ),
    )
    link: ClassVar[Link] = "conditional"

    def head(self, features: int) -> nn.Module:
        """Logits [B, K - 1]."""
        return nn.Linear(features, self.tasks)

    def loss(self, outputs: Tensor, targets: AgeTargets) -> Tensor:
        """See `conditional_cross_entropy`."""
        return conditional_cross_entropy(outputs, self.classes(targets.age_years))

    def answer(self, outputs: Tensor) -> Tensor:
        """Conditional logits [B, K - 1]."""
        return outputs
