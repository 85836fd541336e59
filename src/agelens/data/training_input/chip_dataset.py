"""A chip store as a torch dataset that decodes and augments a batch at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from agelens.ages import AgeScale
from agelens.data.store.chip_store import ChipStore
from agelens.data.training_input.geometry import ChipTransform
from agelens.data.training_input.presets import Preset
from agelens.errors import TableError, UnknownNameError
from agelens.tables import YEARS, SampleTable

Numbers3: TypeAlias = tuple[float, float, float]
Words: TypeAlias = dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class NetworkInput:
    """What a network asks of its data.

    `size` in pixels, `mean` and `std` of pixels from 0 to 1 as its starting weights expect
    them; the age `scale` of the method; `words`: columns that auxiliary heads learn, each
    with its vocabulary, or an empty one where the train part is to tell.
    """

    size: int
    mean: Numbers3
    std: Numbers3
    scale: AgeScale
    words: Words


def input_transform(
    network: NetworkInput, preset: Preset, *, steps: Sequence[nn.Module] | None
) -> ChipTransform:
    """Chips to the input of `network`, sized and cropped as `preset` has it.

    Args:
        network: asks for size, mean and deviation, which are not the preset's.
        preset: how much larger chips are before they are cropped.
        steps: of augmentation, with a random crop; None for evaluation.

    Raises:
        UsageError: a size that no input has.
    """
    training = steps is not None
    form = preset.for_training if training else preset.for_evaluation
    enlarge = preset.enlarge_train if training else preset.enlarge_eval
    return ChipTransform(
        form(network.size).size,
        steps=steps or (),
        enlarge=enlarge,
        random_crop=training and enlarge > 1,
        mean=network.mean,
        std=network.std,
    )


CODED: Final = ("age_kind", "gender", "ethnicity", "subject", "dataset")
UNKNOWN: Final = -1


class ChipBatch(NamedTuple):
    """Chips with their labels.

    `images` [B, 3, S, S]: uint8 as stored, or float32 after a transform. `labels` by column,
    [B] each: years as float32, NaN where unknown; words as int64 places in
    `ChipDataset.classes`, -1 where unknown. `rows` int64 [B] are rows of the store. A single
    sample lacks the first axis.
    """

    images: Tensor
    labels: dict[str, Tensor]
    rows: Tensor


class ChipDataset(Dataset[ChipBatch]):
    """The rows of a store that a network can learn from.

    Left out, and counted in `left_out`: rows without a chip; rows whose label has an
    `issue`, unless `flagged`; and, where `age_years` is among the labels, rows without one.

    A batch's chances hang on `seed`, the epoch, and the batch's rows alone, so they are the
    same whatever the number of workers. Call `set_epoch` before each epoch.

    Args:
        store: where the chips are.
        table: rows of the store to take, by `sample_id`, in this order, with the labels of
            this table; all rows with the store's own labels by default.
        labels: columns: years (`age_years`, `age_std`, `age_low`, `age_high`) or words
            (`age_kind`, `gender`, `ethnicity`, `subject`, `dataset`).
        transform: applied to whole batches; None leaves uint8 chips.
        seed: of the transform's chances.
        flagged: also take rows whose label has an issue.

    Raises:
        UnknownNameError: another column.
        TableError: a sample of `table` is not in the store, or no row is left.
    """

    def __init__(
        self,
        store: ChipStore,
        *,
        table: SampleTable | None = None,
        labels: Sequence[str] = ("age_years",),
        transform: ChipTransform | None = None,
        seed: int = 0,
        flagged: bool = False,
    ) -> None:
        self.store = store
        self.transform = transform
        self.seed = seed
        frame = (store.table if table is None else table).frame
        rows = np.arange(len(store)) if table is None else _rows_of(store, frame)
        left_out = _left_out(store, frame, rows, labels, flagged)
        self.left_out = dict(Counter(reason for reason in left_out if reason))
        taken = np.array([not reason for reason in left_out], dtype=bool)
        if not taken.any():
            raise TableError(f"no row of {store.folder} to learn from: {self.left_out}")
        self.rows: NDArray[np.int64] = rows[taken]
        self.labels: dict[str, Tensor] = {}
        self.classes: dict[str, tuple[str, ...]] = {}
        for name in labels:
            self._add_label(name, frame.loc[taken, name])
        # In shared memory, so that workers that outlive an epoch see the next one's number.
        self._epoch = torch.zeros((), dtype=torch.int64)
        self._epoch.share_memory_()  # type: ignore[no-untyped-call]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> ChipBatch:
        """One sample: a batch of one without its first axis."""
        batch = self.__getitems__([index])
        labels = {name: values[0] for name, values in batch.labels.items()}
        return ChipBatch(batch.images[0], labels, batch.rows[0])

    def __getitems__(self, indices: Sequence[int]) -> ChipBatch:
        """The samples at `indices` as one batch; `DataLoader` calls this by itself."""
        chosen = torch.as_tensor(indices, dtype=torch.int64)
        rows = torch.from_numpy(self.rows)[chosen]
        images = self._chips(rows.tolist())
        if self.transform is not None:
            images = self.transform(images, self._generator(rows))
        labels = {name: values[chosen] for name, values in self.labels.items()}
        return ChipBatch(images, labels, rows)

    def set_epoch(self, epoch: int) -> None:
        """Give the transform new chances; an epoch's number always gives the same ones."""
        self._epoch.fill_(epoch)

    def _chips(self, rows: Sequence[int]) -> Tensor:
        size = self.store.size
        chips = np.empty((len(rows), size, size, 3), dtype=np.uint8)
        for row, chip in zip(rows, chips, strict=True):
            self.store.decode_into(row, chip)
        return torch.from_numpy(chips).permute(0, 3, 1, 2)

    def _generator(self, rows: Tensor) -> torch.Generator:
        entropy = [self.seed, int(self._epoch), *rows.tolist()]
        seed = np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0]
        return torch.Generator().manual_seed(int(seed >> np.uint64(1)))

    def _add_label(self, name: str, values: pd.Series) -> None:
        if name in YEARS:
            self.labels[name] = torch.from_numpy(values.to_numpy(dtype=np.float32))
            return
        self.classes[name] = tuple(values.cat.categories)
        self.labels[name] = torch.from_numpy(values.cat.codes.to_numpy(dtype=np.int64))


