"""The data of a run: stores whose chips have identities, or ages, in batches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import pytorch_lightning as pl
from numpy.typing import NDArray

from agelens.data.splits.resolve_split import labels_of, open_store, rows_by_store
from agelens.data.store import ChipStore
from agelens.data.training_input import ChipDataset, preset_named
from agelens.data.training_input.batches import (
    SplitDataset,
    TrainingLoader,
    TrainingOrder,
    check_counts,
)
from agelens.data.training_input.chip_dataset import Numbers3
from agelens.errors import UnknownNameError, UsageError
from agelens.imaging.align import template_named
from agelens.recorded import Recorded
from agelens.tables import SampleTable
from agelens.training.checkpoints import card_hash, frame_hash, label_counts

LoneIdentities: TypeAlias = Literal["refuse", "drop", "keep"]
_NAMED: Final = 5


def with_identities(table: SampleTable) -> SampleTable:
    """`table` with subjects that are people: `dataset/subject` where there are several datasets.

    Two datasets number their people alike, and subject 1 of one is not subject 1 of another.
    """
    frame = table.frame
    if frame["dataset"].nunique() < 2:
        return table
    named = frame["dataset"].astype(str) + "/" + frame["subject"].astype(str)
    return SampleTable(frame.assign(subject=named.where(frame["subject"].notna())), table.extra)


def check_lone(table: SampleTable, lone: NDArray[np.bool_]) -> None:
    """Raise where a person has one picture only.

    Raises:
        UsageError: so it is; the message counts and names them.
    """
    if not lone.any():
        return
    names = [str(name) for name in table.frame["subject"][lone].iloc[:_NAMED]]
    count = int(lone.sum())
    more = f" and {count - _NAMED} more" if count > _NAMED else ""
    raise UsageError(
        f"{count} of {table.frame['subject'].nunique()} identities have one picture only "
        f"({', '.join(names)}{more}), from which nobody can learn what stays the same: "
        "--data.lone_identities drop leaves them out and counts them, keep takes them as they are"
    )


Stage: TypeAlias = Literal["age", "identity"]
STAGES: Final[dict[Stage, str]] = {"age": "age_years", "identity": "subject"}
"""Each stage with the label that it learns from."""

_LONE: Final = ("refuse", "drop", "keep")


@dataclass(frozen=True, slots=True)
class BranchInput:
    """What a branch asks of its data: side in pixels, mean and deviation of pixels of 0 to 1."""

    size: int
    mean: Numbers3
    std: Numbers3


class IdentityData(Recorded, pl.LightningDataModule):
    """All chips of the stores, with their people or their ages.

    The identity stage needs `subject`, the age stage `age_years`, whether real or model-made.
    Rows without are left out and counted in `left_out`.

    Args:
        stores: a folder that `agelens data prepare` made, or several. People of two datasets
            are two people, whatever they are called.
        table: labels to use in place of the stores' own, such as ages that a model made;
            samples that it lacks are left out.
        lone_identities: what becomes of people with one picture: ``refuse`` them with an
            error, ``drop`` and count them, or ``keep`` them.
        aligned_by: the template by which owners aligned pictures that were prepared as they were
            shipped, for the card: MS1MV3's are ``arcface-112``. Without it, the network that is
            trained takes chips of such stores only, since nobody can cut photos alike.
        preset: recipe of augmentation, of `PRESETS`; mean and deviation are the backbone's.
        batch_size: samples a step, over all processes together.
        workers: threads that make batches ahead; 0 makes each when it is needed.
        flagged: also take samples whose label has an issue.
        verify: read every shard of every store and check its hash before training.

    Raises:
        UnknownNameError: no such preset or template, or another word for `lone_identities`.
    """

    def __init__(
        self,
        stores: str | list[str],
        *,
        table: str | None = None,
        lone_identities: LoneIdentities = "refuse",
        aligned_by: str | None = None,
        preset: str = "iefp",
        batch_size: int = 512,
        workers: int = 1,
        flagged: bool = False,
        verify: bool = True,
    ) -> None:
        super().__init__()
        if lone_identities not in _LONE:
            raise UnknownNameError("way with lone identities", lone_identities, _LONE)
        check_counts(workers=workers, batch_size=batch_size)
        self.folders = [stores] if isinstance(stores, str) else list(stores)
        self.labels_file = table
        self.lone_identities = lone_identities
        self.aligned_by = template_named(aligned_by).name if aligned_by else None
        self.preset = preset_named(preset)
        self.batch_size = batch_size
        self.workers = workers
        self.flagged = flagged
        self.verify = verify
        self.seed = 0
        self.left_out: dict[str, int] = {}

    def open(self, stage: Stage, wanted: BranchInput, *, seed: int = 0) -> None:
        """Open stores and labels: `stores`, `chips`, `people`, `transform`, `left_out`.

        Raises:
            UsageError: no sample has the stage's label, or people have one picture only.
            DatasetError: a store is damaged, or has no chips.
            TableError: the labels are of other samples, or nothing is left to learn from.
        """
        self.stage, self.seed, self.left_out = stage, seed, {}
        preset = replace(self.preset, mean=wanted.mean, std=wanted.std)
        self.transform = preset.for_evaluation(wanted.size)
        self._augmented = preset.for_training(wanted.size)
        self.stores = [open_store(folder, verify=self.verify) for folder in self.folders]
        table = labels_of(self.stores, self.labels_file)
        if stage == "age":
            self.people: tuple[str, ...] = ()
            self.chips = self._chips(table)
            self._leave_out(self.chips.left_out)
            return
        table = with_identities(table)
        known = table.frame["subject"].notna().to_numpy()
        if not known.any():
            raise UsageError(
                f"none of the {len(table)} samples says who it is: recognition is learned from "
                "the column subject. Take a dataset that has it (agelens data list), or a table "
                "with it"
            )
        table = self._kept(table, known, "no subject")
        self.chips = self._chips(table)
        self._leave_out(self.chips.left_out)
        self._see_to_lone_people()

    @property
    def identities(self) -> int:
        """How many people there are."""
        return len(self.people)

    def train_dataloader(self) -> TrainingLoader:
        """Batches in an order of `seed` and epoch alone."""
        trainer = self.trainer
        place = (0, 1) if trainer is None else (trainer.global_rank, trainer.world_size)
        order = TrainingOrder(
            len(self.chips),
            self.batch_size,
            seed=self.seed,
            process=place[0],
            processes=place[1],
        )
        return TrainingLoader(self.chips, order, workers=self.workers)

    def _see_to_lone_people(self) -> None:
        """Of those whose chips can be learned from: a person's others may have no chip."""
        taken = self.chips.table
        lone = ~taken.frame["subject"].duplicated(keep=False).to_numpy()
        if self.lone_identities == "refuse":
            check_lone(taken, lone)
        if self.lone_identities == "drop" and lone.any():
            self.chips = self._chips(self._kept(taken, ~lone, "only picture of its identity"))

    def _chips(self, table: SampleTable) -> SplitDataset:
        label = STAGES[self.stage]
        pieces = rows_by_store(table, self.stores)
        datasets = [self._dataset(store, piece, label) for store, piece in pieces]
        words = {}
        if self.stage == "identity":
            self.people = _people(datasets)
            words[label] = self.people
        return SplitDataset(datasets, [piece for _, piece in pieces], words)

    def _dataset(self, store: ChipStore, table: SampleTable, label: str) -> ChipDataset:
        return ChipDataset(
            store,
            table=table,
            labels=(label,),
            transform=self._augmented,
            seed=self.seed,
            flagged=self.flagged,
        )

    def _kept(self, table: SampleTable, kept: NDArray[np.bool_], why: str) -> SampleTable:
        self._leave_out({why: int((~kept).sum())})
        return table if kept.all() else SampleTable(table.frame[kept], table.extra)

    def _leave_out(self, counts: dict[str, int]) -> None:
        for why, count in counts.items():
            if count:
                self.left_out[why] = self.left_out.get(why, 0) + count


