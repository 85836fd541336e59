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
    from agelens.data.auditing import AuditReport as AuditReport
    from agelens.data.auditing import audit as audit
    from agelens.data.auditing import read_duplicates as read_duplicates
    from agelens.data.calling import call_with_options as call_with_options
    from agelens.data.datasets import DATASETS as DATASETS
    from agelens.data.drawn_sample import draw_sample as draw_sample
    from agelens.data.exploration import explore as explore
    from agelens.data.formats import FORMATS as FORMATS
    from agelens.data.formats import format_named as format_named
    from agelens.data.predictions import check_other_chips as check_other_chips
    from agelens.data.predictions import predict_photos as predict_photos
    from agelens.data.predictions import predict_store as predict_store
    from agelens.data.predictions import with_estimated_ages as with_estimated_ages
    from agelens.data.reading import read_dataset as read_dataset
    from agelens.data.splits import PROTOCOLS as PROTOCOLS
    from agelens.data.splits import SubjectKFold as SubjectKFold
    from agelens.data.splits import describe_leaks as describe_leaks
    from agelens.data.splits import make_protocol as make_protocol
    from agelens.data.splits import read_split as read_split
    from agelens.data.splits import write_folders as write_folders
    from agelens.data.splits import write_split as write_split
    from agelens.data.splits import write_splits as write_splits
    from agelens.data.store import ChipStore as ChipStore
    from agelens.data.store import StoreReport as StoreReport
    from agelens.data.store import prepare as prepare
    from agelens.tables import SampleTable as SampleTable
    from agelens.tables import read_table as read_table
    from agelens.tables import write_table as write_table

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "DATASETS": "agelens.data.datasets",
        "FORMATS": "agelens.data.formats",
        "PROTOCOLS": "agelens.data.splits",
        "AgeData": "agelens.data.age_data",
        "AuditReport": "agelens.data.auditing",
        "ChipStore": "agelens.data.store",
        "SampleTable": "agelens.tables",
        "StoreReport": "agelens.data.store",
        "SubjectKFold": "agelens.data.splits",
        "audit": "agelens.data.auditing",
        "call_with_options": "agelens.data.calling",
        "check_other_chips": "agelens.data.predictions",
        "describe_leaks": "agelens.data.splits",
        "draw_sample": "agelens.data.drawn_sample",
        "explore": "agelens.data.exploration",
        "format_named": "agelens.data.formats",
        "make_protocol": "agelens.data.splits",
        "predict_photos": "agelens.data.predictions",
        "predict_store": "agelens.data.predictions",
        "prepare": "agelens.data.store",
        "read_dataset": "agelens.data.reading",
        "read_duplicates": "agelens.data.auditing",
        "read_split": "agelens.data.splits",
        "read_table": "agelens.tables",
        "with_estimated_ages": "agelens.data.predictions",
        "write_folders": "agelens.data.splits",
        "write_split": "agelens.data.splits",
        "write_splits": "agelens.data.splits",
        "write_table": "agelens.tables",
    },
)
