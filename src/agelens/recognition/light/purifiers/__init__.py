"""Purifiers, one file a paper; `PURIFIERS` names them all.

`none` is the baseline that is trained without any; the untouched embedding is a baseline that needs
no entry.
"""

from __future__ import annotations

from typing import Final

from agelens.errors import UnknownNameError
from agelens.recognition.light.purifiers.base import AgeAdversary, SeenBatch
from agelens.recognition.light.purifiers.dal import DAL
from agelens.recognition.light.purifiers.gradient_reversal import ReversedGradient
from agelens.recognition.light.purifiers.iefp import IEFP
from agelens.recognition.light.purifiers.margin_only import MarginOnly

__all__ = ["PURIFIERS", "AgeAdversary", "SeenBatch", "purifier_class"]

PURIFIERS: Final[dict[str, type[AgeAdversary]]] = {
    "none": MarginOnly,
    "iefp": IEFP,
    "dal": DAL,
    "gradient-reversal": ReversedGradient,
}


def purifier_class(name: str) -> type[AgeAdversary]:
    """The purifier called `name`.

    Raises:
        UnknownNameError: none has that name; the message lists those that exist.
    """
    if name not in PURIFIERS:
        raise UnknownNameError("purifier", name, PURIFIERS)
    return PURIFIERS[name]
