"""What a worker does: one estimator, and shard after shard of photos to files of results.

A photo that kills its worker is found by trying the photos of its shard one at a time in a process
of their own; one that kills it three times in all becomes a row with the status ``crashed``.
"""

from __future__ import annotations

import json
import os
import pickle
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from threading import Thread
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from agelens.bulk.filesystems import Location
from agelens.bulk.folder import BulkFolder, Counts, shard_counts, write_shard
from agelens.bulk.inputs import TAR_COLUMNS, InputFile, Shard
from agelens.bulk.photos import ShardInput
from agelens.errors import OutputError, PhotoError
from agelens.foreign_files import decoding, parse_json
from agelens.imaging.folders import FOLDERS
from agelens.imaging.photos import source_name
from agelens.inference.estimator import AgeEstimator
from agelens.inference.photo_preparation import PhotoLike
from agelens.inference.result_files import arrow_schema, flatten, result_columns
from agelens.inference.results import PhotoResult
from agelens.records import Photo
from agelens.sessions import keep_freed_memory

if TYPE_CHECKING:
    from agelens.bulk.embeddings import FaceVectors
    from agelens.bulk.labelled import LabelledFaces

EMBEDDING: Final = "embedding"
_TRIES_ALONE: Final = 2  # beside the time that it killed the whole worker
_MOST_ATTEMPTS: Final = 8


@dataclass(frozen=True, slots=True)
class Job:
    """What every worker of a run is told.

    `folder` is where the driver works, for names that begin there; `settings` are those of
    `AgeEstimator`; `schema` is that of every file of results, and `further` says which of its
    columns each column of the input comes through as. With `labelled` a row of a table is one
    face, that which its label means.
    """

    output: str
    folder: str
    settings: Mapping[str, Any]
    schema: pa.Schema
    further: Mapping[str, str]
    distribution: bool
    threads: int
    labelled: bool = False

    def estimator(self, threads: int | None = None) -> AgeEstimator:
        """An estimator of this worker's own."""
        return AgeEstimator(**self.settings, workers=threads or self.threads)


class ShardWorker:
    """An actor of Ray Data: takes shards, writes their results, and hands back counts."""

    def __init__(self, job: Job) -> None:
        os.chdir(job.folder)
        keep_freed_memory()
        self._job = job
        self._folder = BulkFolder(job.output)
        self._estimator = job.estimator()
        self._vectors: FaceVectors | None = None
        if EMBEDDING in job.schema.names:
            from agelens.bulk.embeddings import FaceVectors  # noqa: PLC0415 - where asked for

            self._vectors = FaceVectors(self._estimator.detector)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[str]]:
        """The counts of each shard of `batch`; one that is there already is not made again."""
        counts = [self._counts(*pickle.loads(packed)) for packed in batch["shard"]]  # noqa: S301 - the driver's
        return {"counts": [one.to_json() for one in counts]}

    def _counts(self, shard: Shard, file: InputFile) -> Counts:
        there = self._folder.shard(shard.number)
        try:
            return shard_counts(there)
        except FileNotFoundError:
            pass
        source = ShardInput(shard, file, self._folder.input)
        attempts = Attempts.of(self._folder.attempts(shard.number))
        killers = attempts.begin(source, self._job)
        with FOLDERS.must_stay():
            table, counts = self._results(source, killers)
        write_shard(table, counts, there)
        attempts.location.remove()
        return counts

    def _results(self, source: ShardInput, killers: frozenset[int]) -> tuple[pa.Table, Counts]:
        counts = Counts()
        rows: list[dict[str, Any]] = []
        numbers: list[int] = []  # the photo of each row
        texts: list[dict[str, str | None]] = []
        photos = _without(source.photos(texts), killers)
        labels = self._labels(source)
        seen: deque[tuple[Photo, PhotoResult]] = deque()  # those of a block of the network's

        def keep(photo: Photo, result: PhotoResult) -> None:
            seen.append((photo, result))

        looks = keep if labels or self._vectors else None
        for number, found in enumerate(self._estimator.stream(photos, on_photo=looks)):
            face, result = 0, found
            if seen and seen[0][1] is found:  # and not a photo that could not be read
                photo, _ = seen.popleft()
                if labels is not None:
                    face, result = labels.only(number, photo, found)
                if self._vectors is not None:
                    self._vectors.add(photo, result)
            counts.photos += 1
            counts.faces += len(result.faces)
            counts.statuses[result.status] += 1
            flat = list(flatten(result.to_json(distribution=self._job.distribution)))
            if labels is not None:
                known = {"face": face if result.faces else None, "faces": len(found.faces)}
                flat = [row | known for row in flat]
            rows += flat
            numbers += [number] * len(flat)
        beside = pa.Table.from_pylist(texts, TAR_COLUMNS) if texts else source.columns()
        return self._table(rows, beside.take(pa.array(numbers))), counts

    def _labels(self, source: ShardInput) -> LabelledFaces | None:
        if not self._job.labelled:
            return None
        from agelens.bulk.labelled import LabelledFaces  # noqa: PLC0415 - where asked for

        return LabelledFaces(source.columns(), aligned=self._estimator.aligned)

    def _table(self, rows: list[dict[str, Any]], beside: pa.Table) -> pa.Table:
        results = pa.Table.from_pylist(rows, arrow_schema(result_columns(self._ages)))
        columns = dict(zip(results.column_names, results.columns, strict=True))
        if self._vectors:
            columns[EMBEDDING] = self._vectors.taken(columns["face"])
        for name in beside.column_names:
            columns[self._job.further[name]] = beside.column(name)
        schema = self._job.schema
        arrays = [columns.get(one.name, pa.nulls(len(rows), one.type)) for one in schema]
        return pa.Table.from_arrays(arrays, schema=schema)

    @property
    def _ages(self) -> int:
        return len(self._estimator.age_scale) if self._job.distribution else 0


