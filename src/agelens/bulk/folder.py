"""The folder of a bulk run: shards of results, a manifest, how far it is, and whether it is whole.

shard-00000000.parquet   the results of one shard of the input, in its order
_manifest.json           inputs, settings, versions; in the end, counts by status
_progress.json           how far the run is, for whoever asks from elsewhere
_SUCCESS                 is there once every shard is
_input/                  lists of photos and rows of CSV tables, for the workers
_attempts/               shards under way: how often each was begun, and what killed a worker
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import time
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from agelens.atomic import locked
from agelens.bulk.filesystems import Location
from agelens.bulk.inputs import InputFile, PhotoColumns, Plan, difference
from agelens.bulk.listing import listing_difference
from agelens.errors import OutputError, UsageError
from agelens.foreign_files import decoding, parse_json

FORMAT: Final = "agelens-bulk/1"
COUNTS_KEY: Final = b"agelens.bulk"
"""Key of a shard's schema under which its counts stand."""
_SHARD: Final = re.compile(r"shard-(\d{8,})\.parquet$")
_STALE_SECONDS: Final = 60
_STATED: Final = ("fingerprint", "photos", "shards", "settings", "columns", "inputs")


@dataclass(slots=True)
class Counts:
    """How many photos and faces there are, and how many photos have each status."""

    photos: int = 0
    faces: int = 0
    statuses: Counter[str] = field(default_factory=Counter)

    def add(self, other: Counts) -> None:
        """Count those of `other` too."""
        self.photos += other.photos
        self.faces += other.faces
        self.statuses.update(other.statuses)

    def to_json(self) -> str:
        """As text, in one order."""
        statuses = dict(sorted(self.statuses.items()))
        return json.dumps({"photos": self.photos, "faces": self.faces, "statuses": statuses})

    @classmethod
    def from_json(cls, text: str | bytes) -> Counts:
        """What `to_json` gave."""
        known = parse_json(text)
        return cls(known["photos"], known["faces"], Counter(known["statuses"]))


@dataclass(frozen=True, slots=True)
class BulkStatus:
    """How far a run is. `photos` is None where archives hide how many there are.

    `photos_a_second` and `seconds_left` are those of the process that works now, None where none
    does; `is_running` is whether one was heard of in the last minute.
    """

    shards_done: int
    shards: int
    photos_done: int
    photos: int | None
    statuses: Mapping[str, int]
    photos_a_second: float | None
    seconds_left: float | None
    is_running: bool
    is_whole: bool


