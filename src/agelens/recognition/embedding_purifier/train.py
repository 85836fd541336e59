"""Faces in, a purifier out: the age branch, a training for each weight, and the best of them.

Two cores and seconds are enough for what takes two GPUs and days in full. Plain torch here and no
Lightning: all faces are one tensor in memory, a run is a thousand steps of a millisecond, and two
optimisers that alternate within a batch would need Lightning's manual mode, which leaves nothing
of its loop to gain from.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from agelens.errors import TrainingError, UnknownNameError
from agelens.recognition.age_groups import age_groups
from agelens.recognition.embedding_purifier.branches import (
    AgeBranch,
    IdentityBranch,
    PurifierSettings,
    batches,
    seed_torch,
    train_age_branch,
    update,
)
from agelens.recognition.embedding_purifier.faces import (
    AcrossAge,
    IdentityFaces,
    across_age,
    check_apart,
    identity_faces,
    split_by_subject,
)
from agelens.recognition.embedding_purifier.purifiers import SeenBatch, purifier_class
from agelens.recognition.embedding_purifier.result import EpochRow, Purification, WeightTried
from agelens.recognition.embedding_table import EmbeddingTable, read_embeddings
from agelens.recognition.margins import ClassWeights, CosFace, MarginLoss

_IDENTITY_BRANCH: Final = 1


class PurifierTraining:
    """The training of the identity branch against its purifier with one weight.

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
        self.best_branch = copy.deepcopy(self.branch)

    def epochs(self) -> Iterator[EpochRow]:
        """Train an epoch for each row that is asked for, to the last one.

        Raises:
            TrainingError: a loss is no number.
        """
        for epoch in range(self.settings.epochs):
            row = self._epoch(epoch)
            self.rows.append(row)
            if row.across_age > self.best_score:
                self.best_epoch, self.best_score = row.epoch, row.across_age
                self.best_branch = copy.deepcopy(self.branch)
            yield row

    def _epoch(self, epoch: int) -> EpochRow:
        settings = self.settings
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = settings.lr * (1 + math.cos(math.pi * epoch / settings.epochs)) / 2
        for module in (self.branch, self.loss, self.purifier):
            module.train()
        entropy = (settings.seed, _IDENTITY_BRANCH, epoch)
        order, drawn = (
            batches(len(self._vectors), settings.batch_size, *entropy),
            seed_torch(*entropy),
        )
        means = torch.stack([self._step(rows, drawn) for rows in order]).mean(0)
        if not bool(torch.isfinite(means).all()):
            raise TrainingError(
                f"the losses of epoch {epoch + 1} are no numbers; a smaller weight "
                f"(now {self.weight:g}) or lr ({settings.lr:g}) may do"
            )
        margin_loss, penalty, adversary_loss = means.tolist()
        return EpochRow(epoch + 1, margin_loss, penalty, adversary_loss, self._score())

    def _step(self, rows: Tensor, drawn: torch.Generator) -> Tensor:
        """One batch; margin loss, penalty and adversary's loss [3]."""
        vectors = self._vectors[rows]
        raw, purified = vectors * self.branch.scale, self.branch(vectors)
        batch = SeenBatch(raw, purified, self.age(vectors), self._groups[rows])
        of_branch, of_adversary = self._optimizers
        adversary_loss = self.purifier.adversary_loss(batch.detached())
        if adversary_loss.requires_grad:  # most purifiers have an adversary
            update(of_adversary, adversary_loss, self.settings.clip)
        margin_loss = self.loss(purified, self._people[rows])
        penalty = self.purifier.penalty(batch, drawn)
        kept = self.settings.identity_weight * batch.removed.square().mean()
        update(of_branch, margin_loss + self.weight * penalty + kept, self.settings.clip)
        return torch.stack([margin_loss.detach(), penalty.detach(), adversary_loss.detach()])

    @torch.no_grad()
    def _score(self) -> float:
        self.branch.eval()
        purified = nn.functional.normalize(self.branch(self._valid))
        return self.pairs.true_match_rate(purified.numpy())


