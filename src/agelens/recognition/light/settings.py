"""How the light form is trained; the defaults were chosen on validation people of LFW."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from agelens.errors import UsageError
from agelens.recognition.light.purifiers import purifier_class
from agelens.recognition.purification.self_purification import Blocks


@dataclass(frozen=True, slots=True)
class LightSettings:
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