class BulkFolder:
    """Where a run writes; see the module.

    Args:
        name: a local folder or a URL.
    """

    def __init__(self, name: str) -> None:
        self.location = Location(name)

    @property
    def manifest(self) -> Location:
        """Where the manifest is."""
        return self.location / "_manifest.json"

    @property
    def progress(self) -> Location:
        """Where the run says how far it is."""
        return self.location / "_progress.json"

    @property
    def input(self) -> Location:
        """Where lists of photos and the rows of CSV tables are."""
        return self.location / "_input"

    def shard(self, number: int) -> Location:
        """Where a shard's results are."""
        return self.location / f"shard-{number:08d}.parquet"

    def attempts(self, number: int) -> Location:
        """Where a worker notes that it has begun a shard."""
        return self.location / "_attempts" / f"{number:08d}.json"

    def lock(self) -> AbstractContextManager[None]:
        """Keep other runs of this machine out while the context lasts.

        Raises:
            UsageError: another one is at work there.
            OutputError: the folder cannot be made.
        """
        if not self.location.is_local:
            return nullcontext()
        folder = Path(self.location.name)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make the folder {folder}: {error.strerror}") from error
        busy = f"{folder}: another agelens bulk is at work there; agelens bulk --status {folder}"
        return locked(folder / ".lock", busy)

    def read_manifest(self) -> dict[str, Any] | None:
        """What a run wrote of itself, or None where there was none.

        Raises:
            UsageError: it cannot be read, or was written by another version's run.
        """
        try:
            content = self.manifest.read()
        except FileNotFoundError:
            return None
        with decoding(self.manifest.shown, "a manifest of agelens bulk", UsageError):
            manifest = dict(parse_json(content))
            if manifest["format"] != FORMAT:
                raise UsageError(
                    f"{self.manifest.shown}: written as {manifest['format']}, and this is {FORMAT}"
                )
            return {name: manifest[name] for name in _STATED} | manifest

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Write or replace the manifest."""
        self.manifest.write(json.dumps(manifest, indent=2).encode() + b"\n")

    def is_whole(self) -> bool:
        """Whether every shard is there."""
        try:
            (self.location / "_SUCCESS").read()
        except FileNotFoundError:
            return False
        return True

    def shards_done(self) -> set[int]:
        """The numbers of the shards whose results are there."""
        names = (_SHARD.search(info.path) for info in self.location.listed())
        return {int(name[1]) for name in names if name}

    def counts(self, numbers: Iterable[int]) -> Counts:
        """What stands in the footers of these shards, together."""
        found = Counts()
        for number in numbers:
            found.add(shard_counts(self.shard(number)))
        return found

    def check_same(
        self, manifest: Mapping[str, Any], plan: Plan, made: Path, now: Mapping[str, Any]
    ) -> None:
        """Make sure that a run goes on with what it was begun with.

        Args:
            manifest: of the run that was begun.
            plan: the input as it is now.
            made: the lists of photos as they are now.
            now: the settings as they are now.

        Raises:
            UsageError: inputs or settings differ; the message says in what.
        """
        with decoding(self.manifest.shown, "a manifest of agelens bulk", UsageError):
            self._check_same(manifest, plan, made, now)

    def _check_same(
        self, manifest: Mapping[str, Any], plan: Plan, made: Path, now: Mapping[str, Any]
    ) -> None:
        way_out = "Give the same, or name another folder with -o"
        before = manifest["settings"]
        names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        if "model" in names:
            names = [name for name in names if name != "sha256"]  # says nothing further
        changed = [f"{name} was {before.get(name)!r} and is {now.get(name)!r}" for name in names]
        where = self.location.shown
        if changed:
            raise UsageError(f"{where} was begun otherwise: {', '.join(changed)}. {way_out}")
        if manifest["fingerprint"] == plan.fingerprint:
            return
        old = [input_file(one) for one in manifest["inputs"]]
        told = difference(old, plan.files)
        known = {one.name: one for one in old}
        for one in plan.files:
            if one.kind == "photos" and one.name in known and known[one.name] != one:
                listed = self.input / f"{one.name}.parquet"
                told = listing_difference(listed, made / f"{one.name}.parquet") or told
        raise UsageError(f"{where} was begun with other inputs: {told}. {way_out}")

    def clear_attempts(self) -> None:
        """Forget what was under way when the last run ended."""
        for info in (self.location / "_attempts").listed():
            number = re.search(r"(\d{8,})\.json$", info.path)
            if number:
                self.attempts(int(number[1])).remove()


def input_file(known: Mapping[str, Any]) -> InputFile:
    """One of a manifest's inputs."""
    return InputFile(**{**known, "columns": PhotoColumns(**known["columns"])})


def shard_counts(shard: Location) -> Counts:
    """What stands in the footer of a shard.

    Raises:
        FileNotFoundError: there is no such file.
        OutputError: it is not what this package wrote.
    """
    with shard.open_file() as file, decoding(shard.shown, "a shard of agelens bulk", OutputError):
        return Counts.from_json(pq.read_schema(file).metadata[COUNTS_KEY])


def write_shard(table: pa.Table, counts: Counts, shard: Location) -> None:
    """Write the results of a shard; the file appears whole or not at all."""
    known = {**(table.schema.metadata or {}), COUNTS_KEY: counts.to_json().encode()}
    buffer = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(known), buffer)
    shard.write(buffer.getvalue().to_pybytes())


def read_status(folder: str) -> BulkStatus:
    """How far the run in `folder` is, whoever works on it.

    Raises:
        UsageError: there is none, or its files are damaged.
    """
    found = BulkFolder(folder)
    manifest = found.read_manifest()
    if manifest is None:
        raise UsageError(f"{folder}: there is no bulk run, as it has no _manifest.json")
    with decoding(found.progress.shown, "how far agelens bulk is", UsageError, advice=_DELETE):
        return _status(found, manifest)


_DELETE: Final = "Delete it: the same agelens bulk goes on without"


def _status(found: BulkFolder, manifest: Mapping[str, Any]) -> BulkStatus:
    told: dict[str, Any] = {}
    with suppress(FileNotFoundError):  # the run has only begun
        told = parse_json(found.progress.read())
    whole = found.is_whole()
    heard = time() - told.get("heard", 0) < _STALE_SECONDS
    running = not whole and heard and told["is_running"]
    return BulkStatus(
        shards_done=told["shards_done"] if running else len(found.shards_done()),
        shards=manifest["shards"],
        photos_done=int(told.get("photos_done", 0)),
        photos=manifest["photos"],
        statuses={name: int(count) for name, count in told.get("statuses", {}).items()},
        photos_a_second=told.get("photos_a_second") if running else None,
        seconds_left=told.get("seconds_left") if running else None,
        is_running=running,
        is_whole=whole,
    )
