"""Interchange formats, read and written; `FORMATS` names them all.

Every reader gives a `SampleTable` and every writer takes one and says what it wrote. Words
inside, the format's codes outside.
"""

from __future__ import annotations

from typing import Final

from agelens.data.formats.base import Format, Written
from agelens.data.formats.coral import read_coral, write_coral
from agelens.data.formats.iefp import read_iefp, write_iefp
from agelens.data.formats.ldl import ROTATED_BOX, read_ldl, write_ldl
from agelens.data.formats.mapped import read_mapped, write_mapped
from agelens.data.formats.rapl import read_rapl, write_rapl
from agelens.data.formats.unified import read_unified, write_unified
from agelens.errors import UnknownNameError

__all__ = [
    "FORMATS",
    "ROTATED_BOX",
    "Format",
    "Written",
    "format_named",
    "read_coral",
    "read_iefp",
    "read_ldl",
    "read_mapped",
    "read_rapl",
    "read_unified",
    "write_coral",
    "write_iefp",
    "write_ldl",
    "write_mapped",
    "write_rapl",
    "write_unified",
]

FORMATS: Final[dict[str, Format]] = {
    "rapl": Format("RAPL list: filename, age, gender, fold", read_rapl, write_rapl),
    "ldl": Format(
        "LDL system: [dataset]_{train,valid}_align.csv with photo, age, roll, box",
        read_ldl,
        write_ldl,
    ),
    "coral": Format(
        "CORAL list: ID, Path, Age, scaled (age minus the least)", read_coral, write_coral
    ),
    "unified": Format("unified benchmark: JSON database with folders", read_unified, write_unified),
    "iefp": Format(
        "IEFP folders: [identity]/05179510_age_39.jpg, the pictures themselves",
        read_iefp,
        write_iefp,
    ),
    "mapped": Format(
        "own data: CSV or Parquet through a column mapping", read_mapped, write_mapped
    ),
}


def format_named(name: str) -> Format:
    """The format called `name`.

    Raises:
        UnknownNameError: no format has that name; the message lists those that exist.
    """
    if name not in FORMATS:
        raise UnknownNameError("format", name, FORMATS)
    return FORMATS[name]
