"""RAPL: where an age lies among reference faces of all ages."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from agelens.ages import AgeScale
from agelens.errors import UsageError
from agelens.models.losses.precision import at_least_float32
from agelens.models.methods.base import AgeMethod, AgeTargets
from agelens.models.methods.rapl_head import RAPLHead, RAPLOutputs, expected_ages


class RAPL(AgeMethod):
    """Relative age position learning.

    Ages are the mean of a softmax; position learning shapes the features in training alone.
    With gender, as on AgeDB and AFAD: a parallel auxiliary head of weight 1.

    Args:
        ages: the ages that may occur; those that do not among the training ages are left out.
        theta: where the weights of the references start. At 0, references at first weigh all
            features alike.
        seed: of the choice between samples of equal error.

    Raises:
        ValueError: `ages` is no age scale.
    """

    name: ClassVar[str] = "rapl"
    paper: ClassVar[str] = (
        "Amirullaeva and Han, Relative Age Position Learning for Face-Based Age Estimation, "
        "IEEE Access 12, 2024"
    )
    departures: ClassVar[tuple[str, ...]] = (
        "theta, the weights of the references, are left as memory happened to be in the "
        "authors' code; here they start at the number that `theta` names",
        "the authors' MAE and CS are means of batch means, so a short last batch counts as much "
        "as a full one; here they are over samples",
    )

    def __init__(self, ages: str = "0-100", *, theta: float = 0.0, seed: int = 0) -> None:
        super().__init__(ages)
        self.theta, self.seed = theta, seed
        self._may_occur = self.scale

    def see_ages(self, age_years: Tensor) -> None:
        """Narrow `scale` to the ages that occur among the training ages [N].

        Raises:
            UsageError: they are all of one age.
        """
        self.scale = self._may_occur
        places = torch.unique(self.classes(age_years)).tolist()
        if len(places) < 2:
            raise UsageError(
                f"RAPL places an age among others, and all {len(age_years)} training samples "
                f"have the same: {[self.scale.years[place] for place in places]}; check the split"
            )
        self.scale = AgeScale(tuple(self.scale.years[place] for place in places))

    def head(self, features: int) -> nn.Module:
        """A `RAPLHead`."""
        return RAPLHead(features, self.scale, self.classes, theta=self.theta, seed=self.seed)

    def loss(self, outputs: RAPLOutputs, targets: AgeTargets) -> Tensor:
        """L1 of the expected age, plus cross entropy of the position once there are references."""
        expected = expected_ages(outputs, self.years(outputs.age_logits))
        age = functional.l1_loss(expected, targets.age_years.to(expected))
        position = functional.cross_entropy(
            at_least_float32(outputs.position_logits),
            self.classes(targets.age_years),
            reduction="none",
        )
        # Times 0 rather than left out: in a run of many processes every weight needs a gradient.
        return age + (outputs.ready * position).mean()

    def posterior(self, outputs: RAPLOutputs) -> Tensor:
        """Probabilities [B, n]."""
        return at_least_float32(outputs.age_logits).softmax(dim=1)
