"""Chip to estimate: cards, networks, the estimator, tracks, results; and models from elsewhere.

>>> from agelens.inference import import_model
>>> import_model("agedb.pt", "models/agedb", ages="agedb.csv")  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agelens.lazy import attach

if TYPE_CHECKING:
    from agelens.importing.import_file import import_model as import_model

__getattr__, __dir__, __all__ = attach(__name__, {"import_model": "agelens.importing.import_file"})
