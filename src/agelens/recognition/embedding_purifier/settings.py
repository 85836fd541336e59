"""How the light form is trained; the defaults were chosen on validation people of LFW."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor, nn

from agelens.errors import UsageError
from agelens.recognition.embedding_purifier.purifiers import purifier_class
from agelens.recognition.purification import Blocks, SelfPurification


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

    def freeze(self) -> None:
        """Let nothing change it any more, neither gradients nor batch statistics."""
        self.eval()
        self.requires_grad_(False)


@dataclass(frozen=True, slots=True)
class PurifierSettings:
    """All that decides, beside the faces, what comes out.

    Args:
        purifier: a name in `PURIFIERS`.
        weights: of the penalty beside the margin loss, one of which is chosen on validation
            people; none stands for those of the purifier itself.
        seed: of the parts, the first weights and every batch.
        blocks: of both self-purification units.
        hold: weight of the mean square of what is taken out, by dimension. The extractor has seen
            more people than any table here; without it a branch unlearns them within an epoch.
        margin: of CosFace.
        scale: of CosFace. 64 in the paper, for embeddings that are all learned.
        epochs: of the identity branch; the best one by validation is kept.
        age_epochs: of the age branch, which comes first; the best one is kept.
        age_rate: of the age branch's optimiser.
        batch: faces a step.
        rate: of identity branch and adversary, AdamW's, at first; it falls to 0 by a half cosine.
        decay: of weights, AdamW's; it draws the identity branch back to no change.
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
    hold: float = 100.0
    margin: float = 0.03
    scale: float = 64.0
    epochs: int = 10
    age_epochs: int = 10
    age_rate: float = 3e-3
    batch: int = 512
    rate: float = 1e-3
    decay: float = 0.05
    clip: float = 5.0
    valid_share: float = 0.3

    def __post_init__(self) -> None:
        own = purifier_class(self.purifier).weights
        object.__setattr__(self, "weights", tuple(self.weights) or own)
        for name in ("epochs", "age_epochs", "age_rate", "rate", "clip", "scale"):
            if getattr(self, name) <= 0:
                raise UsageError(f"{name} must be above 0, got {getattr(self, name)}")
        if min(self.weights) < 0:
            raise UsageError(f"weights must be 0 or more, got {min(self.weights)}")
        for name in ("hold", "decay", "margin", "seed"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} must be 0 or more, got {getattr(self, name)}")
        if self.batch < 2:
            raise UsageError(f"a batch has 2 faces or more, got {self.batch}")
        if not 0 < self.valid_share < 1:
            raise UsageError(f"valid_share lies between 0 and 1, got {self.valid_share}")

    def to_json(self) -> dict[str, Any]:
        """Plain types by name."""
        return asdict(self)
