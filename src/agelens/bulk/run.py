"""A bulk run from the top: plan the shards, let Ray Data spread them over workers, count.

Ray Data schedules, and starts work again that a dead worker or machine leaves behind. What this
package adds is that a shard's results appear whole or not at all, so that doing one again, in this
run or a later one, changes nothing.
"""

from __future__ import annotations

import json
import logging
import os
import pickle
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from threading import current_thread, main_thread
from time import monotonic, time
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import pyarrow as pa

from agelens.bulk.folder import FORMAT, BulkFolder, BulkStatus, Counts, read_status
from agelens.bulk.inputs import Plan, plan_inputs
from agelens.bulk.shards import Job, ShardWorker
from agelens.errors import AgelensError, MissingDependencyError, OutputError, UsageError
from agelens.imaging.detectors import DEFAULT_LONGEST_SIDE, Detector
from agelens.inference.cards import DEFAULT_MODEL
from agelens.inference.estimator import AgeEstimator
from agelens.inference.result_files import arrow_schema, result_columns
from agelens.version import __version__

if TYPE_CHECKING:
    from ray.data import Dataset

OnProgress: TypeAlias = Callable[[BulkStatus], Any]
"""Called with how far the run is, after each shard."""

DEFAULT_SHARD_ROWS: Final = 1000
DEFAULT_THREADS: Final = 2
INPUT_PREFIX: Final = "input_"
"""Stands before a column of the input that results have one of the same name as."""
_OBJECT_STORE_BYTES: Final = 128 * 2**20  # counts of shards are all that is in it
_TOLD_EVERY_SECONDS: Final = 2.0
_MOST_BLOCKS: Final = 5000
_ANSWER_SECONDS: Final = 10


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
    _ray(address)  # before any work
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
            watch = _Watch(folder, manifest, on_progress)
            left = _left(plan, watch.done)
            if left:
                with _ray_running(address, on_ray), _told_plainly():
                    for row in _dataset(left, job, num_gpus).iter_rows():
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
    """Counts what is done, and says so: to the caller, and in files for others."""

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
        self._tell()

    def add(self, counts: Counts) -> None:
        """A further shard is there."""
        self._counts.add(counts)
        self._made += 1
        if monotonic() - self._told > _TOLD_EVERY_SECONDS:
            self._tell()
        if self._on_progress:
            self._on_progress(self._status())

    def end(self) -> None:
        """All shards are there."""
        self._tell()
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

    def _tell(self) -> None:
        self._told = monotonic()
        known = asdict(self._status()) | {"heard": time()}
        self._folder.progress.write(json.dumps(known).encode())

    def _status(self) -> BulkStatus:
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
            is_running=True,
            is_whole=done == shards,
        )


def _ray(address: str | None = None) -> Any:
    """Ray, told before it is loaded to send nothing to its makers, and to answer nobody else.

    Raises:
        MissingDependencyError: it is not installed.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if address is None and "ray" not in sys.modules:
        # It listens on the machine's address: nobody without this word may ask it for anything.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", token_hex(32))
    try:
        import ray  # noqa: PLC0415 - no other lane may load it
        import ray.data  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"a bulk run needs {error.name}: pip install 'agelens[bulk]'"
        ) from error
    return ray


@contextmanager
def _ray_running(address: str | None, on_start: Callable[[], Any] | None) -> Iterator[None]:
    """Ray for as long as the context lasts; one that runs in this process already is left on.

    Raises:
        UsageError: there is no cluster at `address`.
        OutputError: Ray does not start in the 30 seconds that it gives itself.
    """
    ray = _ray()
    if ray.is_initialized():
        yield
        return
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        if on_start:
            on_start()
        options |= {"include_dashboard": False, "object_store_memory": _OBJECT_STORE_BYTES}
    else:
        check_answers(address)
        options["address"] = address
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(**options)
    except ConnectionError as error:
        raise UsageError(f"--address {address}: there is no Ray cluster: {error}") from error
    except Exception as error:
        if type(error) is not Exception:  # Ray has no type of its own for this
            raise
        told = f"Ray did not start: {error} On a machine that is less busy the same command goes on"
        raise OutputError(told) from error
    finally:
        if current_thread() is main_thread():  # or Ray would end this process in its own way
            signal.signal(signal.SIGTERM, on_sigterm)
    try:
        yield
    finally:
        ray.shutdown()


def check_answers(address: str) -> None:
    """Make sure that something listens at the address of a cluster: Ray would wait for minutes.

    Raises:
        UsageError: nothing does.
    """
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not port.isdigit():
        return  # "auto", which Ray looks up
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise UsageError(f"--address {address}: there is no Ray cluster: {error}") from error


@contextmanager
def _told_plainly() -> Iterator[None]:
    """An error of agelens that a worker raised, as if it had been raised here."""
    ray = _ray()
    try:
        yield
    except ray.exceptions.RayError as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, AgelensError):
            cause = getattr(cause, "cause", None) or cause.__cause__
        if cause is None:
            raise
        raise cause from None


def _dataset(packed: list[dict[str, bytes]], job: Job, num_gpus: int) -> Dataset:
    """The shards, each to be done by one of as many workers as the cluster has room for."""
    ray = _ray()
    cores = [int(one["Resources"].get("CPU", 0)) for one in ray.nodes() if one["Alive"]]
    threads = min(job.threads, max(cores))
    workers = num_gpus or max(1, sum(count // threads for count in cores))
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # errors are raised as well
    blocks = min(len(packed), _MOST_BLOCKS)
    shards: Dataset = ray.data.from_items(packed, override_num_blocks=blocks)
    return shards.map_batches(
        ShardWorker,
        fn_constructor_args=(replace(job, threads=threads),),
        batch_size=1,
        num_cpus=threads,
        num_gpus=1 if num_gpus else None,
        # One shard at a time: what waits behind another one would wait for a dead worker.
        compute=ray.data.ActorPoolStrategy(
            size=min(workers, len(packed)), max_tasks_in_flight_per_actor=1
        ),
    )
