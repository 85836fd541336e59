"""How much age is left in an identity branch, as IEFP's test on FG-NET has it beside rank-1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isnan
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from agelens.data.store import ChipStore
from agelens.errors import TrainingError, UsageError
from agelens.foreign_files import read_yaml
from agelens.models.backbones.weights import read_tensors
from agelens.progress import Progress
from agelens.recognition.age_groups import IEFP_CUTOFFS, age_groups
from agelens.recognition.purification import PurifiedBranch, SampledCLUB
from agelens.recognition.training.branch_choice import BranchChoice
from agelens.training.checkpoints import read_checkpoint
from agelens.training.run import finished_folder, stated_transform
from agelens.training.run_folder import RunFolder

BATCH: Final = 512
_AGE, _CLUB, _HEAD = "model.age.", "model.club.", "head."


@dataclass(frozen=True, slots=True)
class AgeInformation:
    """Of `pictures` with an age, in batches as IEFP's code takes them.

    `group_distance` is the mean distance in age groups between the age branch's answer and the
    label, NaN where its file holds no answer layer; `bound_nats` the CLUB bound on what age and
    identity embeddings share, and `likelihood` that of the network behind it. The bound is not
    comparable between runs: each has a network of its own, and one that predicts badly bounds
    little.
    """

    pictures: int
    group_distance: float
    bound_nats: float
    likelihood: float

    def to_dict(self) -> dict[str, float | int | None]:
        """Plain JSON types by name; None for NaN."""
        return {name: None if isnan(value) else value for name, value in asdict(self).items()}


def age_information(
    run: str | Path,
    store: ChipStore | str | Path,
    *,
    batch_size: int = BATCH,
    seed: int = 0,
    progress: Progress | None = None,
) -> AgeInformation:
    """Measure the run of an identity stage on labelled chips, such as FG-NET's.

    Each chip and its mirror image give one figure each, of which the mean counts.

    Args:
        run: a finished run of the identity stage, with its checkpoints.
        store: chips cut as the run's own, with ages.
        batch_size: of a bound, which draws its strangers from the batch.
        seed: of those draws.
        progress: called with chips done and chips in all.

    Raises:
        TrainingError: the run is not finished, of the age stage, or has no bound.
        UsageError: other chips than the run's, or fewer than two with an age.
        CardError: the age branch's file is gone or damaged.
    """
    folder = finished_folder(run, "agelens identity train")
    chips = store if isinstance(store, ChipStore) else ChipStore.open(store)
    _check_chips(folder, chips)
    networks = _Networks.of(folder)
    ages = chips.table.frame["age_years"].to_numpy(dtype=np.float64, na_value=np.nan)
    rows = np.flatnonzero(chips.has_chip & ~np.isnan(ages))
    if len(rows) < 2:
        raise UsageError(f"{chips.folder} has {len(rows)} chips with an age; it takes two or more")
    groups = torch.from_numpy(age_groups(ages))
    chance = torch.Generator().manual_seed(seed)
    sums = np.zeros(3)
    for start in range(0, len(rows), batch_size):
        batch = rows[start : start + batch_size]
        pixels = np.stack([chips[int(row)] for row in batch]).transpose(0, 3, 1, 2)
        figures = networks.figures(torch.from_numpy(pixels), groups[batch], chance)
        sums += np.array(figures) * len(batch)
        if progress:
            progress(start + len(batch), len(rows))
    return AgeInformation(len(rows), *(sums / len(rows)).tolist())


@dataclass(frozen=True, slots=True, eq=False)
class _Networks:
    """What a run has learned, in evaluation mode."""

    identity: PurifiedBranch
    age: PurifiedBranch
    club: SampledCLUB
    head: nn.Linear | None
    transform: Any

    @classmethod
    def of(cls, folder: RunFolder) -> _Networks:
        config = read_yaml(folder.config, TrainingError)
        state = read_checkpoint(folder.last)["state_dict"]
        if config["stage"] != "identity" or not any(name.startswith(_CLUB) for name in state):
            raise TrainingError(
                f"{folder.path} holds no bound to measure by: it takes a run of the identity "
                "stage with club.bound_weight above 0"
            )
        identity = BranchChoice(**config["branch"]).build_empty()
        age = BranchChoice(**config["age_branch"]).build_empty()
        club = SampledCLUB(age.features, identity.features)
        parts = (("model.identity.", identity), (_AGE, age), (_CLUB, club))
        for prefix, part in parts:
            part.load_state_dict(_below(prefix, state))
            part.eval()
        answers = _below(_HEAD, read_tensors(Path(config["age_branch"]["weights"])))
        head = None
        if answers:
            head = nn.Linear(age.features, len(IEFP_CUTOFFS) + 1)
            head.load_state_dict(answers)
        transform = stated_transform(folder.read(folder.data)["input"])
        return cls(identity, age, club, head, transform)

    @torch.no_grad()
    def figures(
        self, chips: Tensor, groups: Tensor, chance: torch.Generator
    ) -> tuple[float, float, float]:
        """Group distance, bound and likelihood of chips uint8 [B, 3, S, S], mirrored ones too."""
        told, bounds, likelihoods = [], [], []
        for seen in (chips, chips.flip(3)):
            images = self.transform(seen)
            x_age, y_identity = self.age(images), self.identity(images)
            bounds.append(float(self.club.bound(x_age, y_identity, chance)))
            likelihoods.append(float(self.club.likelihood(x_age, y_identity)))
            if self.head is not None:
                told.append(self.head(x_age).softmax(1))
        distance = float("nan")
        if told:
            distance = float((sum(told).argmax(1) - groups).abs().double().mean())
        return distance, float(np.mean(bounds)), float(np.mean(likelihoods))


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def _check_chips(folder: RunFolder, chips: ChipStore) -> None:
    keys = ("alignment", "template", "size", "margin", "fill")
    own, made = folder.read(folder.data)["folders"][0]["settings"], chips.card.settings
    other = [
        f"{k} {made.get(k)!r} instead of {own.get(k)!r}" for k in keys if made.get(k) != own.get(k)
    ]
    if other:
        raise UsageError(
            f"the chips in {chips.folder} are not cut as those of {folder.path}: {', '.join(other)}"
        )
