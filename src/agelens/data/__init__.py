"""Data: from downloaded folders, or one's own photos, to chips to train on.

>>> from agelens.data import AgeData, prepare, read_dataset
>>> table = read_dataset("utkface", "downloads/UTKFace")  # doctest: +SKIP
>>> store = prepare(table, "stores/utkface", size=64)  # doctest: +SKIP
>>> data = AgeData(store, split="hash", batch_size=64)  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agelens.lazy import attach

if TYPE_CHECKING:
    from agelens.data.age_data import AgeData as AgeData
    from agelens.data.datasets import DATASETS as DATASETS
    from agelens.data.formats import FORMATS as FORMATS
    from agelens.data.reading import read_dataset as read_dataset
    from agelens.data.splits import PROTOCOLS as PROTOCOLS
    from agelens.data.splits import read_split as read_split
    from agelens.data.splits import write_split as write_split
    from agelens.data.store import ChipStore as ChipStore
    from agelens.data.store import StoreReport as StoreReport
    from agelens.data.store import prepare as prepare
    from agelens.tables import SampleTable as SampleTable
    from agelens.tables import read_table as read_table
    from agelens.tables import write_table as write_table

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "AgeData": "agelens.data.age_data",
        "ChipStore": "agelens.data.store",
        "DATASETS": "agelens.data.datasets",
        "FORMATS": "agelens.data.formats",
        "PROTOCOLS": "agelens.data.splits",
        "SampleTable": "agelens.tables",
        "StoreReport": "agelens.data.store",
        "prepare": "agelens.data.store",
        "read_dataset": "agelens.data.reading",
        "read_split": "agelens.data.splits",
        "read_table": "agelens.tables",
        "write_split": "agelens.data.splits",
        "write_table": "agelens.tables",
    },
)
