"""A split: which samples are in which part, dealt at random or by a hash; and what leaks."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from itertools import combinations
from typing import Any, ClassVar, Final, Literal, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from agelens.errors import LeakError, TableError, UsageError
from agelens.tables import SampleTable

Prints = NDArray[np.uint64]

_GOLDEN: Final = 0x9E3779B97F4A7C15
_CHUNK: Final = 100_000


def fingerprints(texts: pd.Series | Iterable[str]) -> Prints:
    """Fingerprints [N] of texts: big-endian, of their UTF-8.

    >>> f"{fingerprints(['a'])[0]:016x}"
    'ca978112ca1bbdca'
    """
    texts = texts if isinstance(texts, pd.Series) else pd.Series(list(texts), dtype=object)
    chunks = [texts.iloc[at : at + _CHUNK] for at in range(0, len(texts), _CHUNK)]
    digests = (
        b"".join([sha256(text.encode()).digest()[:8] for text in chunk.to_numpy(dtype=object)])
        for chunk in chunks
    )
    parts = [np.frombuffer(digest, dtype=">u8").astype(np.uint64) for digest in digests]
    return np.concatenate([*parts, np.empty(0, np.uint64)])


def seeded(prints: Prints, seed: int) -> Prints:
    """The prints [N] mixed with a seed: uniform, and different prints stay different.

    The finaliser of splitmix64 (Steele, Lea and Flood, OOPSLA 2014), applied to the seed
    first so that neighbouring seeds share nothing.
    """
    offset = _mixed(np.array([(seed * _GOLDEN + _GOLDEN) % 2**64], dtype=np.uint64))
    return _mixed(prints + offset)


def _mixed(bits: Prints) -> Prints:
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


PartCodes = NDArray[np.int8]
"""[N] place of each sample's part in `part_names`, or -1 where it is in none."""

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Named parts of a sample table that share no sample.

    One byte a sample beside the table's own column of ids, so that the many splits of a
    protocol over millions of samples fit in memory.

    Args:
        name: tells the splits of one protocol apart; a folder name.
        sample_id: ids [N], each once.
        part_names: in reporting order, train first.
        codes: [N] part of each sample.
        protocol: name of the protocol that made it.
        seed: of its random choices; None where there were none.
        notes: what a reader of a result has to know, one sentence each.

    Raises:
        UsageError: the name or a part's cannot be a file's name, or a part repeats.
        TableError: ids and codes differ in length, or a code has no part.
    """

    name: str
    sample_id: pd.Series
    part_names: tuple[str, ...]
    codes: PartCodes
    protocol: str = ""
    seed: int | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = (self.name, *self.part_names)
        bad = [name for name in names if not _FILE_NAME.fullmatch(str(name))]
        if bad or len({*self.part_names}) < len(self.part_names):
            raise UsageError(
                f"split {self.name!r}: its name and its different parts {self.part_names} must be "
                "words of letters, digits, - and _, since they name files"
            )
        known = ((self.codes >= -1) & (self.codes < len(self.part_names))).all()
        if len(self.sample_id) != len(self.codes) or not known:
            raise TableError(f"split {self.name!r}: every sample needs one part code or -1")

    @classmethod
    def from_parts(
        cls, name: str, parts: Mapping[str, Iterable[str]], *, protocol: str = ""
    ) -> Split:
        """A split of lists of sample ids by part.

        Raises:
            TableError: a sample is listed twice; the message counts and shows them.
        """
        lists = [list(ids) for ids in parts.values()]
        ids = pd.Series([one for ids in lists for one in ids], dtype=pd.StringDtype("pyarrow"))
        twice = ids[ids.duplicated()]
        if len(twice):
            shown = ", ".join(twice.iloc[:5])
            raise TableError(f"split {name!r}: {len(twice)} sample(s) listed twice: {shown}")
        codes = np.repeat(np.arange(len(lists), dtype=np.int8), [len(ids) for ids in lists])
        return cls(name, ids, tuple(parts), codes, protocol)

    def parts_of(self, table: SampleTable) -> pd.Series:
        """The part [N] of each row of `table` as a word, missing where it is in none."""
        words = pd.array([*self.part_names, pd.NA], dtype="string")
        return pd.Series(words.take(self.codes_for(table)), index=table.frame.index)

    @property
    def counts(self) -> dict[str, int]:
        """Samples in each part."""
        found = np.bincount(self.codes[self.codes >= 0], minlength=len(self.part_names))
        return dict(zip(self.part_names, map(int, found), strict=True))

    @property
    def parts(self) -> dict[str, pd.Series]:
        """Sample ids of every part."""
        return {part: self.ids(part) for part in self.part_names}

    def ids(self, part: str) -> pd.Series:
        """Sample ids of one part, in the table's order.

        Raises:
            KeyError: there is no such part.
        """
        if part not in self.part_names:
            raise KeyError(f"split {self.name!r} has the parts {', '.join(self.part_names)}")
        ids: pd.Series = self.sample_id[self.codes == self.part_names.index(part)]
        return ids

    def codes_for(self, table: SampleTable) -> PartCodes:
        """Part codes [N] of the rows of `table`; a row that the split does not name gets -1.

        Raises:
            TableError: samples in a part are not in the table; some are listed.
        """
        ids = table.frame["sample_id"]
        if len(ids) == len(self.sample_id) and self.sample_id.equals(ids):
            return self.codes
        place = places(ids, self.sample_id)
        absent = self.codes >= 0
        absent[place[place >= 0]] = False
        if absent.any():
            shown = ", ".join(self.sample_id[absent].iloc[:5])
            raise TableError(
                f"split {self.name!r} was made for another table: {absent.sum()} of its samples "
                f"are not there, such as {shown}"
            )
        return np.where(place >= 0, self.codes[place], -1).astype(np.int8)


def uncovered(codes: NDArray[np.integer]) -> tuple[str, ...]:
    """The note that some samples are in no part, where some are."""
    count = int((codes < 0).sum())
    return (f"{count} of {len(codes)} samples are in no part",) if count else ()


def places(ids: pd.Series, among: pd.Series) -> NDArray[np.int64]:
    """The place of every one of `ids` [N] in `among` [M], all different, or -1: int64 [N]."""
    # Arrow hashes only `among`; an index over millions of Python strings takes gigabytes.
    texts, value_set = (pa.array(names).cast(pa.large_string()) for names in (ids, among))
    found = pc.fill_null(pc.index_in(texts, value_set=value_set), -1)
    return np.asarray(found, dtype=np.int64)


def check_shares(shares: Mapping[str, float]) -> None:
    """Refuse shares that are no partition.

    Raises:
        UsageError: there is none, one is not above 0, or they do not add up to 1.
    """
    good = all(0 < share <= 1 for share in shares.values())
    if not shares or not good or not math.isclose(sum(shares.values()), 1, abs_tol=1e-9):
        raise UsageError(f"shares must be above 0 and add up to 1, not {dict(shares)}")


def deal(prints: Prints, sizes: NDArray[np.int64], shares: Mapping[str, float]) -> PartCodes:
    """Part code [U] of each unit: units in order of their prints fill one part after another.

    A unit goes to the part in which its middle falls, so that a part's share is off by at
    most half of the units at its two ends, and exact (to one sample) for units of one sample.
    """
    order = np.argsort(prints, kind="stable")
    ends = np.cumsum(sizes[order])
    middles = ends - sizes[order] / 2
    bounds = np.cumsum(list(shares.values()))[:-1] * (ends[-1] if len(ends) else 0)
    codes = np.empty(len(prints), dtype=np.int8)
    codes[order] = np.searchsorted(bounds, middles, side="right")
    return codes


class SplitProtocol(Protocol):
    """A protocol is configured by its constructor and called with a table.

    `name` is the registry's word, `summary` one line about it, and `by_subject` says whether
    it keeps every known person in one part by construction.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    by_subject: ClassVar[bool]

    def __call__(
        self, table: SampleTable, *, seed: int = 0, duplicates: pd.Series | None = None
    ) -> tuple[Split, ...]:
        """The protocol's splits of `table`, the same for any order of its rows.

        Args:
            table: what is split.
            seed: of the random choices; a protocol without any takes no notice.
            duplicates: near-duplicate group by `sample_id`. A protocol that chooses parts
                keeps groups whole; one that reads them from the table cannot, and the leak
                check tells.
        """
        ...


