"""Chip stores, and the labels that go with them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agelens.data.store import ChipStore
from agelens.errors import DatasetError
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
    plain = [SampleTable(one.frame.drop(columns=list(one.extra))) for one in tables]
    return plain[0] if len(plain) == 1 else SampleTable.concat(plain)


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
            pieces.append((store, SampleTable(table.frame[held])))
    return pieces
