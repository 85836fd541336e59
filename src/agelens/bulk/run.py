"""A bulk run from the top: plan the shards, let Ray Data spread them over workers, count.

Ray Data schedules, and starts work again that a dead worker or machine leaves behind. What this
package adds is that a shard's results appear whole or not at all, so that doing one again, in this
run or a later one, changes nothing.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from time import monotonic, time
from typing import Any, Final, Self, TypeAlias

import pyarrow as pa

from agelens.bulk import cluster
from agelens.bulk.folder import FORMAT, BulkFolder, BulkStatus, Counts, read_status
from agelens.bulk.inputs import Plan, plan_inputs
from agelens.bulk.shards import Job
from agelens.errors import OutputError, UsageError
from agelens.imaging.detectors import DEFAULT_LONGEST_SIDE, Detector
from agelens.inference.cards import DEFAULT_MODEL
from agelens.inference.estimator import AgeEstimator
from agelens.inference.result_files import arrow_schema, result_columns
from agelens.version import __version__

OnProgress: TypeAlias = Callable[[BulkStatus], Any]
"""Called with how far the run is, after each shard."""

DEFAULT_SHARD_ROWS: Final = 1000
DEFAULT_THREADS: Final = 2
INPUT_PREFIX: Final = "input_"
"""Stands before a column of the input that results have one of the same name as."""
_TOLD_EVERY_SECONDS: Final = 5.0


def estimate(
    inputs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    model: str | Path = DEFAULT_MODEL,
    gender: bool = False,
    embeddings: bool = False,
    distribution: bool = False,
    columns: Mapping[str, str] | None = None,
    root: str | None = None,
    recursive: bool = False,
    shard_rows: int = DEFAULT_SHARD_ROWS,
    detector: str | Detector = "retinaface",
    longest_side: int = DEFAULT_LONGEST_SIDE,
    aligned: bool = False,
    labelled: bool = False,
    address: str | None = None,
    num_gpus: int = 0,
    threads: int = DEFAULT_THREADS,
    on_progress: OnProgress | None = None,
    on_ray: Callable[[], Any] | None = None,
) -> BulkStatus:
    """Estimate any number of photos into a folder of Parquet files, on one machine or many.

    >>> estimate(["photos"], "labelled")  # doctest: +SKIP

    The rows are those of ``agelens estimate -o x.parquet``, with the input's further columns behind
    them; one whose name results have already comes through as ``input_NAME``. A run that was
    killed goes on where it was when it is called again.

    Args:
        inputs: photos, folders, patterns, ``-`` or a `.txt` file for a list of them; tables of
            paths or bytes (.parquet, .csv, .tsv); WebDataset archives (.tar, .tar.gz). Each may be
            a URL of a file system that pyarrow or fsspec opens (``s3://``, ``gs://``, ...).
        output: a folder, or a URL of one; every machine of a cluster must see it.
        model: see `AgeEstimator`; every machine must have it under this name.
        gender: as for `AgeEstimator`.
        embeddings: add a column `embedding`, for searching and comparing people.
        distribution: add `p_000`, `p_001`, ..., in the order of the model's ages.
        columns: which column of the tables is the ``path`` of a photo, or has its ``bytes``.
        root: the folder that the paths of tables begin in; by default where a table says, or its
            own folder.
        recursive: also search the folders below each folder.
        shard_rows: photos of a shard, which is what is lost and done again when a worker dies.
        detector: as for `AgeEstimator`.
        longest_side: as for `AgeEstimator`.
        aligned: as for `AgeEstimator`.
        labelled: inputs are tables of labelled faces: a row of them is one row of results, of the
            face that the label means.
        address: of a Ray cluster, or ``auto``; by default Ray is started here, and stopped.
        num_gpus: how many GPUs to use, one a worker.
        threads: cores of a worker, which has one copy of the networks.
        on_progress: called with how far the run is, after each shard.
        on_ray: called before Ray is started here.

    Returns:
        What there is in the end; see `read_status`.

    Raises:
        UsageError: inputs, model or options are not those that the folder was begun with, or
            another run is at work there; there are no photos, or no such cluster.
        MissingDependencyError: the extra `bulk` is not installed.
        TableError: a table of the input cannot be read.
        OutputError: the folder cannot be written, or a shard kills its workers for no one photo.
    """
    if shard_rows < 1 or threads < 1 or num_gpus < 0:
        raise UsageError("shards and threads are counted from 1, and GPUs from 0")
    if aligned and embeddings:
        raise UsageError("an aligned chip is not cut as embeddings need it: leave one of them out")
    words = [inputs] if isinstance(inputs, str | os.PathLike) else inputs
    given: dict[str, Any] = {
        "model": str(model),
        "detector": detector,
        "gender": gender,
        "aligned": aligned,
        "longest_side": longest_side,
        "device": "cuda" if num_gpus else "cpu",
    }
    estimator = AgeEstimator(**given)
    estimator.check_takes_photos()
    if distribution and estimator.card.output_kind == "mean-spread":
        name = estimator.card.name
        raise UsageError(f"{name} answers with an age and its spread: there is no distribution")
    settings = {
        **estimator.settings,
        "sha256": estimator.card.sha256,
        "longest_side": longest_side,
        "gender": gender,
        "aligned": aligned,
        "distribution": distribution,
        "embeddings": embeddings,
        "shard_rows": shard_rows,
    } | ({"labelled": True} if labelled else {})
    cluster.load_ray(address)  # before any work
    folder = BulkFolder(os.fspath(output))
    with folder.lock(), TemporaryDirectory() as made:
        plan = plan_inputs(
            [os.fspath(word) for word in words],
            Path(made),
            shard_rows=shard_rows,
            columns=columns,
            root=root,
            recursive=recursive,
        )
        if labelled and any(one.kind != "table" for one in plan.files):
            raise UsageError("labelled faces are in tables: archives and loose photos say of none")
        schema, further = _schema(estimator, plan, distribution=distribution, embeddings=embeddings)
        manifest = folder.read_manifest()
        if manifest is None:
            manifest = _begin(folder, plan, Path(made), settings, further)
        else:
            folder.check_same(manifest, plan, Path(made), settings)
        job = Job(
            output=folder.location.absolute,
            folder=str(Path.cwd()),
            settings=given,
            schema=schema,
            further=further,
            distribution=distribution,
            threads=threads,
            labelled=labelled,
        )
        if not folder.is_whole():
            with _Watch(folder, manifest, on_progress) as watch:
                left = _left(plan, watch.done)
                if left:
                    with cluster.ray_running(address, on_ray), cluster.told_plainly():
                        for row in cluster.dataset(left, job, num_gpus).iter_rows():
                            watch.add(Counts.from_json(row["counts"]))
            watch.end()
    return read_status(os.fspath(output))


def _schema(
    estimator: AgeEstimator, plan: Plan, *, distribution: bool, embeddings: bool
) -> tuple[pa.Schema, dict[str, str]]:
    """The columns of every shard, and which of them each of the input's comes through as."""
    schema = arrow_schema(result_columns(len(estimator.age_scale) if distribution else 0))
    fields, metadata = list(schema), None
    if embeddings:
        from agelens.bulk.embeddings import embedding_field  # noqa: PLC0415 - where asked for

        field, metadata = embedding_field()
        fields.append(field)
    taken = {one.name for one in fields}
    further = {
        one.name: f"{INPUT_PREFIX}{one.name}" if one.name in taken else one.name
        for one in plan.fields
    }
    fields += [one.with_name(further[one.name]) for one in plan.fields]
    return pa.schema(fields, metadata), further


def _begin(
    folder: BulkFolder,
    plan: Plan,
    made: Path,
    settings: Mapping[str, Any],
    further: Mapping[str, str],
) -> dict[str, Any]:
    """Write what a new run is; the manifest comes last, so that the rest is there with it."""
    there = [info.base_name for info in folder.location.listed()]
    if there and there != [".lock"]:
        raise UsageError(
            f"{folder.location.shown} holds other files, such as {sorted(there)[-1]}: name a "
            "new folder"
        )
    for file in sorted(made.iterdir()):
        (folder.input / file.name).write(file.read_bytes())
    manifest = {
        "format": FORMAT,
        "fingerprint": plan.fingerprint,
        "photos": plan.photos,
        "shards": len(plan.shards),
        "settings": dict(settings),
        "columns": dict(further),
        "versions": _versions(),
        "begun": datetime.now(UTC).isoformat(timespec="seconds"),
        "inputs": [asdict(one) for one in plan.files],
    }
    folder.write_manifest(manifest)
    return manifest


def _versions() -> dict[str, str]:
    return {
        "agelens": __version__,
        "python": sys.version.partition(" ")[0],
        **{name: version(name) for name in ("ray", "onnxruntime", "pyarrow")},
    }


def _left(plan: Plan, done: set[int]) -> list[dict[str, bytes]]:
    """The shards that are not done, each packed with what is known of its file."""
    files = {one.name: one for one in plan.files}
    left = (shard for shard in plan.shards if shard.number not in done)
    return [{"shard": pickle.dumps((shard, files[shard.file]))} for shard in left]


class _Watch:
    """Counts what is done, and says so: to the caller, and in files for others.

    As a context it says every few seconds that somebody works, and in the end that nobody does:
    a shard may take minutes.
    """

    def __init__(
        self, folder: BulkFolder, manifest: Mapping[str, Any], on_progress: OnProgress | None
    ) -> None:
        folder.clear_attempts()
        self.done = folder.shards_done()
        self._folder, self._manifest, self._on_progress = folder, manifest, on_progress
        self._counts = folder.counts(sorted(self.done))
        self._before = self._counts.photos
        self._made = 0
        self._began = monotonic()
        self._stopped = Event()
        self._teller = Thread(target=self._keep_telling, daemon=True)
        self._tell(is_running=True)

    def __enter__(self) -> Self:
        self._teller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._teller.join()
        with suppress(OutputError):  # the disk is full, or the file system away: said elsewhere
            self._tell(is_running=False)

    def _keep_telling(self) -> None:
        with suppress(OutputError):
            while not self._stopped.wait(_TOLD_EVERY_SECONDS):
                self._tell(is_running=True)

    def add(self, counts: Counts) -> None:
        """A further shard is there."""
        self._counts.add(counts)
        self._made += 1
        if self._on_progress:
            self._on_progress(self._status(is_running=True))

    def end(self) -> None:
        """All shards are there."""
        counts = self._counts
        self._folder.write_manifest(
            {
                **self._manifest,
                "photos": counts.photos,
                "faces": counts.faces,
                "statuses": dict(sorted(counts.statuses.items())),
                "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            }
        )
        (self._folder.location / "_SUCCESS").write(b"")

    def _tell(self, *, is_running: bool) -> None:
        known = asdict(self._status(is_running=is_running)) | {"heard": time()}
        self._folder.progress.write(json.dumps(known).encode())

    def _status(self, *, is_running: bool) -> BulkStatus:
        seconds = monotonic() - self._began
        shards, done = int(self._manifest["shards"]), len(self.done) + self._made
        known = bool(self._made)
        return BulkStatus(
            shards_done=done,
            shards=shards,
            photos_done=self._counts.photos,
            photos=self._manifest["photos"],
            statuses=dict(self._counts.statuses),
            photos_a_second=(self._counts.photos - self._before) / seconds if known else None,
            seconds_left=(shards - done) * seconds / self._made if known else None,
            is_running=is_running,
            is_whole=done == shards,
        )