def _adamw(learner: nn.Module, settings: PurifierSettings) -> torch.optim.Optimizer:
    # An optimiser of nothing is refused, and one purifier has no adversary.
    parameters = list(learner.parameters()) or [nn.Parameter(torch.zeros(1))]
    return torch.optim.AdamW(parameters, settings.lr, weight_decay=settings.weight_decay)


def _centres(vectors: Tensor, people: Tensor) -> ClassWeights:
    """Centres of identities that start where each person's embeddings lie on average."""
    classes = ClassWeights(int(people.max()) + 1, vectors.shape[1])
    with torch.no_grad():
        sums = torch.zeros_like(classes.weight).index_add_(0, people, vectors)
        classes.weight.copy_(nn.functional.normalize(sums))
    return classes


def train_on_faces(
    faces: IdentityFaces,
    settings: PurifierSettings,
    progress: Callable[[int, int], None] | None = None,
    valid: IdentityFaces | None = None,
) -> Purification:
    """Train a purifier for each of the weights, and keep the one that validates best.

    Args:
        faces: to learn from.
        settings: all that decides beside them.
        progress: called with epochs done and epochs in all.
        valid: of other people, by whom epoch and weight are chosen; by default a share of those
            of `faces`, who are then not learned.

    Raises:
        TableError: see `across_age`; or `valid` is of another model.
        UsageError: see `split_by_subject`; or a person is in both.
        TrainingError: a loss is no number.
    """
    if valid is None:
        train, valid = split_by_subject(faces, settings.valid_share, settings.seed)
    else:
        train = faces
        check_apart(train, valid)
    age = train_age_branch(train, valid, settings)
    pairs = across_age(valid, settings.seed)
    trainings: list[PurifierTraining] = []
    for weight in settings.weights:
        before = len(trainings) * settings.epochs
        trainings.append(
            PurifierTraining(train, valid, age.branch, pairs, settings=settings, weight=weight)
        )
        for row in trainings[-1].epochs():
            if progress:
                progress(before + row.epoch, len(settings.weights) * settings.epochs)
    tried = tuple(
        WeightTried(one.weight, one.best_epoch, one.best_score, tuple(one.rows))
        for one in trainings
    )
    best = max(range(len(tried)), key=lambda number: tried[number].across_age)
    return Purification(
        branch=trainings[best].best_branch.eval(),
        faces=faces,
        settings=settings,
        age=age,
        tried=tried,
        chosen=tried[best],
        raw_across_age=trainings[0].raw_score,
        people={"train": len(train.names), "valid": len(valid.names)},
    )


def train_purifier(
    embeddings: EmbeddingTable | str | Path,
    *,
    valid: EmbeddingTable | str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    **settings: Any,
) -> Purification:
    """Train a small network that takes age out of embeddings, behind an extractor as it is.

    Args:
        embeddings: of people who have two faces or more, with ages (model-made ones will do), or
            the file that holds them.
        valid: embeddings of other people, by whom epoch and weight are chosen; by default by a
            share of the same, who are then not learned.
        progress: called with epochs done and epochs in all.
        **settings: of `PurifierSettings`, such as ``purifier="dal"``.

    Raises:
        TableError: no ages, too few people with two faces, or two models' embeddings.
        UsageError: a setting out of range, one that does not exist, or a person in both tables.
        TrainingError: a loss is no number.
    """
    names = [field.name for field in fields(PurifierSettings)]
    for name in settings:
        if name not in names:
            raise UnknownNameError("setting", name, names)
    wanted = PurifierSettings(**settings)
    choosing = None if valid is None else identity_faces(_table(valid), least_people=2)
    return train_on_faces(identity_faces(_table(embeddings)), wanted, progress, choosing)


def _table(embeddings: EmbeddingTable | str | Path) -> EmbeddingTable:
    return embeddings if isinstance(embeddings, EmbeddingTable) else read_embeddings(embeddings)
