"""What a split's parts share that they should not: people and near-duplicates."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.data.splits.split import Codes, PartCodes, Split, duplicate_codes, subject_codes
from agelens.errors import LeakError
from agelens.tables import SampleTable

Kind = Literal["subject", "near-duplicate group"]

_SHOWN: Final = 5
_SPOKEN: Final = {"train": "training", "valid": "validation"}


@dataclass(frozen=True, slots=True)
class Leak:
    """People, or groups of near-duplicates, of one part that are in another part too.

    `shared` of the `total` in `part` are also in `other`; `samples` is how many samples of
    `part` are theirs. `examples` are the first shared names.
    """

    kind: Kind
    part: str
    other: str
    shared: int
    total: int
    samples: int
    examples: tuple[str, ...]

    def __str__(self) -> str:
        part, other = (_SPOKEN.get(name, name) for name in (self.part, self.other))
        more = ", ..." if self.shared > len(self.examples) else ""
        return (
            f"{self.shared} of {self.total} {part} {self.kind}s also in {other}, with "
            f"{self.samples} {part} samples ({', '.join(self.examples)}{more})"
        )


@dataclass(frozen=True, slots=True)
class LeakReport:
    """What `describe_leaks` found in one split.

    `subjects_unknown` rows in parts have no subject, so nothing is known about them.
    """

    split: str
    leaks: tuple[Leak, ...]
    samples: int
    subjects_unknown: int
    duplicates_checked: bool

    @property
    def subject_exclusive(self) -> bool | None:
        """Whether no known person is in two parts; None where no person is known."""
        if self.samples == self.subjects_unknown:
            return None
        return not any(leak.kind == "subject" for leak in self.leaks)

    def __str__(self) -> str:
        lines = [str(leak) for leak in self.leaks] or ["no shared subject or near-duplicate found"]
        if self.subjects_unknown:
            lines.append(f"the subject of {self.subjects_unknown} of {self.samples} is not known")
        if not self.duplicates_checked:
            lines.append("near-duplicates were not checked")
        return f"split {self.split}: " + "; ".join(lines)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON types, with each leak's sentence beside its numbers."""
        return {
            "subject_exclusive": self.subject_exclusive,
            "subjects_unknown": self.subjects_unknown,
            "near_duplicates_checked": self.duplicates_checked,
            "leaks": [
                {"text": str(leak), **asdict(leak), "examples": list(leak.examples)}
                for leak in self.leaks
            ],
        }


def describe_leaks(
    split: Split, table: SampleTable, duplicates: pd.Series | None = None
) -> LeakReport:
    """Count the people, and the near-duplicate groups if given, that parts share.

    Args:
        split: of samples of `table`.
        table: where the subjects are.
        duplicates: near-duplicate group by `sample_id`, as the audit finds them.

    Raises:
        TableError: the split is of another table, or `duplicates` names a sample twice.
    """
    parts = split.codes_for(table)
    subjects, people = subject_codes(table)
    found = list(_shared("subject", subjects, people, parts, split.part_names))
    groups, names = duplicate_codes(table, duplicates)
    if groups is not None:
        spoken = _first_samples(groups, len(names), table)
        found += _shared("near-duplicate group", groups, spoken, parts, split.part_names)
    used = parts >= 0
    unknown = int((subjects[used] < 0).sum())
    return LeakReport(split.name, tuple(found), int(used.sum()), unknown, groups is not None)


def check_leaks(reports: Iterable[LeakReport]) -> None:
    """Refuse splits that leak.

    Raises:
        LeakError: one does; the message lists what, and says the way out.
    """
    leaking = [report for report in reports if report.leaks]
    if leaking:
        shown = "\n  ".join(str(report) for report in leaking[:_SHOWN])
        more = f"\n  and {len(leaking) - _SHOWN} more splits" if len(leaking) > _SHOWN else ""
        raise LeakError(
            "parts of the split share people or pictures, so errors on it flatter:\n"
            f"  {shown}{more}\n"
            "Take a protocol by subject, such as subject-k-fold, or allow the leaks to compare "
            "with published numbers; the written report then says so"
        )


def _shared(
    kind: Kind,
    codes: Codes,
    names: NDArray[np.object_],
    parts: PartCodes,
    part_names: tuple[str, ...],
) -> Iterable[Leak]:
    rows = np.flatnonzero((codes >= 0) & (parts >= 0))
    width = len(part_names)
    cells = np.bincount(codes[rows] * width + parts[rows], minlength=len(names) * width)
    counts = cells.reshape(len(names), width)
    for other, part in combinations(range(len(part_names)), 2):
        shared = np.flatnonzero((counts[:, other] > 0) & (counts[:, part] > 0))
        if shared.size:
            yield Leak(
                kind,
                part_names[part],
                part_names[other],
                len(shared),
                int((counts[:, part] > 0).sum()),
                int(counts[shared, part].sum()),
                tuple(str(name) for name in names[shared[:_SHOWN]]),
            )


def _first_samples(groups: Codes, count: int, table: SampleTable) -> NDArray[np.object_]:
    """Each group's name in a message: its first sample in the table."""
    rows = np.flatnonzero(groups >= 0)
    used, first = np.unique(groups[rows], return_index=True)
    names = np.full(count, "", dtype=object)
    names[used] = table.frame["sample_id"].iloc[rows[first]].to_numpy(dtype=object)
    return names