def _people(datasets: list[ChipDataset]) -> tuple[str, ...]:
    """Everyone with a chip to learn from, sorted: in a vocabulary there may be others."""
    seen: set[str] = set()
    for data in datasets:
        codes = np.unique(data.labels["subject"].numpy())
        seen.update(data.classes["subject"][code] for code in codes.tolist())
    return tuple(sorted(seen))


def data_hashes(data: IdentityData) -> dict[str, Any]:
    """Plain types: of each store its card's hash, of the samples and the stage's labels theirs."""
    frame = data.chips.table.frame
    return {
        "stage": data.stage,
        "stores": {str(place): card_hash(store) for place, store in enumerate(data.stores)},
        "samples": len(data.chips),
        "samples_sha256": frame_hash(frame[["sample_id"]]),
        "labels_sha256": frame_hash(frame[[STAGES[data.stage]]]),
    }


def data_facts(data: IdentityData) -> dict[str, Any]:
    """The hashes with what people want to know: folders, counts, what was left out."""
    table = data.chips.table
    transform = data.transform
    stores = [
        {"folder": str(store.folder), "settings": _settings(store, data.aligned_by)}
        for store in data.stores
    ]
    return {
        **data_hashes(data),
        "folders": stores,
        "left_out": data.left_out,
        "datasets": label_counts(table, "dataset"),
        "age_kinds": label_counts(table, "age_kind"),
        "identities": data.identities,
        "pictures_of_an_identity": _pictures(data),
        "input": {
            "size": transform.size,
            "resized": transform.resized,
            "mean": transform.mean,
            "std": transform.std,
        },
    }


def _settings(store: ChipStore, aligned_by: str | None) -> dict[str, Any]:
    """How the store's chips were cut; by their owner's template, where the run names it."""
    settings = dict(store.card.settings)
    if aligned_by and settings["alignment"] == "as-shipped":
        settings |= {"alignment": "similarity", "template": aligned_by}
    return settings


def _pictures(data: IdentityData) -> dict[str, float]:
    if not data.people:
        return {}
    of_each = np.bincount(data.chips.labels("subject").numpy(), minlength=data.identities)
    return {
        "least": float(of_each.min()),
        "mean": float(of_each.mean()),
        "greatest": float(of_each.max()),
    }