def _rows_of(store: ChipStore, frame: pd.DataFrame) -> NDArray[np.int64]:
    """Rows of the store that hold the samples of `frame`."""
    held = pd.Index(store.table.frame["sample_id"])
    rows = np.asarray(held.get_indexer(pd.Index(frame["sample_id"])), dtype=np.int64)
    if (rows < 0).any():
        first = frame["sample_id"].iloc[int(np.argmax(rows < 0))]
        raise TableError(
            f"{(rows < 0).sum()} samples of the table are not in {store.folder}, first {first!r}; "
            "prepare a store from a table that has them"
        )
    return rows


def _left_out(
    store: ChipStore,
    frame: pd.DataFrame,
    rows: NDArray[np.int64],
    labels: Sequence[str],
    flagged: bool,
) -> NDArray[np.object_]:
    """Why each row is left out, or "" where it is taken."""
    unknown = [name for name in labels if name not in (*YEARS, *CODED)]
    if unknown:
        raise UnknownNameError("label", unknown[0], (*YEARS, *CODED))
    reasons = np.full(len(rows), "", dtype=object)
    if "age_years" in labels:
        reasons[frame["age_years"].isna().to_numpy()] = "no age_years"
    if not flagged:
        reasons[frame["issue"].notna().to_numpy()] = "label has an issue"
    reasons[~store.has_chip[rows]] = "no chip"
    return reasons
