"""A store in the making: shards that appear whole, and a journal of those that did.

`preparing.jsonl` says first how the store is made and of what, then names each shard that
is on disk, with its hash. A killed run leaves that; the next one checks the shards, makes
the others, and ends where an undisturbed run would. The journal goes when the card comes.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, BinaryIO, Final, Self

import numpy as np
import pandas as pd
import pyarrow as pa

from agelens.atomic import remove_partials, write_atomically
from agelens.data.formats.ldl import ROTATED_BOX
from agelens.data.store.card import CARD_NAME, ShardEntry
from agelens.data.store.cutting import Outcome
from agelens.errors import DatasetError, OutputError, UsageError
from agelens.records import Floats
from agelens.tables import BOX, COLUMNS, LANDMARKS, YEARS, SampleTable

PIXELS: Final = (*BOX, "roll_degrees", *LANDMARKS)
IMAGE: Final = "image"
OUTCOME_TYPES: Final = {
    "status": "string",
    "message": "string",
    "detection_score": "float32",
    "faces": "int32",
    **dict.fromkeys(ROTATED_BOX, "float32"),
}
_NONE: Final[Mapping[str, str]] = MappingProxyType({})
_SMALL_INTEGERS: Final = ("photo_year", "fold")


def kept_columns(table: SampleTable) -> dict[str, str]:
    """The extra columns that a store of `table` keeps, each with its Arrow type.

    Those that the store fills itself are left behind.
    """
    kept = [name for name in table.extra if name not in (*OUTCOME_TYPES, IMAGE)]
    return {name: _arrow_type(table.frame[name]) for name in kept}


def _arrow_type(values: pd.Series) -> str:
    if pd.api.types.is_bool_dtype(values):
        return "bool"
    if pd.api.types.is_integer_dtype(values):
        return "int64"
    return "float64" if pd.api.types.is_float_dtype(values) else "string"


def _schema(kept: Mapping[str, str]) -> pa.Schema:
    """Arrow's schema of a shard, with the note that makes `datasets` decode the chips."""
    from datasets import Features, Image, Value  # noqa: PLC0415 - takes seconds; readers need none

    types = dict.fromkeys(COLUMNS, "string")
    types |= dict.fromkeys(YEARS, "float64") | dict.fromkeys(PIXELS, "float32")
    types |= dict.fromkeys(_SMALL_INTEGERS, "int16") | OUTCOME_TYPES | dict(kept)
    features = {name: Value(dtype) for name, dtype in types.items()}
    return Features(features | {IMAGE: Image()}).arrow_schema


def shard_content(
    labels: pd.DataFrame,
    outcomes: Sequence[Outcome],
    kept: Mapping[str, str] = _NONE,
) -> bytes:
    """The file of one shard: `labels` are its rows of the sample table, with their outcomes.

    The same rows and outcomes give the same bytes. `kept` are further columns, with types.
    """
    schema = _schema(kept)
    columns: dict[str, Any] = {name: labels[name] for name in (*COLUMNS, *kept)}
    columns |= dict(zip(PIXELS, _pixels(labels, outcomes).T, strict=True))
    columns |= _outcome_columns(outcomes)
    arrays = [_array(columns[field.name], field) for field in schema if field.name != IMAGE]
    batch = pa.record_batch([*arrays, _chips(outcomes)], schema=schema)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(batch)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def open_shard(path: Path) -> pa.Table:
    """The rows of a shard, mapped into memory rather than read.

    Raises:
        DatasetError: it cannot be opened, or is no shard.
    """
    try:
        with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as stream:
            table = stream.read_all()
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(f"{path}: cannot be opened as a shard of chips ({error})") from error
    missing = {*COLUMNS, *OUTCOME_TYPES, IMAGE}.difference(table.column_names)
    if missing:
        raise DatasetError(f"{path}: is no shard of chips, it lacks {', '.join(sorted(missing))}")
    return table


def _array(values: Any, field: pa.Field) -> pa.Array:
    """Missing values of any kind become nulls, categories words.

    By way of plain objects: how a column lies in memory, which differs between a table that
    was read and one that was made, would else show in the file's bytes.
    """
    objects = pd.Series(values).astype(object)
    plain = objects.where(objects.notna(), None).tolist()
    if field.type == pa.string():  # an extra column may hold anything
        plain = [None if value is None else str(value) for value in plain]
    return pa.array(plain, field.type)


def _pixels(labels: pd.DataFrame, outcomes: Sequence[Outcome]) -> Floats:
    """Box, roll and landmarks [N, 15]: those of the chosen face, else as labelled."""
    pixels = labels[list(PIXELS)].to_numpy(dtype=np.float64, copy=True)
    for row, outcome in enumerate(outcomes):
        face = outcome.face
        if face is not None:
            pixels[row] = [*face.box_xyxy, face.roll_degrees, *face.landmarks.ravel()]
    return pixels


