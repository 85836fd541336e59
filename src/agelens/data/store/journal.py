"""A store in the making: shards that appear whole, and a journal of those that did.

`preparing.json` says how the store is made and of what, and names each shard that is on disk,
with its hash. A killed run leaves that; the next one checks the shards, makes
the others, and ends where an undisturbed run would. The journal goes when the card comes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Self

import numpy as np
import pandas as pd
import pyarrow as pa

from agelens.atomic import locked, remove_partials, write_atomically
from agelens.data.formats.ldl import ROTATED_BOX
from agelens.data.store.card import CARD_NAME, ShardEntry, is_whole
from agelens.data.store.cutting import Outcome
from agelens.errors import DatasetError, OutputError, UsageError
from agelens.foreign_files import decoding, json_object
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
    with (
        decoding(path, "a shard of chips", DatasetError),
        pa.memory_map(str(path)) as file,
        pa.ipc.open_stream(file) as stream,
    ):
        table = stream.read_all()
        table.validate(full=True)  # or what is damaged in it would be followed out of the file
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
            roll = face.roll_degrees if outcome.roll_degrees is None else outcome.roll_degrees
            pixels[row] = [*face.box_xyxy, roll, *face.landmarks.ravel()]
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


JOURNAL_NAME: Final = "preparing.json"
_LOCK_NAME: Final = "preparing.lock"
_GO_ON: Final = (
    "What was prepared before is kept: make room and prepare again with the same options to go on"
)


class StoreJournal:
    """The folder of a store while it is prepared; one process at a time.

    Args:
        folder: new or empty, or what an earlier run with the same `identity` left.
        identity: how the store is made, and of what, as plain JSON types.
        shards: entries of a finished store, some of whose shards are damaged and made again.

    Raises:
        UsageError: the folder holds other things, or another run is at work in it; or it
            was begun with another identity, and the message says what differs.
        OutputError: the folder cannot be written.
    """

    def __init__(
        self, folder: Path, identity: Mapping[str, Any], shards: Sequence[ShardEntry] = ()
    ) -> None:
        self.folder, self.identity = folder, dict(identity)
        self._path = folder / JOURNAL_NAME
        begun = shards or self._path.exists() or not folder.is_dir()
        if not begun and any(path.name != _LOCK_NAME for path in folder.iterdir()):
            raise UsageError(f"{folder} holds other files: name a new or an empty folder")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot write {folder}: {error.strerror}. {_GO_ON}") from error
        busy = f"another run is preparing {folder}: let it finish"
        with ExitStack() as held:
            held.enter_context(locked(folder / _LOCK_NAME, busy))
            remove_partials(folder)
            known = dict(enumerate(shards)) or self._known()
            self.shards = {n: entry for n, entry in known.items() if is_whole(folder, entry)}
            self._save()
            self._held = held.pop_all()

    def commit(self, number: int, content: bytes, entry: ShardEntry) -> None:
        """Put a shard on disk whole, then into the journal.

        Raises:
            OutputError: it cannot be written; the shards before it are kept.
        """
        write_atomically(self.folder / entry.file, content, advice=_GO_ON)
        self.shards[number] = entry
        self._save()

    def finish(self, card: bytes) -> None:
        """Write the store's card and remove the journal."""
        write_atomically(self.folder / CARD_NAME, card, advice=_GO_ON)
        self._path.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def _known(self) -> dict[int, ShardEntry]:
        """The shards that an earlier run made; none where it was no run of this kind."""
        if not self._path.exists():
            return {}
        try:
            document = json_object(self._path, DatasetError)
            with decoding(self._path, "a journal", DatasetError):
                check_other(self.folder, document["identity"], self.identity)
                return {int(n): ShardEntry(**one) for n, one in document["shards"].items()}
        except DatasetError:
            return {}

    def _save(self) -> None:
        shards = {number: asdict(entry) for number, entry in self.shards.items()}
        document = json.dumps({"identity": self.identity, "shards": shards})
        write_atomically(self._path, document.encode(), advice=_GO_ON)


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