def _without(photos: Iterable[PhotoLike], killers: frozenset[int]) -> Iterator[PhotoLike]:
    """`photos`, each of `killers` replaced by what became of it."""
    for number, photo in enumerate(photos):
        if number not in killers:
            yield photo
            continue
        name = source_name(photo)
        told = (
            f"killed its worker {1 + _TRIES_ALONE} times: a decoder's crash, or too little memory"
        )
        yield PhotoError(f"{name}: {told}", status="crashed", source=name)


@dataclass(slots=True)
class Attempts:
    """What is known of a shard that was begun before, written down so that no death loses it.

    `begun` counts how often a worker began it; `tried` how often each photo was tried alone and
    was not seen to survive; `killers` are the photos that were given up.
    """

    location: Location
    begun: int = 0
    tried: dict[str, int] = field(default_factory=dict)
    killers: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, location: Location) -> Attempts:
        """What is written at `location`, if anything is."""
        try:
            content = location.read()
        except FileNotFoundError:
            return cls(location)
        with decoding(location.shown, "attempts of agelens bulk; delete it", OutputError):
            return cls(location, **parse_json(content))

    def begin(self, source: ShardInput, job: Job) -> frozenset[int]:
        """Note that a worker begins; the numbers of the photos that kill it.

        Raises:
            OutputError: the shard has killed its workers too often, and none of its photos alone.
        """
        self.begun += 1
        if self.begun > _MOST_ATTEMPTS:
            raise OutputError(
                f"shard {source.shard.number} of {source.shard.file} killed its worker "
                f"{_MOST_ATTEMPTS} times, and no photo of it alone does: is there memory enough? "
                "Fewer threads a worker (--threads) need less"
            )
        self._write()
        if self.begun > 1:
            with OwnProcess(job) as process:
                for number, photo in enumerate(source.photos([])):
                    self._try(number, photo, process)
        return frozenset(self.killers)

    def _try(self, number: int, photo: PhotoLike, process: OwnProcess) -> None:
        key = str(number)
        while number not in self.killers:
            if self.tried.get(key, 0) >= _TRIES_ALONE:
                self.killers.append(number)
                self._write()
                return
            # Written down first: it may kill this process and not the one that looks at it.
            self.tried[key] = self.tried.get(key, 0) + 1
            self._write()
            if process.survives(photo):
                del self.tried[key]
                return

    def _write(self) -> None:
        known = {name: value for name, value in asdict(self).items() if name != "location"}
        self.location.write(json.dumps(known).encode())


class OwnProcess:
    """Looks at one photo at a time in a process that may die of it."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._pool: ProcessPoolExecutor | None = None

    def survives(self, photo: PhotoLike) -> bool:
        """Whether the process is still there after it."""
        if self._pool is None:
            self._pool = ProcessPoolExecutor(1, get_context("spawn"), _open, (self._job,))
        try:
            self._pool.submit(_look_at, photo).result()
        except BrokenProcessPool:
            self._pool = None
            return False
        return True

    def __enter__(self) -> OwnProcess:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown()


_estimators: list[AgeEstimator] = []


def _open(job: Job) -> None:
    """Begin a process that looks at photos, and ends where the worker that began it does."""
    os.chdir(job.folder)
    Thread(target=_end_with_parent, daemon=True).start()
    _estimators.append(job.estimator(threads=1))


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _look_at(photo: PhotoLike) -> None:
    for _ in _estimators[0].stream([photo]):
        pass