Codes = NDArray[np.int64]
By = Literal["subject", "sample"]


@dataclass(frozen=True, slots=True, eq=False)
class Units:
    """The indivisible pieces of a table.

    `codes` [N] is the unit of each row, `prints` [U] the units' fingerprints, and `notes`
    what a reader of a split of them has to know.
    """

    codes: Codes
    prints: Prints
    notes: tuple[str, ...] = ()

    @property
    def sizes(self) -> Codes:
        """Rows in each unit [U]."""
        return np.bincount(self.codes, minlength=len(self.prints))


def units_of(table: SampleTable, by: By, duplicates: pd.Series | None = None) -> Units:
    """The units of a table.

    Args:
        table: what is to be split.
        by: "subject" keeps people whole, "sample" takes every row for itself.
        duplicates: near-duplicate group of samples by `sample_id` (a Series with the ids as
            its index), as the audit finds them; samples not in it have no duplicate. Groups
            stay whole whatever `by` is, and join the people they connect.

    Raises:
        UsageError: `by` is another word.
        TableError: `duplicates` names a sample twice.
    """
    if by not in ("subject", "sample"):
        raise UsageError(f"a split goes by 'subject' or by 'sample', not by {by!r}")
    units = _people(table) if by == "subject" else _rows(table)
    groups, _ = duplicate_codes(table, duplicates)
    return units if groups is None else _joined(units, groups)


