"""Which samples train, choose and test: the one split of a table that a run is on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from agelens.data.splits import (
    PROTOCOLS,
    CustomProtocol,
    HashSplit,
    Split,
    protocol_class,
    read_split,
    split_by_column,
)
from agelens.data.splits.split import RandomSplit
from agelens.data.splits.writing import REPORT_NAME
from agelens.data.store import ChipStore
from agelens.errors import DatasetError, UnknownNameError, UsageError
from agelens.tables import SampleTable, read_table


def open_store(folder: str, *, verify: bool) -> ChipStore:
    """The store in `folder`; `verify` reads all of it and checks its hashes.

    Raises:
        DatasetError: it is none, damaged, or has no chip.
    """
    store = ChipStore.open(folder, verify=verify)
    if not store.has_chip.any():
        raise DatasetError(
            f"{folder}: none of its {len(store)} rows has a chip, so there is nothing to learn "
            "from; see the statuses in its store.json"
        )
    return store


def labels_of(stores: Sequence[ChipStore], table: str | None) -> SampleTable:
    """The labels in the file `table`, or where there is none those of the stores, as one table.

    Raises:
        TableError: the file is no sample table, or two stores share a sample.
    """
    tables = [read_table(table, extra=None)] if table else [store.table for store in stores]
    return tables[0] if len(tables) == 1 else SampleTable.concat(tables)


def rows_by_store(
    table: SampleTable, stores: Sequence[ChipStore]
) -> list[tuple[ChipStore, SampleTable]]:
    """Each store with the rows of `table` that it holds; the last takes what none has."""
    if len(stores) == 1:
        return [(stores[0], table)]
    left = np.ones(len(table), dtype=bool)
    pieces = []
    for store in stores:
        held = left & table.frame["sample_id"].isin(store.table.frame["sample_id"]).to_numpy()
        left &= ~held
        if store is stores[-1]:
            held |= left  # the dataset will name them
        if held.any():
            pieces.append((store, table.select(held)))
    return pieces


TRAIN: Final = "train"
VALID: Final = "valid"
TEST: Final = "test"
COLUMN: Final = "column"


@dataclass(frozen=True, slots=True)
class SplitOptions:
    """Which split a run is on.

    Args:
        split: a protocol's name; ``column`` for the table's own split column; or a folder
            that `agelens data split` wrote.
        seed: of the protocol, and of the part that is taken off for validation.
        fold: which split, by name or by place, where there are several.
        valid_share: of the train part, by subject where known, where the split has no valid
            part of its own. Nobody may choose the best epoch on the test part.

    Raises:
        UsageError: `valid_share` is out of range.
    """

    split: str = "hash"
    seed: int = 0
    fold: int | str | None = None
    valid_share: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.valid_share < 1:
            raise UsageError(f"the share to validate on is between 0 and 1, got {self.valid_share}")


def resolve_split(table: SampleTable, options: SplitOptions) -> Split:
    """The split of `table` that a run is on, with a train and a valid part.

    Raises:
        UsageError: a fold that there is not, or none where there are several; a protocol
            that needs more than a table; no train part.
        UnknownNameError: `split` is neither protocol nor folder.
        TableError: the folder is no split, or one of another table.
    """
    split = options.split
    splits = _splits(table, split, options.seed, options.fold)
    chosen = _one_of(splits, split, options.fold)
    counts = chosen.counts
    if not counts.get(TRAIN):
        raise UsageError(
            f"split {chosen.name!r} of {split!r} has no train part; its parts are "
            f"{', '.join(f'{part} ({count})' for part, count in counts.items()) or 'none'}. "
            "Name another --data.split"
        )
    return chosen if counts.get(VALID) else _with_valid_part(chosen, table, options)


def _splits(table: SampleTable, split: str, seed: int, fold: int | str | None) -> Sequence[Split]:
    if split == COLUMN:
        return [split_by_column(table, COLUMN)]
    folder = Path(split)
    if folder.is_dir():
        return _read(folder, fold)
    try:
        protocol = protocol_class(split)
    except UnknownNameError as error:
        raise UnknownNameError(
            "split",
            split,
            [*PROTOCOLS, COLUMN],
            " A folder that `agelens data split` wrote works too.",
        ) from error
    if protocol is CustomProtocol:
        raise UsageError(
            "a protocol of one's own is split first, with `agelens data split --protocol FILE`; "
            "give the folder as the split"
        )
    return protocol()(table, seed=seed)


def _read(folder: Path, fold: int | str | None) -> Sequence[Split]:
    if (folder / REPORT_NAME).is_file():
        return [read_split(folder)]
    below = sorted(path.parent for path in folder.glob(f"*/{REPORT_NAME}"))
    names = [path.name for path in below]
    if fold in names:  # the others may be many
        return [read_split(folder / str(fold))]
    return [read_split(path) for path in below]


def _one_of(splits: Sequence[Split], what: str, fold: int | str | None) -> Split:
    names = [split.name for split in splits]
    if not splits:
        raise UsageError(f"{what} holds no split that `agelens data split` wrote")
    if fold is None and len(splits) == 1:
        return splits[0]
    if isinstance(fold, int) and 0 <= fold < len(splits):
        return splits[fold]
    if fold in names:
        return splits[names.index(str(fold))]
    if len(splits) == 1:
        raise UsageError(f"{what!r} makes one split only, not folds: leave out --data.fold {fold}")
    asked = "name one" if fold is None else f"fold {fold!r} is none of them: give a name"
    shown = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
    raise UsageError(
        f"{what!r} makes {len(splits)} splits ({shown}); {asked} or a place from 0 to "
        f"{len(splits) - 1} with --data.fold"
    )


def _with_valid_part(split: Split, table: SampleTable, options: SplitOptions) -> Split:
    seed, share = options.seed, options.valid_share
    codes = split.codes_for(table).copy()
    names = (*split.part_names, *(() if VALID in split.part_names else (VALID,)))
    train = codes == names.index(TRAIN)
    part = table.select(train)
    shares = {TRAIN: 1 - share, VALID: share}
    drawn = HashSplit(shares)(part, seed=seed)[0]
    if not (drawn.codes == 1).any():  # the protocol put all of these hashes into the test part
        drawn = RandomSplit(shares, by="subject")(part, seed=seed)[0]
    taken = codes[train]
    taken[drawn.codes == 1] = names.index(VALID)
    codes[train] = taken
    note = f"no valid part: {(drawn.codes == 1).sum()} samples taken from train"
    ids = table.frame["sample_id"]
    notes = (*split.notes, note)
    return Split(split.name, ids, names, codes, split.protocol, split.seed, notes)
