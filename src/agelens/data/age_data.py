"""The data of a run: stores, labels, a split, and batches of each part."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from typing import Literal

import pytorch_lightning as pl
import torch
from torch import nn

from agelens.ages import AgeScale
from agelens.data.splits import describe_leaks
from agelens.data.splits.resolve_split import (
    TEST,
    TRAIN,
    VALID,
    SplitOptions,
    labels_of,
    open_store,
    resolve_split,
    rows_by_store,
)
from agelens.data.store import ChipStore
from agelens.data.training_input import AGE_WEIGHTS, ChipDataset, preset_named, weights_within
from agelens.data.training_input.batches import (
    EvaluationLoader,
    EvaluationOrder,
    SplitDataset,
    TrainingLoader,
    TrainingOrder,
    check_counts,
)
from agelens.data.training_input.chip_dataset import NetworkInput, Numbers3, Words, input_transform
from agelens.errors import UnknownNameError, UsageError
from agelens.recorded import Recorded
from agelens.records import Floats
from agelens.tables import SampleTable


def auxiliary_vocabulary(wanted: Words, datasets: Sequence[ChipDataset]) -> Words:
    """`wanted` with an empty vocabulary filled in by the words of the train part, sorted."""
    return {
        column: words or tuple(sorted({one for data in datasets for one in data.classes[column]}))
        for column, words in wanted.items()
    }


def check_absent_words(part: SplitDataset, words: Words) -> None:
    """Check that `part` has samples of every word.

    Raises:
        UsageError: a column has fewer than two words, or one that no sample has.
    """
    for column, vocabulary in words.items():
        counts = torch.bincount(part.labels(column) + 1, minlength=len(vocabulary) + 1)[1:]
        absent = [word for word, count in zip(vocabulary, counts, strict=True) if not count]
        if not absent and len(vocabulary) > 1:
            continue
        known = ", ".join(word for word in vocabulary if word not in absent) or "none"
        raise UsageError(
            f"an auxiliary head on {column!r} needs samples of each of its classes to learn from: "
            f"the train part has none of {', '.join(absent) or 'a second class'} (it has {known}). "
            f"Leave {column!r} out of auxiliary.columns, or train on data that have it"
        )


OutsideAges = Literal["refuse", "drop"]


def inside_ages(
    table: SampleTable, scale: AgeScale, part: str, outside: OutsideAges
) -> tuple[SampleTable, list[str]]:
    """The rows whose age lies in a cell of `scale`, and a note where others were dropped.

    Raises:
        UsageError: some do not, and `outside` is ``refuse``; or none does.
    """
    ages = table.frame["age_years"]
    low, high = scale.edges_years[[0, -1]]
    beyond = ((ages < low) | (ages > high)).to_numpy()  # unknown ages are left out elsewhere
    if not beyond.any():
        return table, []
    what = (
        f"{beyond.sum()} of {len(table)} samples of the {part} part have ages outside the "
        f"method's scale, {scale}: theirs reach from {ages[beyond].min():g} to "
        f"{ages[beyond].max():g}"
    )
    if outside == "refuse":
        raise UsageError(
            f"{what}. Take a wider scale with --method.ages, such as "
            f"0-{max(100, int(ages.max()) + 1)}, or leave them out with --data.outside_ages drop"
        )
    if beyond.all():
        raise UsageError(f"{what}; nothing is left to learn from")
    return table.select(~beyond), [f"{what}; they were left out"]


Sampling = Literal["uniform", "class-balanced", "label-distribution-smoothed"]


class AgeData(Recorded, pl.LightningDataModule):
    """Chips and ages for training, validation and tests.

    Args:
        stores: a chip store, or its folder that `agelens data prepare` made; or several.
        table: labels to use in place of the stores' own; samples that it lacks are left out.
        split: a protocol's name such as ``hash``, ``column`` for the table's split column,
            or a folder that `agelens data split` wrote.
        split_seed: of the protocol.
        fold: which of the protocol's splits, by name or place, where it makes several.
        valid_share: of the train part, where the split has no valid part.
        tests: further stores to test on whole, by name: other datasets.
        preset: recipe of augmentation, of `PRESETS`.
        augmentations: steps in place of the preset's.
        mean: of pixels, in place of the backbone's.
        std: of pixels, in place of the backbone's.
        batch_size: samples a step, over all processes together.
        eval_batch_size: samples a process takes at a time without gradients.
        workers: threads that make batches ahead; 0 makes each when it is needed.
        sampling: how often each age is drawn; of `AGE_WEIGHTS`.
        sampling_within: a column of words, such as ``ethnicity``, each of which is to be drawn
            with one mix of ages (`agelens.data.training_input.weights_within`).
        sampling_datasets: how many times as often samples of a dataset are drawn as others of
            their age, by the dataset's name.
        draws: samples an epoch; as many as the train part has by default.
        outside_ages: what to do with train and valid samples whose age the method's scale
            does not hold: ``refuse`` or ``drop``.
        flagged: also take samples whose label has an issue.
        verify: read every shard of every store and check its hash before training.
    """

    def __init__(
        self,
        stores: str | list[str] | PathLike[str] | list[str | PathLike[str]],
        *,
        table: str | None = None,
        split: str = "hash",
        split_seed: int = 0,
        fold: int | str | None = None,
        valid_share: float = 0.1,
        tests: dict[str, str] | None = None,
        preset: str = "iefp",
        augmentations: list[nn.Module] | None = None,
        mean: Numbers3 | None = None,
        std: Numbers3 | None = None,
        batch_size: int = 64,
        eval_batch_size: int = 128,
        workers: int = 1,
        sampling: Sampling = "uniform",
        sampling_within: str | None = None,
        sampling_datasets: dict[str, float] | None = None,
        draws: int | None = None,
        outside_ages: OutsideAges = "refuse",
        flagged: bool = False,
        verify: bool = True,
    ) -> None:
        super().__init__()
        check_counts(workers=workers, batch_size=batch_size, eval_batch_size=eval_batch_size)
        several = stores if isinstance(stores, list) else [stores]
        self.folders = [os.fspath(store) for store in several]
        self.labels_file = table
        self.split_options = SplitOptions(split, split_seed, fold, valid_share)
        self.test_folders = dict(tests or {})
        self.preset = preset_named(preset)
        self.augmentations = augmentations
        self.mean, self.std = mean, std
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.workers = workers
        self.sampling = sampling
        self.sampling_within = sampling_within
        self.sampling_datasets = dict(sampling_datasets or {})
        self.draws = draws
        self.outside_ages = outside_ages
        self.flagged = flagged
        self.verify = verify
        self.seed = 0
        self.parts: dict[str, SplitDataset] = {}
        self._opened: tuple[NetworkInput, int] | None = None
        self.notes: list[str] = []
        if sampling not in AGE_WEIGHTS:
            raise UnknownNameError("sampling scheme", sampling, AGE_WEIGHTS)
        if {TRAIN, VALID, TEST} & set(self.test_folders):
            raise UsageError("a further test cannot be called train, valid or test")

    def __repr__(self) -> str:
        parts = {name: len(part) for name, part in self.parts.items()}
        what = ", ".join(f"{name} {count:,}" for name, count in parts.items()) or "not opened yet"
        split, batch = self.split_options.split, self.batch_size
        return f"AgeData({', '.join(self.folders)}: split {split!r}, batches of {batch}; {what})"

    __str__ = __repr__  # Lightning's asks for loaders, which there are none of before `open`

    def open(self, network: NetworkInput, *, seed: int = 0) -> None:
        """Open stores and labels, and make the parts: `train`, `valid`, `test`, and `tests`.

        Raises:
            UsageError: an absent part or fold, ages outside the scale, words that no sample
                has.
            DatasetError: a store is damaged, or has no chips.
            TableError: the labels are of other samples.
        """
        wanted = network, seed
        if self._opened == wanted:  # trials share their data
            return
        self.seed = seed
        network = replace(network, mean=self.mean or network.mean, std=self.std or network.std)
        steps = self.preset.augment() if self.augmentations is None else self.augmentations
        self.transform = input_transform(network, self.preset, steps=None)
        self._augmented = input_transform(network, self.preset, steps=steps)
        stores = [open_store(folder, verify=self.verify) for folder in self.folders]
        self.table = labels_of(stores, self.labels_file)
        self.split = resolve_split(self.table, self.split_options)
        self.leaks = [str(leak) for leak in describe_leaks(self.split, self.table).leaks]
        codes = self.split.codes_for(self.table)
        self.parts = {}
        self.words = dict(network.words)
        for part in dict.fromkeys((TRAIN, *self.split.part_names)):
            rows = codes == self.split.part_names.index(part)
            if rows.any():
                self._add(part, stores, self.table.select(rows), network)
        for name, folder in self.test_folders.items():
            store = open_store(folder, verify=self.verify)
            self._add(name, [store], store.table, network)
        self._check_parts()
        self.stores = stores
        self._opened = wanted

    def _check_parts(self) -> None:
        for part in (TRAIN, VALID):
            if part not in self.parts:
                raise UsageError(
                    f"the {part} part of split {self.split.name!r} is empty: {len(self.table)} "
                    "samples are too few for it. Take more, or split them yourself "
                    "(agelens data split)"
                )

    @property
    def test_names(self) -> list[str]:
        """Parts that are tested once, at the end."""
        return [part for part in self.parts if part not in (TRAIN, VALID)]

    def train_dataloader(self) -> TrainingLoader:
        """Batches of the train part, in an order of `seed` and epoch alone."""
        part = self.parts[TRAIN]
        order = TrainingOrder(
            len(part),
            self.batch_size,
            seed=self.seed,
            weights=self._weights(part),
            draws=self.draws,
            **self._place(),
        )
        return TrainingLoader(part, order, workers=self.workers)

    def _weights(self, part: SplitDataset) -> Floats | None:
        """How often to draw each chip; None where each comes once an epoch."""
        named = self.sampling_datasets
        if self.sampling == "uniform" and self.sampling_within is None and not named:
            return None
        ages = part.age_years.numpy()
        weights = AGE_WEIGHTS[self.sampling](ages)
        if self.sampling_within is not None:
            weights = weights_within(ages, part.groups(self.sampling_within), weights)
        if not named:
            return weights
        datasets = part.table.frame["dataset"].astype(str)
        if absent := sorted(set(named) - set(datasets)):
            raise UsageError(
                f"sampling_datasets: the train part has nothing of {', '.join(absent)}; it has "
                f"{', '.join(sorted(set(datasets)))}"
            )
        return weights * datasets.map(named).fillna(1.0).to_numpy(dtype="float64")

    def val_dataloader(self) -> EvaluationLoader:
        """The valid part, in order."""
        return self.evaluation_loader(VALID)

    def test_dataloader(self) -> list[EvaluationLoader]:
        """The valid part again, then each of `test_names`."""
        return [self.evaluation_loader(part) for part in (VALID, *self.test_names)]

    def evaluation_loader(self, part: str) -> EvaluationLoader:
        """The chips of a part in order, without chance."""
        chips = self.parts[part]
        order = EvaluationOrder(len(chips), self.eval_batch_size, **self._place())
        return EvaluationLoader(chips, order, workers=self.workers)

    def _place(self) -> dict[str, int]:
        trainer = self.trainer
        if trainer is None:
            return {"process": 0, "processes": 1}
        return {"process": trainer.global_rank, "processes": trainer.world_size}

    def _add(
        self, part: str, stores: Sequence[ChipStore], table: SampleTable, network: NetworkInput
    ) -> None:
        if part in (TRAIN, VALID):
            table, note = inside_ages(table, network.scale, part, self.outside_ages)
            self.notes += note
        pieces = rows_by_store(table, stores)
        transform = self._augmented if part == TRAIN else self.transform
        datasets = [
            ChipDataset(
                store,
                table=piece,
                labels=("age_years", "age_std", *self.words),
                transform=transform,
                seed=self.seed,
                flagged=self.flagged,
            )
            for store, piece in pieces
        ]
        if part == TRAIN:
            self.words = auxiliary_vocabulary(self.words, datasets)
        self.parts[part] = SplitDataset(datasets, [piece for _, piece in pieces], self.words)
        if part == TRAIN:
            check_absent_words(self.parts[part], self.words)