def subject_codes(table: SampleTable) -> tuple[Codes, NDArray[np.object_]]:
    """Code [N] of each row's person, -1 where unknown, and the persons' names [S], sorted.

    Two datasets may both have a subject `001`, so a name is `dataset/subject`.
    """
    dataset, subject = table.frame["dataset"].cat, table.frame["subject"].cat
    width = len(subject.categories)
    pairs = dataset.codes.to_numpy(np.int64) * width + subject.codes.to_numpy()
    known = subject.codes.to_numpy() >= 0
    codes = np.full(len(pairs), -1, dtype=np.int64)
    used, codes[known] = np.unique(pairs[known], return_inverse=True)
    owners = dataset.categories.to_numpy(object)[used // width] if width else used
    people = subject.categories.to_numpy(object)[used % width] if width else used
    names = np.array([f"{a}/{b}" for a, b in zip(owners, people, strict=True)], dtype=object)
    return codes, names


def duplicate_codes(
    table: SampleTable, duplicates: pd.Series | None
) -> tuple[Codes | None, NDArray[np.object_]]:
    """Code [N] of each row's near-duplicate group, -1 where it has none, and the groups' names.

    Raises:
        TableError: `duplicates` names a sample twice.
    """
    if duplicates is None:
        return None, np.empty(0, dtype=object)
    if not duplicates.index.is_unique:
        twice = duplicates.index[duplicates.index.duplicated()]
        raise TableError(f"near-duplicates: {len(twice)} sample(s) twice, such as {twice[0]}")
    wanted = pd.Series(duplicates.index, dtype=pd.StringDtype("pyarrow"))
    groups, names = pd.factorize(duplicates, sort=True)
    place = places(table.frame["sample_id"], wanted)
    codes = np.where(place >= 0, np.append(groups, -1)[place], -1)
    return codes, np.asarray(names, dtype=object)


def _rows(table: SampleTable) -> Units:
    prints = fingerprints(table.frame["sample_id"])
    return Units(np.arange(len(table), dtype=np.int64), prints)


def _people(table: SampleTable) -> Units:
    codes, names = subject_codes(table)
    alone = np.flatnonzero(codes < 0)
    codes[alone] = len(names) + np.arange(len(alone))
    own = fingerprints(table.frame["sample_id"].iloc[alone])
    note = f"{len(alone)} of {len(codes)} samples have no subject: each stands alone"
    prints = np.concatenate([fingerprints(names), own])
    return Units(codes, prints, (note,) if len(alone) else ())


def _joined(units: Units, groups: Codes) -> Units:
    """Units joined where a near-duplicate group touches several; their least print is kept."""
    rows = np.flatnonzero(groups >= 0)
    count = len(units.prints)
    ends = units.codes[rows], count + groups[rows]
    size = count + int(groups.max(initial=-1)) + 1
    graph = coo_array((np.ones(len(rows), dtype=np.int8), ends), shape=(size, size))
    label = connected_components(graph, directed=False)[1][:count]
    used, label = np.unique(label, return_inverse=True)
    prints = np.full(len(used), np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(prints, label, units.prints)
    codes = label[units.codes].astype(np.int64)
    largest = int(np.bincount(codes).max(initial=0))
    note = f"near-duplicates join {largest} of {len(codes)} samples into the largest whole"
    return Units(codes, prints, (*units.notes, note))


def _seventy_ten_twenty() -> dict[str, float]:
    return {"train": 0.7, "valid": 0.1, "test": 0.2}


@dataclass(frozen=True, slots=True)
class HashSplit:
    """Parts by where the seeded 64-bit fingerprint of a name falls between 0 and 1.

    The name is `dataset/subject` where the subject is known, else the `sample_id`. Shares
    hold on average only: with n people a share s is off by about sqrt(s (1 - s) / n). With
    `duplicates`, a group counts by its least fingerprint, so a new duplicate may move it.

    Args:
        shares: of the samples, by part.
        by: "subject" keeps known people whole, "sample" hashes every picture for itself.

    Raises:
        UsageError: the shares are no partition, or `by` is another word.
    """

    shares: Mapping[str, float] = field(default_factory=_seventy_ten_twenty)
    by: By = "subject"

    name: ClassVar[str] = "hash"
    summary: ClassVar[str] = "70/10/20 by hash of subject or picture; stable when samples join"
    by_subject: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_shares(self.shares)

    def __call__(
        self, table: SampleTable, *, seed: int = 0, duplicates: pd.Series | None = None
    ) -> tuple[Split, ...]:
        """One split."""
        units = units_of(table, self.by, duplicates)
        place = seeded(units.prints, seed) / 2.0**64
        bounds = np.cumsum(list(self.shares.values()))[:-1]
        codes = np.searchsorted(bounds, place, side="right").astype(np.int8)[units.codes]
        ids, parts = table.frame["sample_id"], tuple(self.shares)
        return (Split("split", ids, parts, codes, self.name, seed, units.notes),)


def _eighty_twenty() -> dict[str, float]:
    return {"train": 0.8, "test": 0.2}


@dataclass(frozen=True, slots=True)
class RandomSplit:
    """Random parts, as most papers before 2020 split MORPH and AFAD: by picture.

    Taken by sample, it puts most people into both parts wherever people have several
    pictures, and numbers on it flatter a model that knows faces. Kept to compare with those
    papers; writing it needs the leaks to be allowed. Repeat r takes the seed `seed + r`.

    Args:
        shares: of the samples, by part.
        repeats: how many splits.
        by: "sample" as published, or "subject" for parts without a shared person.
        valid_share: of the train part, held out to choose the best epoch on; the test part is
            the same with and without. None by default, as published.

    Raises:
        UsageError: the shares are no partition, there are no repeats, `by` is another word, or
            the validation's share is out of range.
    """

    shares: Mapping[str, float] = field(default_factory=_eighty_twenty)
    repeats: int = 1
    by: By = "sample"
    valid_share: float = 0.0

    name: ClassVar[str] = "random-80-20"
    summary: ClassVar[str] = "random 80/20 by picture, repeated with seeds; shares people"
    by_subject: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_shares(self.shares)
        if self.repeats < 1:
            raise UsageError(f"a random split is repeated at least once, not {self.repeats} times")
        if not 0 <= self.valid_share < 1:
            raise UsageError(f"the share to validate on is from 0 to 1, got {self.valid_share}")

    def __call__(
        self, table: SampleTable, *, seed: int = 0, duplicates: pd.Series | None = None
    ) -> tuple[Split, ...]:
        """`repeats` splits."""
        units = units_of(table, self.by, duplicates)
        shares = self._with_valid()
        ids, parts = table.frame["sample_id"], tuple(shares)
        splits = []
        for number in range(seed, seed + self.repeats):
            codes = deal(seeded(units.prints, number), units.sizes, shares)[units.codes]
            name = f"seed_{number}"
            splits.append(Split(name, ids, parts, codes, self.name, number, units.notes))
        return tuple(splits)

    def _with_valid(self) -> dict[str, float]:
        """The shares, with the validation's taken off the train part."""
        if not self.valid_share:
            return dict(self.shares)
        train, *others = self.shares.items()
        held = train[1] * self.valid_share
        return {train[0]: train[1] - held, "valid": held, **dict(others)}


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
