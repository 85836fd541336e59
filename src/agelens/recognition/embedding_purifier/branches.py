"""What a purifier is trained with: its settings, the identity branch, and the frozen age branch."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from agelens.errors import UsageError
from agelens.recognition.age_groups import age_group_names, age_groups
from agelens.recognition.embedding_purifier.faces import IdentityFaces
from agelens.recognition.embedding_purifier.purifiers import purifier_class
from agelens.recognition.purification import Blocks, SelfPurification


@dataclass(frozen=True, slots=True)
class PurifierSettings:
    """All that decides, beside the faces, what comes out; defaults were chosen on people of LFW.

    Args:
        purifier: a name in `PURIFIERS`.
        weights: of the penalty beside the margin loss, one of which is chosen on validation
            people; none stands for those of the purifier itself.
        seed: of the parts, the first weights and every batch.
        blocks: of both self-purification units.
        identity_weight: of the mean square of what is taken out, by dimension. The extractor has
            seen more people than any table here; without it a branch unlearns them within an epoch.
        margin: of CosFace.
        scale: of CosFace. 64 in the paper, for embeddings that are all learned.
        epochs: of the identity branch; the best one by validation is kept.
        age_epochs: of the age branch, which comes first; the best one is kept.
        age_lr: learning rate of the age branch.
        batch_size: faces a step.
        lr: learning rate of identity branch and adversary, AdamW's, at first; it falls to 0 by a
            half cosine.
        weight_decay: AdamW's; it draws the identity branch back to no change.
        clip: gradients are shortened to this length.
        valid_share: of the people.

    Raises:
        UnknownNameError: there is no such purifier.
        UsageError: a number out of range.
    """

    purifier: str = "iefp"
    weights: tuple[float, ...] = ()
    seed: int = 0
    blocks: Blocks = 1
    identity_weight: float = 100.0
    margin: float = 0.03
    scale: float = 64.0
    epochs: int = 10
    age_epochs: int = 10
    age_lr: float = 3e-3
    batch_size: int = 512
    lr: float = 1e-3
    weight_decay: float = 0.05
    clip: float = 5.0
    valid_share: float = 0.3

    def __post_init__(self) -> None:
        own = purifier_class(self.purifier).weights
        object.__setattr__(self, "weights", tuple(self.weights) or own)
        for name in ("epochs", "age_epochs", "age_lr", "lr", "clip", "scale"):
            if getattr(self, name) <= 0:
                raise UsageError(f"{name} must be above 0, got {getattr(self, name)}")
        if min(self.weights) < 0:
            raise UsageError(f"weights must be 0 or more, got {min(self.weights)}")
        for name in ("identity_weight", "weight_decay", "margin", "seed"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} must be 0 or more, got {getattr(self, name)}")
        if self.batch_size < 2:
            raise UsageError(f"a batch has 2 faces or more, got {self.batch_size}")
        if not 0 < self.valid_share < 1:
            raise UsageError(f"valid_share lies between 0 and 1, got {self.valid_share}")


def seed_torch(*entropy: int) -> torch.Generator:
    """Seed what torch draws first weights from; a generator of the same numbers, each from 0."""
    word = int(np.random.SeedSequence(entropy).generate_state(1)[0])
    torch.manual_seed(word)
    return torch.Generator().manual_seed(word)


def batches(faces: int, size: int, *entropy: int) -> tuple[Tensor, ...]:
    """Rows int64 of each batch of one epoch, in an order drawn from the numbers `entropy`.

    All faces come, in batches as equal as can be of at least `size` faces (all of them, where they
    are fewer): one of a single face would have no variance to normalise by.
    """
    order = np.random.default_rng(np.random.SeedSequence(entropy)).permutation(faces)
    return torch.from_numpy(order).tensor_split(max(1, faces // size))


def update(optimizer: torch.optim.Optimizer, loss: Tensor, clip: float) -> None:
    """One step along the gradients of `loss`, shortened to the length `clip`."""
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    nn.utils.clip_grad_norm_(parameters, clip)
    optimizer.step()


class IdentityBranch(nn.Module):
    """A self-purification unit that begins as no change at all.

    Its last layer starts at zero, so that training goes on from the extractor's own embedding,
    and weight decay draws it back there.

    Args:
        features: width of the embedding.
        blocks: see `SelfPurification`.
    """

    def __init__(self, features: int, blocks: Blocks = 1) -> None:
        super().__init__()
        self.scale = features**0.5
        self.unit = SelfPurification(features, blocks)
        last = [module for module in self.unit.modules() if isinstance(module, nn.Linear)][-1:]
        for linear in last:
            nn.init.zeros_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Purified [B, features], about 1 a dimension, of embeddings of length 1."""
        purified: Tensor = self.unit(embeddings * self.scale)
        return purified


class AgeBranch(nn.Module):
    """A self-purification unit and a linear layer to age groups, whose scores are its embedding.

    The full network's age branch sees the photo. This one sees an embedding that was made for
    identity, and anything wider than the scores would hand most of that on to the penalty.

    Args:
        features: width of the embedding.
        groups: of age.
        blocks: see `SelfPurification`.
    """

    def __init__(self, features: int, groups: int, blocks: Blocks = 1) -> None:
        super().__init__()
        self.scale = features**0.5
        self.groups = groups
        self.unit = SelfPurification(features, blocks)
        self.to_groups = nn.Linear(features, groups)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Scores [B, groups], before a softmax, of embeddings of length 1."""
        scores: Tensor = self.to_groups(self.unit(embeddings * self.scale))
        return scores


_AGE_BRANCH: Final = 0


@dataclass(frozen=True, slots=True, eq=False)
class TrainedAgeBranch:
    """A frozen age branch, and how often it is right about people it has not seen.

    `accuracy` is the share of validation faces whose age group it tells, `majority` what saying
    always the group most frequent in training would reach.
    """

    branch: AgeBranch
    accuracy: float
    majority: float


def train_age_branch(
    train: IdentityFaces, valid: IdentityFaces, settings: PurifierSettings
) -> TrainedAgeBranch:
    """Cross-entropy over IEFP's eight groups; the epoch that validates best is kept."""
    seed_torch(settings.seed, _AGE_BRANCH)
    groups = len(age_group_names())
    branch = AgeBranch(train.vectors.shape[1], groups, settings.blocks)
    optimizer = torch.optim.AdamW(
        branch.parameters(), settings.age_lr, weight_decay=settings.weight_decay
    )
    vectors, labels = torch.from_numpy(train.vectors), _labels(train)
    unseen, right = torch.from_numpy(valid.vectors), _labels(valid)
    best, state = float("inf"), copy.deepcopy(branch.state_dict())
    for epoch in range(settings.age_epochs):
        branch.train()
        for rows in batches(len(vectors), settings.batch_size, settings.seed, _AGE_BRANCH, epoch):
            loss = nn.functional.cross_entropy(branch(vectors[rows]), labels[rows])
            update(optimizer, loss, settings.clip)
        branch.eval()
        with torch.no_grad():
            found = float(nn.functional.cross_entropy(branch(unseen), right))
        if found < best:
            best, state = found, copy.deepcopy(branch.state_dict())
    branch.load_state_dict(state)
    branch.eval().requires_grad_(False)
    majority = torch.bincount(labels, minlength=groups).argmax()
    told = branch(unseen).argmax(1)
    return TrainedAgeBranch(
        branch, float((told == right).float().mean()), float((right == majority).float().mean())
    )


def _labels(faces: IdentityFaces) -> Tensor:
    return torch.from_numpy(age_groups(faces.ages))
