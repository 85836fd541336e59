"""Split protocols: from a sample table to parts that people do not straddle.

`PROTOCOLS` names them; a class is configured by its constructor and called with a table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from agelens.data.calling import call_with_options
from agelens.data.splits.custom import CustomProtocol
from agelens.data.splits.leave_one_person_out import LeaveOnePersonOut
from agelens.data.splits.listed_split import RAPLFolds
from agelens.data.splits.morph import MorphSetting1, MorphSetting2, MorphSetting3
from agelens.data.splits.official import OfficialSplit, split_by_column
from agelens.data.splits.split import (
    HashSplit,
    Leak,
    LeakReport,
    RandomSplit,
    Split,
    SplitProtocol,
    check_leaks,
    describe_leaks,
)
from agelens.data.splits.subject_k_fold import SubjectKFold
from agelens.data.splits.unified import DatabaseFolders, UnifiedBenchmark, write_folders
from agelens.data.splits.writing import read_split, write_split, write_splits
from agelens.errors import UnknownNameError

__all__ = [
    "PROTOCOLS",
    "CustomProtocol",
    "DatabaseFolders",
    "HashSplit",
    "Leak",
    "LeakReport",
    "LeaveOnePersonOut",
    "MorphSetting1",
    "MorphSetting2",
    "MorphSetting3",
    "OfficialSplit",
    "RAPLFolds",
    "RandomSplit",
    "Split",
    "SplitProtocol",
    "SubjectKFold",
    "UnifiedBenchmark",
    "check_leaks",
    "describe_leaks",
    "make_protocol",
    "protocol_class",
    "read_split",
    "split_by_column",
    "write_folders",
    "write_split",
    "write_splits",
]

PROTOCOLS: Final[dict[str, type[SplitProtocol]]] = {
    "subject-k-fold": SubjectKFold,
    "unified": UnifiedBenchmark,
    "random-80-20": RandomSplit,
    "rapl": RAPLFolds,
    "morph-setting-1": MorphSetting1,
    "morph-setting-2": MorphSetting2,
    "morph-setting-3": MorphSetting3,
    "lopo": LeaveOnePersonOut,
    "official": OfficialSplit,
    "hash": HashSplit,
    "custom": CustomProtocol,
}


def protocol_class(name: str) -> type[SplitProtocol]:
    """The protocol class called `name`.

    Raises:
        UnknownNameError: no protocol has that name; the message lists those that exist.
    """
    if name not in PROTOCOLS:
        raise UnknownNameError("protocol", name, PROTOCOLS)
    return PROTOCOLS[name]


def make_protocol(asked: object, **options: Any) -> SplitProtocol:
    """A protocol ready to be called with a table.

    Args:
        asked: its name; a protocol of one's own, which is a mapping (see `CustomProtocol`); or
            the unified benchmark's split file, which is a list. Both as parsed from YAML.
        options: arguments of the protocol; those that are None are left out.

    Raises:
        UnknownNameError: no protocol has that name.
        UsageError: an option does not go with it, or the document is none.
    """
    if isinstance(asked, str):
        named: SplitProtocol = call_with_options(protocol_class(asked), [], options)
        return named
    kind = CustomProtocol if isinstance(asked, Mapping) else UnifiedBenchmark
    own: SplitProtocol = call_with_options(kind.from_object, [asked], options)
    return own
