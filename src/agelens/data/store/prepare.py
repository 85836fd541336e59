"""Preparing a store: read, detect, align and encode each labelled photo, once."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, Final, TypeAlias, get_args

import pandas as pd

from agelens.data.datasets import DATASETS
from agelens.data.formats.ldl import ROTATED_BOX
from agelens.data.store.card import (
    CARD_NAME,
    ROWS_PER_SHARD,
    ChipEncoding,
    ShardEntry,
    StoreCard,
    StoreSettings,
    alignment_of,
    is_whole,
    shard_name,
)
from agelens.data.store.chip_store import (
    JOURNAL_NAME,
    ChipStore,
    StoreJournal,
    check_other,
    kept_columns,
    shard_content,
)
from agelens.data.store.cutting import (
    LabelledPhoto,
    Outcome,
    PhotoWorker,
    Root,
    cutter_of,
    labelled_photos,
    picture_source,
)
from agelens.errors import PhotoStatus, UsageError
from agelens.imaging.detectors import DEFAULT_LONGEST_SIDE, Detector, detector_class
from agelens.imaging.folders import FOLDERS
from agelens.imaging.photos import DEFAULT_MAX_PIXELS
from agelens.inference.estimator import available_cores
from agelens.inference.ordered import ordered_map
from agelens.tables import BOX, COLUMNS, LANDMARKS, SampleTable, read_table

OnProgress: TypeAlias = Callable[[int, int], None]

_STATUSES: Final[tuple[str, ...]] = get_args(PhotoStatus)
_HASHED_AT_ONCE: Final = 100_000


@dataclass(frozen=True, slots=True)
class StoreReport:
    """What a run of `prepare` came to; `reused_rows` were there from an earlier one.

    `places` says in a sentence what became of the places of faces that the table has, or is empty.
    """

    folder: Path
    rows: int
    statuses: Mapping[str, int]
    reused_rows: int
    places: str = ""

    def __fspath__(self) -> str:
        return str(self.folder)

    def __repr__(self) -> str:
        statuses = ", ".join(f"{count:,} {status}" for status, count in self.statuses.items())
        return f"StoreReport({self.folder}: {self.rows:,} rows, {statuses})"

    def open(self) -> ChipStore:
        """The store that was made."""
        return ChipStore.open(self.folder, verify=False)


@dataclass(frozen=True, slots=True)
class Preparation:
    """One run; see `agelens.data.store.prepare.prepare`."""

    table: SampleTable
    settings: StoreSettings
    worker: PhotoWorker
    folder: Path
    threads: int
    on_progress: OnProgress | None

    def run(self) -> StoreReport:
        """Make what is missing of the store; raises as `prepare` does."""
        if not len(self.table):
            raise UsageError("the table has no rows to prepare")
        digest = _table_sha256(self.table, self.settings)
        identity = {**self.settings.to_json(), "table_sha256": digest}
        finished = self._finished(identity)
        damaged = finished is not None and any(
            not is_whole(self.folder, shard) for shard in finished.shards
        )
        if finished is not None and not damaged:
            (self.folder / JOURNAL_NAME).unlink(missing_ok=True)  # killed between card and end
            return StoreReport(self.folder, finished.rows, finished.statuses, finished.rows)
        with StoreJournal(self.folder, identity, finished.shards if finished else ()) as journal:
            reused = sum(shard.rows for shard in journal.shards.values())
            self._make_shards(journal, reused)
            shards = tuple(journal.shards[number] for number in sorted(journal.shards))
            card = self._card(digest, shards)
            journal.finish(card.to_bytes())
        return StoreReport(self.folder, card.rows, card.statuses, reused)

    def _finished(self, identity: Mapping[str, Any]) -> StoreCard | None:
        """The card of a finished store."""
        if not (self.folder / CARD_NAME).exists():
            return None
        card = StoreCard.read(self.folder)
        made = {**card.settings, "table_sha256": card.table_sha256}
        check_other(self.folder, made, identity)
        return card

    def _make_shards(self, journal: StoreJournal, done: int) -> None:
        with ThreadPoolExecutor(self.threads, thread_name_prefix="agelens") as pool:
            photos = self._photos(skip=frozenset(journal.shards))
            # A shard's last photos must not leave the cores idle while it is written.
            results = ordered_map(pool, self.worker, photos, window=4 * self.threads)
            for number, group in groupby(results, key=lambda result: result[0].shard):
                entry, content = self._shard(number, group)
                journal.commit(number, content, entry)
                done += entry.rows
                if self.on_progress:
                    self.on_progress(done, len(self.table))

    def _photos(self, skip: frozenset[int]) -> Iterator[LabelledPhoto]:
        for number in range(-(-len(self.table) // self.settings.rows_per_shard)):
            if number not in skip:
                yield from labelled_photos(self._labels(number), number)

    def _labels(self, number: int) -> pd.DataFrame:
        rows = self.settings.rows_per_shard
        return self.table.frame.iloc[number * rows : (number + 1) * rows]

    def _shard(
        self, number: int, results: Iterator[tuple[LabelledPhoto, list[Outcome]]]
    ) -> tuple[ShardEntry, bytes]:
        by_row = {
            row: outcome
            for photo, outcomes in results
            for row, outcome in zip(photo.rows, outcomes, strict=True)
        }
        outcomes = [by_row[row] for row in range(len(by_row))]
        content = shard_content(self._labels(number), outcomes, kept_columns(self.table))
        digest = hashlib.sha256(content).hexdigest()
        statuses = _in_order(Counter(outcome.status for outcome in outcomes))
        entry = ShardEntry(shard_name(number), len(outcomes), len(content), digest, statuses)
        return entry, content

    def _card(self, digest: str, shards: Sequence[ShardEntry]) -> StoreCard:
        statuses: Counter[str] = Counter()
        for shard in shards:
            statuses.update(shard.statuses)
        return StoreCard(
            settings=self.settings.to_json(),
            table_sha256=digest,
            datasets=_counts(self.table.frame["dataset"]),
            age_kinds=_counts(self.table.frame["age_kind"]),
            statuses=_in_order(statuses),
            shards=tuple(shards),
        )


def _in_order(statuses: Counter[str]) -> dict[str, int]:
    return {name: statuses[name] for name in _STATUSES if statuses[name]}


def _counts(words: pd.Series) -> dict[str, int]:
    counts = words.value_counts()
    return {str(word): int(counts[word]) for word in sorted(counts.index) if counts[word]}


def _table_sha256(table: SampleTable, settings: StoreSettings) -> str:
    digest = hashlib.sha256()
    columns = [*COLUMNS, *kept_columns(table)]
    if settings.boxes == "table":
        columns += [name for name in ROTATED_BOX if name in table.extra]
    for start in range(0, len(table), _HASHED_AT_ONCE):
        part = table.frame[columns].iloc[start : start + _HASHED_AT_ONCE]
        hashes = pd.util.hash_pandas_object(part, index=False, categorize=False)
        digest.update(hashes.to_numpy().tobytes())
    return digest.hexdigest()


def places_told(table: SampleTable, settings: StoreSettings) -> str:
    """What becomes of the places of faces in `table`; empty where it has none."""
    frame = table.frame
    landmarks = frame[list(LANDMARKS)].notna().all(axis=1)
    boxes = frame[list(BOX)].notna().all(axis=1)
    if {*ROTATED_BOX} <= {*table.extra}:
        boxes |= frame[list(ROTATED_BOX)].notna().all(axis=1)
    told = boxes if settings.alignment == "rotate-crop" else landmarks
    if settings.boxes == "table":
        rest = int((~told).sum())
        searched = f", after a search for the face: {rest:,}" if rest else ""
        return f"rows cut where the table says: {int(told.sum()):,}{searched}"
    if not (landmarks | boxes).any():
        return ""
    if settings.alignment == "as-shipped":
        return "the table's boxes and landmarks were not used: pictures were taken whole"
    what = "boxes and rolls" if settings.alignment == "rotate-crop" else "landmarks"
    cut = f"; --boxes table cuts by its {what} (rows: {int(told.sum()):,})" if told.any() else ""
    unused = ["boxes only chose among the faces found"] if boxes.any() else []
    unused += ["landmarks were not used"] if landmarks.any() else []
    return f"the table's {', and its '.join(unused)}{cut}"


def _known_terms(table: SampleTable) -> dict[str, str]:
    names = [str(name) for name in table.frame["dataset"].cat.categories]
    return {name: DATASETS[name].terms for name in names if name in DATASETS}


def prepare(
    table: SampleTable | str | Path,
    output: str | Path,
    *,
    root: Root = None,
    detector: str | Detector = "retinaface",
    template: str | None = None,
    size: int | None = None,
    margin: float = 0.0,
    fill: str = "black",
    boxes: str = "detector",
    two_pass: bool = False,
    aligned: bool = False,
    encoding: str = "jpeg",
    quality: int | None = None,
    licences: Mapping[str, str] | None = None,
    longest_side: int = DEFAULT_LONGEST_SIDE,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    rows_per_shard: int = ROWS_PER_SHARD,
    workers: int | None = None,
    on_progress: OnProgress | None = None,
) -> StoreReport:
    """Make the chip store `output` of the photos that `table` labels, in flat memory.

    A photo is read once even where several rows of a shard label it. Every row of the table
    is a row of the store, in its order, with a status; a bad photo is a row. A run that was
    killed goes on where it stopped, when called again alike, and ends in the same bytes; a
    store that is whole already is left as it is.

    Args:
        table: labelled faces, or the file that holds them; the rule for the face that a row
            means is in `agelens.data.store.cutting`. Its extra columns are kept.
        output: a folder, new or empty or begun by such a run.
        root: where the pictures are, if the table does not know or they were moved: a folder,
            one by dataset, or a function of dataset and path that gives a file's path or its
            bytes.
        detector: name of a detector, or a `Detector` of your own.
        template: the frame that the five landmarks go onto; ``dlib-64`` by default.
        size: side of a chip in pixels; the template's own by default, else 112.
        margin: more surroundings: 0.4 shows 1.4 times the template's frame, or the face's
            box with `two_pass`.
        fill: what stands where a chip reaches beyond its photo: ``black``, or ``mirror``, the
            rim mirrored and blurred. The network must see the same in use, as its card says.
        boxes: ``table`` cuts by the landmarks, or with `two_pass` by the boxes and rolls, that the
            table has, and searches for the other faces alone; see `Place`.
        two_pass: turn by the eye line, find the box again, cut that box
            (`agelens.imaging.rotate_crop`), in place of a template.
        aligned: the pictures are aligned chips already: resize only, without detection.
        encoding: ``jpeg``, ``webp``, or ``png``, which loses nothing.
        quality: of the first two, 1 to 100; 95 by default.
        licences: by dataset, for the store's card; those of known datasets by default.
        longest_side: see `Detector`; for a detector given by name.
        max_pixels: larger photos become rows with status ``too_large``.
        rows_per_shard: rows a file; also what a killed run loses at most.
        workers: threads; all available cores by default.
        on_progress: called with the rows done so far and all rows, after each shard.

    Raises:
        UsageError: options that clash; a root without the pictures; an output that holds
            other things or was made otherwise.
        UnknownNameError: no such detector, template, fill, source of boxes or encoding.
        FolderGoneError: the folder of the pictures went away; the next call goes on.
        OutputError: the store cannot be written, as on a full disk; what is there is kept.
    """
    if not isinstance(table, SampleTable):
        table = read_table(table, extra=None)
    alignment, template, size = alignment_of(
        template=template, size=size, margin=margin, two_pass=two_pass, aligned=aligned
    )
    if isinstance(detector, str):
        detector = detector_class(detector)(longest_side=longest_side)
    chip_encoding = ChipEncoding(encoding, quality)
    settings = StoreSettings(
        alignment=alignment,
        detector=None if aligned else detector.name,
        longest_side=None if aligned else detector.longest_side,
        template=template,
        size=size,
        margin=margin,
        fill=fill,
        boxes=boxes,
        encoding=chip_encoding.name,
        quality=chip_encoding.quality,
        max_pixels=max_pixels,
        rows_per_shard=rows_per_shard,
        licences=_known_terms(table) if licences is None else licences,
    )
    threads = workers or available_cores()
    with FOLDERS.must_stay():
        worker = PhotoWorker(
            picture_source(root, table), cutter_of(settings, detector), chip_encoding, max_pixels
        )
        report = Preparation(table, settings, worker, Path(output), threads, on_progress).run()
    return replace(report, places=places_told(table, settings))
