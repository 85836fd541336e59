"""Training the identity branch against its purifier, one in turn with the other."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agelens.errors import TableError, TrainingError
from agelens.recognition.age_groups import age_groups
from agelens.recognition.embedding_purifier.faces import (
    IdentityFaces,
    batches,
    generator,
    seed_torch,
)
from agelens.recognition.embedding_purifier.purifiers import SeenBatch, purifier_class
from agelens.recognition.embedding_purifier.settings import (
    AgeBranch,
    IdentityBranch,
    PurifierSettings,
)
from agelens.recognition.margins import ClassWeights, CosFace, MarginLoss
from agelens.records import Floats

FALSE_MATCH_RATE: Final = 1e-3
_NEAR_YEARS: Final = 5.0
_FAR_SHARE: Final = 0.5
_MOST_OF_A_PERSON: Final = 20
_MOST_IMPOSTORS: Final = 100_000


@dataclass(frozen=True, slots=True, eq=False)
class AcrossAge:
    """Pairs of rows: `same` int64 [P, 2] of one person, `other` int64 [Q, 2] of two people.

    `weights` float64 [P] give every person of `same` the same say, and sum to 1.
    """

    same: NDArray[np.int64]
    other: NDArray[np.int64]
    weights: Floats

    def true_match_rate(self, vectors: NDArray[np.float32]) -> float:
        """Share of `same` that is more alike than all but 1 in 1,000 of `other`.

        Args:
            vectors: float32 [N, D], rows of length 1.
        """
        # One product of matrices is quicker than fetching the rows of every pair.
        cosines = vectors @ vectors.T
        same, other = (cosines[pairs[:, 0], pairs[:, 1]] for pairs in (self.same, self.other))
        threshold = np.quantile(other, 1 - FALSE_MATCH_RATE)
        return float(self.weights[same > threshold].sum())


def across_age(faces: IdentityFaces, seed: int = 0) -> AcrossAge:
    """The pairs of `faces` that age makes hard.

    Of each person the half of the pairs that are furthest apart in age, among at most 20 of their
    faces; of two people those at most 5 years apart, at most 100,000 of them, drawn by `seed`.

    Raises:
        TableError: nobody has two faces, or no two people are of nearly one age.
    """
    chance = np.random.default_rng(seed)
    rows = [
        chance.permutation(np.flatnonzero(faces.people == person))[:_MOST_OF_A_PERSON]
        for person in np.unique(faces.people)
    ]
    parts = [_furthest(row, faces.ages) for row in rows if len(row) > 1]
    other = _others(faces, chance)
    if not parts or not len(other):
        raise TableError(
            "validation needs a person with two faces, and two people of nearly one age; give more "
            "people, or a larger validation part"
        )
    weights = np.concatenate([np.full(len(part), 1 / len(part)) for part in parts]) / len(parts)
    return AcrossAge(np.concatenate(parts), other, weights)


def _furthest(rows: NDArray[np.int64], ages: Floats) -> NDArray[np.int64]:
    first, second = np.triu_indices(len(rows), 1)
    pairs = np.column_stack([rows[first], rows[second]])
    gaps = np.abs(ages[pairs[:, 0]] - ages[pairs[:, 1]])
    count = max(1, round(_FAR_SHARE * len(pairs)))
    return pairs[np.argsort(-gaps, kind="stable")[:count]]


def _others(faces: IdentityFaces, chance: np.random.Generator) -> NDArray[np.int64]:
    count = len(faces)
    drawn = chance.integers(0, count, (4 * _MOST_IMPOSTORS, 2))
    first, second = drawn.T
    near = np.abs(faces.ages[first] - faces.ages[second]) <= _NEAR_YEARS
    kept = drawn[near & (faces.people[first] != faces.people[second])]
    return np.asarray(kept[:_MOST_IMPOSTORS])


State: TypeAlias = dict[str, Any]
"""Tensors and plain types only, so that it is read without running what a pickle may hold."""

_IDENTITY_BRANCH: Final = 1


@dataclass(frozen=True, slots=True)
class EpochRow:
    """Means over one epoch's batches, and `across_age` on validation people after it."""

    epoch: int
    margin_loss: float
    penalty: float
    adversary_loss: float
    across_age: float