def _outcome_columns(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    nowhere = np.full(4, np.nan)
    rotated = [nowhere if o.rotated_xyxy is None else o.rotated_xyxy for o in outcomes]
    return {
        "status": [o.status for o in outcomes],
        "message": [o.message for o in outcomes],
        "detection_score": np.array([o.face.score if o.face else np.nan for o in outcomes]),
        "faces": [o.faces for o in outcomes],
        **dict(zip(ROTATED_BOX, np.stack(rotated).T, strict=True)),
    }


def _chips(outcomes: Sequence[Outcome]) -> pa.Array:
    encoded = pa.array([o.chip for o in outcomes], pa.binary())
    return pa.StructArray.from_arrays(
        [encoded, pa.nulls(len(outcomes), pa.string())],
        names=["bytes", "path"],
        mask=pa.array([o.chip is None for o in outcomes]),
    )


JOURNAL_NAME: Final = "preparing.jsonl"
_GO_ON: Final = (
    "What was prepared before is kept: make room and prepare again with the same options to go on"
)


class StoreJournal:
    """The folder of a store while it is prepared; one process at a time.

    Args:
        folder: new or empty, or what an earlier run with the same `identity` left.
        identity: how the store is made, and of what, as plain JSON types.

    Raises:
        UsageError: the folder holds other things, or another run is at work in it; or it
            was begun with another identity, and the message says what differs.
        OutputError: the folder cannot be written.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self.folder = folder
        self.shards: dict[int, ShardEntry] = {}
        path = folder / JOURNAL_NAME
        if folder.is_dir() and not path.exists() and any(folder.iterdir()):
            raise UsageError(f"{folder} holds other files: name a new or an empty folder")
        with _writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = path.open("ab+")
        try:
            self._resume(dict(identity))
        except BaseException:
            self._file.close()
            raise

    def commit(self, number: int, content: bytes, entry: ShardEntry) -> None:
        """Put a shard on disk whole, then into the journal.

        Raises:
            OutputError: it cannot be written; the shards before it are kept.
        """
        write_atomically(self.folder / entry.file, content, advice=_GO_ON)
        self._append(_line(number, entry))
        self.shards[number] = entry

    def finish(self, card: bytes) -> None:
        """Write the store's card and remove the journal."""
        write_atomically(self.folder / CARD_NAME, card, advice=_GO_ON)
        (self.folder / JOURNAL_NAME).unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._file.close()

    def _resume(self, identity: dict[str, Any]) -> None:
        with _writing(self.folder):
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                busy = f"another run is preparing {self.folder}: let it finish"
                raise UsageError(busy) from error
            remove_partials(self.folder)
        lines = self._whole_lines()
        if not lines:
            self._append(identity)
            return
        check_other(self.folder, json.loads(lines[0]), identity)
        for line in map(json.loads, lines[1:]):
            number, entry = line.pop("shard"), ShardEntry(**line)
            if is_whole(self.folder, entry):
                self.shards[number] = entry

    def _whole_lines(self) -> list[bytes]:
        """The journal's lines; what a kill tore at its end is cut off."""
        self._file.seek(0)
        content = self._file.read()
        end = content.rfind(b"\n") + 1
        with _writing(self.folder):
            self._file.truncate(end)
        return content[:end].splitlines()

    def _append(self, line: Mapping[str, Any]) -> None:
        with _writing(self.folder):
            self._file.write(_encoded(line))
            self._file.flush()
            os.fsync(self._file.fileno())


def reopen_journal(folder: Path, identity: Mapping[str, Any], shards: Sequence[ShardEntry]) -> None:
    """Turn a finished store into one in the making, whose damaged shards are made again."""
    lines = [identity, *(_line(number, entry) for number, entry in enumerate(shards))]
    write_atomically(folder / JOURNAL_NAME, b"".join(map(_encoded, lines)), advice=_GO_ON)
    (folder / CARD_NAME).unlink()


def check_other(folder: Path, made: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Raise where a store was made otherwise than is asked now.

    Raises:
        UsageError: naming each difference.
    """
    differing = [name for name in {**made, **asked} if made.get(name) != asked.get(name)]
    if differing:
        what = "; ".join(f"{n}: there {made.get(n)!r}, now {asked.get(n)!r}" for n in differing)
        raise UsageError(
            f"{folder} was prepared otherwise ({what}). Give the same options and table to go on "
            "with it, or name another folder"
        )


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}. {_GO_ON}") from error


def is_whole(folder: Path, entry: ShardEntry) -> bool:
    """Whether a shard is there with the size and hash that its entry says."""
    path = folder / entry.file
    if not path.is_file() or path.stat().st_size != entry.size_bytes:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == entry.sha256


def _line(number: int, entry: ShardEntry) -> dict[str, Any]:
    return {"shard": number, **entry.to_json()}


def _encoded(line: Mapping[str, Any]) -> bytes:
    return json.dumps(line).encode() + b"\n"
