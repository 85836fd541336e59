"""A store, opened: its chips, its labels, its journal, and proof that all are whole.

A store in the making has shards that appear whole, and a journal of those that did:
`preparing.json` says how the store is made and of what, and names each shard that is on disk,
with its hash. A killed run leaves that; the next one checks the shards, makes
the others, and ends where an undisturbed run would. The journal goes when the card comes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import cached_property
from html import escape
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from agelens.atomic import locked, remove_partials, write_atomically
from agelens.data.formats.ldl import ROTATED_BOX
from agelens.data.store.card import (
    CARD_NAME,
    ShardEntry,
    StoreCard,
    check_shard,
    decode_chip,
    is_whole,
)
from agelens.data.store.cutting import Outcome
from agelens.errors import DatasetError, OutputError, PhotoError, UsageError
from agelens.foreign_files import decoding, json_object
from agelens.records import RGB, Floats
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


if TYPE_CHECKING:
    import datasets

_TEXT = pd.StringDtype("pyarrow")


class ChipStore:
    """A prepared store, mapped into memory; safe to share between threads and to pickle.

    Rows are numbered as in the table that it was made from. Open one with `open`.
    """

    def __init__(self, folder: Path, card: StoreCard) -> None:
        self.folder = folder
        self.card = card
        self._shards = [open_shard(folder / shard.file) for shard in card.shards]
        self._starts = np.cumsum([0, *(shard.num_rows for shard in self._shards)])
        self._chips = [shard[IMAGE].chunk(0).field("bytes") for shard in self._shards]
        for shard, entry in zip(self._shards, card.shards, strict=True):
            if shard.num_rows != entry.rows:
                raise DatasetError(
                    f"{folder / entry.file}: {shard.num_rows} rows, not {entry.rows}"
                )

    @classmethod
    def open(cls, folder: str | Path, *, verify: bool = True) -> Self:
        """The store in `folder`.

        Args:
            folder: what `prepare` made.
            verify: read every shard and check its hash; False checks sizes only.

        Raises:
            DatasetError: no store; one not finished, or made by another version; or a shard
                that is missing or changed, which the message names.
        """
        folder = Path(folder)
        if not (folder / CARD_NAME).is_file():
            why = "this is none: make one of a table with agelens data prepare"
            if not folder.exists():
                why = "nothing is there: make one with agelens data prepare"
            elif (folder / JOURNAL_NAME).is_file():
                why = "this is not finished: prepare it again with the same options"
            raise DatasetError(f"{folder}: expected a chip store, and {why}")
        card = StoreCard.read(folder)
        for entry in card.shards:
            check_shard(folder, entry, content=verify)
        return cls(folder, card)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.folder, self.card)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __fspath__(self) -> str:
        return str(self.folder)

    def __repr__(self) -> str:
        what = f"{self.card.statuses.get('ok', 0):,} chips of {self.size} pixels"
        return f"ChipStore({self.folder}: {what}; {self.table.summary()})"

    def _repr_html_(self) -> str:
        return f"<p>{escape(repr(self))}</p>"

    def __getitem__(self, row: int) -> RGB:
        """The chip of `row`, uint8 [S, S, 3].

        Raises:
            IndexError: no such row.
            PhotoError: the row has no chip; its status and message say why.
            DatasetError: the chip is damaged, which `verify` finds on opening.
        """
        return self.decode_into(row, None)

    @property
    def size(self) -> int:
        """Side of every chip in pixels."""
        return int(self.card.settings["size"])

    def decode_into(self, row: int, out: RGB | None) -> RGB:
        """As `store[row]`, decoded into `out` uint8 [S, S, 3]."""
        shard, local = self._place(row)
        encoded = self._chips[shard][local]
        if not encoded.is_valid:
            status, why = (self._shards[shard][n][local].as_py() for n in ("status", "message"))
            raise PhotoError(f"row {row} of {self.folder} has no chip: {why}", status=status)
        chip = decode_chip(encoded.as_buffer(), out)
        if chip is None:
            raise DatasetError(
                f"{self.folder / self.card.shards[shard].file}: row {local} holds no chip of "
                f"{self.size} pixels; open the store with verify=True"
            )
        return chip

    @cached_property
    def table(self) -> SampleTable:
        """The sample table with box, roll and landmarks of the chosen faces written back.

        Rows without a chip keep what was labelled, and extra columns of the table that the
        store was made from are kept. A store prepared by two passes has the extra columns
        `rotated_x1` to `rotated_y2`: the box in the photo turned by `roll_degrees`, as LDL lists
        have it.
        """
        own = (*COLUMNS, *OUTCOME_TYPES, IMAGE)
        extra = [name for name in self._shards[0].column_names if name not in own]
        if self.card.settings["alignment"] == "rotate-crop":
            extra += ROTATED_BOX
        return SampleTable(self._columns((*COLUMNS, *extra)), tuple(extra))

    @cached_property
    def outcomes(self) -> pd.DataFrame:
        """What became of each row: `status`, `message`, `detection_score`, `faces` found."""
        return self._columns(("status", "message", "detection_score", "faces"))

    @property
    def has_chip(self) -> NDArray[np.bool_]:
        """Whether each row has a chip, [N]."""
        valid = [chips.is_valid().to_numpy(zero_copy_only=False) for chips in self._chips]
        return np.concatenate(valid)

    @cached_property
    def dataset(self) -> datasets.Dataset:
        """The store as a `datasets.Dataset`; its `image` column decodes to PIL images."""
        from datasets import Dataset, concatenate_datasets  # noqa: PLC0415 - takes seconds

        files = [str(self.folder / shard.file) for shard in self.card.shards]
        return concatenate_datasets([Dataset.from_file(file) for file in files])

    def _columns(self, names: tuple[str, ...]) -> pd.DataFrame:
        arrow = pa.concat_tables([shard.select(list(names)) for shard in self._shards])
        frame: pd.DataFrame = arrow.to_pandas(types_mapper={pa.string(): _TEXT}.get)
        return frame

    def _place(self, row: int) -> tuple[int, int]:
        if not -len(self) <= row < len(self):
            raise IndexError(f"row {row} of a store of {len(self)}")
        row %= len(self)
        shard = int(np.searchsorted(self._starts, row, side="right")) - 1
        return shard, row - int(self._starts[shard])
