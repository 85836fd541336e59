"""Ways to learn more than an age; `AUXILIARY` names them."""

from __future__ import annotations

from typing import Final

from agelens.models.auxiliary.base import UNLABELLED, AuxiliaryHeads, AuxiliaryTask
from agelens.models.auxiliary.feeds_age import FeedsAgeHeads
from agelens.models.auxiliary.parallel import ParallelHeads

__all__ = [
    "AUXILIARY",
    "UNLABELLED",
    "AuxiliaryHeads",
    "AuxiliaryTask",
    "FeedsAgeHeads",
    "ParallelHeads",
]

AUXILIARY: Final[dict[str, type[AuxiliaryHeads]]] = {
    "parallel": ParallelHeads,
    "feeds-age": FeedsAgeHeads,
}