class LightTraining:
    """One run, an epoch at a time; it may be stopped between any two.

    Chance is a function of seed and epoch, so a run that was restored ends as an unbroken one.

    Args:
        train: faces of the people to learn.
        valid: of others.
        age: the frozen age branch.
        pairs: of `valid`, by which epochs are compared.
        settings: all else but the weight.
        weight: of the penalty beside the margin loss.
    """

    def __init__(
        self,
        train: IdentityFaces,
        valid: IdentityFaces,
        age: AgeBranch,
        pairs: AcrossAge,
        *,
        settings: PurifierSettings,
        weight: float,
    ) -> None:
        seed_torch(settings.seed, _IDENTITY_BRANCH)
        self.settings, self.weight, self.pairs, self.age = settings, weight, pairs, age
        features = train.vectors.shape[1]
        self._vectors = torch.from_numpy(train.vectors)
        self._people = torch.from_numpy(train.people)
        self._groups = torch.from_numpy(age_groups(train.ages))
        self._valid = torch.from_numpy(valid.vectors)
        self.branch = IdentityBranch(features, settings.blocks)
        self.loss = MarginLoss(
            _centres(self._vectors, self._people), CosFace(settings.scale, settings.margin)
        )
        self.purifier = purifier_class(settings.purifier)(features, age.groups)
        learners = (nn.ModuleList([self.branch, self.loss]), self.purifier)
        self._optimizers = [_adamw(learner, settings) for learner in learners]
        self.rows: list[EpochRow] = []
        self.best_epoch = 0
        self.raw_score = self.best_score = self._score()
        self.best_weights = copy.deepcopy(self.branch.state_dict())

    @property
    def is_done(self) -> bool:
        """Whether all epochs are over."""
        return len(self.rows) == self.settings.epochs

    def epochs(self) -> Iterator[EpochRow]:
        """Train what epochs are left, one for each row that is asked for."""
        while not self.is_done:
            self._epoch()
            yield self.rows[-1]

    def best_branch(self) -> IdentityBranch:
        """The branch as it validated best."""
        branch = copy.deepcopy(self.branch)
        branch.load_state_dict(self.best_weights)
        return branch.eval()

    def state(self) -> State:
        """All that `restore` needs."""
        return {
            "modules": [module.state_dict() for module in self._modules],
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
            "rows": [[getattr(row, name) for name in _FIELDS] for row in self.rows],
            "best": [self.best_epoch, self.best_score, self.best_weights],
        }

    def restore(self, state: State) -> None:
        """Go on where `state` was taken, of a run of the same faces and settings."""
        for module, kept in zip(self._modules, state["modules"], strict=True):
            module.load_state_dict(kept)
        for optimizer, kept in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
        self.rows = [EpochRow(*row) for row in state["rows"]]
        self.best_epoch, self.best_score, self.best_weights = state["best"]

    @property
    def _modules(self) -> tuple[nn.Module, ...]:
        return self.branch, self.loss, self.purifier

    def _epoch(self) -> None:
        epoch, seed = len(self.rows), self.settings.seed
        self._fall_to(epoch)
        for module in self._modules:
            module.train()
        order = batches(len(self._vectors), self.settings.batch, seed, _IDENTITY_BRANCH, epoch)
        drawn = generator(seed, _IDENTITY_BRANCH, epoch)
        sums = torch.stack([self._step(rows, drawn) for rows in order]).mean(0)
        if not bool(torch.isfinite(sums).all()):
            raise TrainingError(
                f"the losses of epoch {epoch + 1} are no numbers; a smaller weight "
                f"(now {self.weight:g}) or rate ({self.settings.rate:g}) may do"
            )
        score = self._score()
        margin_loss, penalty, adversary_loss = sums.tolist()
        self.rows.append(EpochRow(epoch + 1, margin_loss, penalty, adversary_loss, score))
        if score > self.best_score:
            self.best_epoch, self.best_score = epoch + 1, score
            self.best_weights = copy.deepcopy(self.branch.state_dict())

    def _step(self, rows: Tensor, drawn: torch.Generator) -> Tensor:
        """One batch; margin loss, penalty and adversary's loss [3]."""
        vectors = self._vectors[rows]
        with torch.no_grad():
            age = self.age(vectors)
        raw, purified = vectors * self.branch.scale, self.branch(vectors)
        batch = SeenBatch(raw, purified, age, self._groups[rows])
        of_branch, of_adversary = self._optimizers
        adversary_loss = self.purifier.adversary_loss(batch.detached())
        self._update(of_adversary, adversary_loss)
        margin_loss = self.loss(purified, self._people[rows])
        penalty = self.purifier.penalty(batch, drawn)
        held = self.settings.hold * batch.removed.square().mean()
        self._update(of_branch, margin_loss + self.weight * penalty + held)
        return torch.stack([margin_loss.detach(), penalty.detach(), adversary_loss.detach()])

    def _update(self, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        if not loss.requires_grad:  # no adversary
            return
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(parameters, self.settings.clip)
        optimizer.step()

    def _fall_to(self, epoch: int) -> None:
        rate = self.settings.rate * (1 + math.cos(math.pi * epoch / self.settings.epochs)) / 2
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate

    @torch.no_grad()
    def _score(self) -> float:
        self.branch.eval()
        purified = nn.functional.normalize(self.branch(self._valid))
        return self.pairs.true_match_rate(purified.numpy())


_FIELDS: Final = ("epoch", "margin_loss", "penalty", "adversary_loss", "across_age")


def _adamw(learner: nn.Module, settings: PurifierSettings) -> torch.optim.Optimizer:
    # An optimiser of nothing is refused; most purifiers have no adversary.
    parameters = list(learner.parameters()) or [nn.Parameter(torch.zeros(1))]
    return torch.optim.AdamW(parameters, settings.rate, weight_decay=settings.decay)


def _centres(vectors: Tensor, people: Tensor) -> ClassWeights:
    """Centres of identities that start where each person's embeddings lie on average."""
    classes = ClassWeights(int(people.max()) + 1, vectors.shape[1])
    with torch.no_grad():
        sums = torch.zeros_like(classes.weight).index_add_(0, people, vectors)
        classes.weight.copy_(nn.functional.normalize(sums))
    return classes
