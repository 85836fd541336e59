"""RAPL: where an age lies among reference faces of all ages."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from agelens.ages import AgeScale
from agelens.errors import UsageError
from agelens.models.losses import at_least_float32, posterior_mean
from agelens.models.methods.base import AgeMethod, AgeTargets, Departure, LearningHead


class RAPLOutputs(NamedTuple):
    """What a `RAPLHead` gives: one row a sample.

    `features` [B, F] as they came in; logits of the age and of its position [B, n];
    `ready` [B], 1 once there are references, before 0.
    """

    features: Tensor
    age_logits: Tensor
    position_logits: Tensor
    ready: Tensor


class RAPLHead(LearningHead):
    """Age from features; position from features re-weighted by a reference of each age.

    The reference of an age is the feature of the training sample of that age with the least
    error, in the best epoch so far, as it was before that step's update. It costs one pass
    over each batch: the best of an epoch so far is all that is kept.

    Args:
        features: F.
        scale: of the n ages.
        classes: from ages [B] in years to their places in `scale`.
        theta: where the n weights of the references start.
        seed: of the choice between samples of equal error.
    """

    ages: Tensor
    references: Tensor
    ready: Tensor
    candidates: Tensor
    candidate_errors: Tensor
    steps: Tensor

    def __init__(
        self,
        features: int,
        scale: AgeScale,
        classes: Callable[[Tensor], Tensor],
        *,
        theta: float,
        seed: int,
    ) -> None:
        super().__init__()
        count = len(scale)
        self.classes, self.seed = classes, seed
        self.fc_age = nn.Linear(features, count)
        self.fc_feature = nn.Linear(count, 1)
        self.fc_pos = nn.Linear(features, count)
        self.theta = nn.Parameter(torch.full((count,), theta))
        self.register_buffer("ages", torch.tensor(scale.years))
        self.register_buffer("references", torch.zeros(count, features))
        self.register_buffer("ready", torch.tensor(0.0))
        self.register_buffer("candidates", torch.zeros(count, features))
        # Absolute error, then a random number that decides between equals; infinite if none.
        self.register_buffer("candidate_errors", torch.full((count, 2), torch.inf))
        self.register_buffer("steps", torch.tensor(0))

    def forward(self, features: Tensor) -> RAPLOutputs:
        """Outputs for features [B, F]."""
        weights = torch.sigmoid(self.references * self.theta[:, None])
        # fc_feature of the n re-weighted copies of a feature, without making the copies
        mixed = features * (self.fc_feature.weight @ weights) + self.fc_feature.bias
        ready = self.ready.expand_as(features[:, 0])
        return RAPLOutputs(features, self.fc_age(features), self.fc_pos(mixed), ready)

    def after_step(self, outputs: RAPLOutputs, targets: AgeTargets) -> None:
        """Let the batch's samples stand for their ages where they err less than those before."""
        errors = (expected_ages(outputs, self.ages) - targets.age_years).abs()
        places = self.classes(targets.age_years)
        ranks = torch.stack([errors, self._chances(errors)], dim=1).to(self.candidate_errors)
        self._challenge(places, ranks, outputs.features.to(self.candidates))
        self.steps += 1

    def after_epoch(self, errors_years: Tensor, *, best: bool) -> None:
        """The best samples of the best epoch become the references; the next epoch starts anew.

        An age that the epoch did not hold keeps the reference it had.
        """
        super().after_epoch(errors_years, best=best)
        seen = self.candidate_errors[:, 0].isfinite()
        if best and bool(seen.any()):
            self.references[seen] = self.candidates[seen]
            self.ready.fill_(1.0)
        self.candidates.zero_()
        self.candidate_errors.fill_(torch.inf)

    def clear_training_features(self) -> None:
        """No references and no candidates: ages are told without either."""
        for kept in (self.references, self.candidates, self.ready):
            kept.zero_()
        self.candidate_errors.fill_(torch.inf)

    def _chances(self, like: Tensor) -> Tensor:
        """Numbers of seed and step alone, so that a resumed run draws the same."""
        entropy = np.random.SeedSequence([self.seed, int(self.steps)])
        seed = entropy.generate_state(1, np.uint64)[0]
        chance = torch.Generator().manual_seed(int(seed >> np.uint64(1)))
        return torch.rand(like.shape, generator=chance).to(like)

    def _challenge(self, places: Tensor, errors: Tensor, features: Tensor) -> None:
        """Keep the best of each age; `errors` [B, 2] compare first by error, then by chance."""
        count = len(self.candidates)
        holders = torch.arange(count, device=places.device)
        age = torch.cat([holders, places])
        error, chance = torch.cat([self.candidate_errors, errors]).unbind(dim=1)
        chance = chance.where(error == _least(error, age, count)[age], torch.inf)
        won = (chance == _least(chance, age, count)[age])[count:] & chance[count:].isfinite()
        self.candidates[places[won]] = features[won]
        self.candidate_errors[places[won]] = errors[won]


def expected_ages(outputs: RAPLOutputs, ages: Tensor) -> Tensor:
    """Mean [B] in years of the softmax over `ages` [n]."""
    posterior = at_least_float32(outputs.age_logits).softmax(dim=1)
    return posterior_mean(posterior, ages.to(posterior))


def _least(values: Tensor, age: Tensor, count: int) -> Tensor:
    """The least of `values` [M] of each age [count]."""
    start = torch.full((count,), torch.inf, dtype=values.dtype, device=values.device)
    return start.scatter_reduce(0, age, values, "amin")


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
    departures: ClassVar[tuple[Departure, ...]] = (
        Departure(
            "theta, the weights of the references, begins as memory happened to be",
            "it begins at the number that `theta` names",
            "a run has to be repeatable",
            "nobody can; theta 0 is what fresh memory mostly holds",
        ),
        Departure(
            "MAE and CS are means of batch means, so a short last batch counts like a full one",
            "they are over samples",
            "one definition of a metric",
            "none; with a batch size that divides the part they agree",
        ),
    )

    def __init__(self, ages: str = "0-100", *, theta: float = 0.0, seed: int = 0) -> None:
        super().__init__(ages)
        self.theta, self.seed = theta, seed

    def fit_ages(self, age_years: Tensor) -> None:
        """Narrow `scale` to the ages that occur among the training ages [N].

        Raises:
            UsageError: they are all of one age.
        """
        self.scale = self.stated_scale
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
        return torch.stack([*self.loss_parts(outputs, targets).values()]).sum()

    def loss_parts(self, outputs: RAPLOutputs, targets: AgeTargets) -> dict[str, Tensor]:
        """Both terms: ``age`` and ``position``."""
        expected = expected_ages(outputs, self.years(outputs.age_logits))
        age = functional.l1_loss(expected, targets.age_years.to(expected))
        position = functional.cross_entropy(
            at_least_float32(outputs.position_logits),
            self.classes(targets.age_years),
            reduction="none",
        )
        # Times 0 rather than left out: in a run of many processes every weight needs a gradient.
        return {"age": age, "position": (outputs.ready * position).mean()}

    def posterior(self, outputs: RAPLOutputs) -> Tensor:
        """Probabilities [B, n]."""
        return at_least_float32(outputs.age_logits).softmax(dim=1)
