"""The chip store: every labelled photo read, detected and aligned once, ready to train on.

A store is a folder: `chips-00000.arrow` and on, which the package `datasets` opens as they
are (one row a sample of the table, chip encoded, labels beside it), and `store.json`, its
card. Every sample has a row with a status; none is dropped.
"""

from agelens.data.store.card import StoreCard
from agelens.data.store.chip_store import ChipStore
from agelens.data.store.cutting import choose_face
from agelens.data.store.prepare import StoreReport, prepare

__all__ = ["ChipStore", "StoreCard", "StoreReport", "choose_face", "prepare"]
