"""What a bulk run is given, as shards: photos by name, rows of tables, WebDataset archives.

Planning looks at names, sizes and times of change, never into a photo. It writes what workers
need beside the results: lists of photos, and the rows of CSV tables, as Parquet.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Final, Literal, TypeAlias

import pyarrow as pa
import pyarrow.csv
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from agelens.bulk.filesystems import Location, is_url, joined, split_options
from agelens.bulk.listing import WILDCARDS, remote_files, write_list
from agelens.errors import TableError, UsageError
from agelens.foreign_files import decoding
from agelens.imaging.sources import expand
from agelens.tables.mapping import usual_columns

Kind: TypeAlias = Literal["photos", "table", "tar"]

TAR_COLUMNS: Final = pa.schema([(name, pa.string()) for name in ("key", "json", "txt", "cls")])
"""What comes beside a photo in a WebDataset archive."""
_TABLES: Final = (".parquet", ".csv", ".tsv")
_TARS: Final = (".tar", ".tar.gz", ".tgz")
_SHOWN: Final = 3
_LOOKED_AT: Final = 100


@dataclass(frozen=True, slots=True)
class Shard:
    """A part of the input that becomes one file of results.

    `file` is a list of photos below the results' folder, a table or an archive, of which this are
    `rows` rows from `start`; an archive is taken whole, and has as many as it has.
    """

    number: int
    kind: Kind
    file: str
    start: int
    rows: int | None


@dataclass(frozen=True, slots=True)
class PhotoColumns:
    """The columns of tables that hold photos: `path` of them, or the `bytes` themselves."""

    path: str | None = None
    bytes: str | None = None


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file that was given, or made of what was given; a run is resumed where all are as before.

    `digest` is of the content of a list of photos, with their sizes and times.
    """

    name: str
    kind: Kind
    rows: int | None
    size: int | None = None
    changed: int | None = None
    digest: str | None = None
    columns: PhotoColumns = PhotoColumns()
    roots: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The input of a run: its files, its further columns, and its photos, None if not counted."""

    files: tuple[InputFile, ...]
    fields: pa.Schema
    shard_rows: int

    @property
    def photos(self) -> int | None:
        """How many photos there are, where archives do not hide it."""
        rows = [one.rows for one in self.files]
        return None if None in rows else sum(row for row in rows if row is not None)

    @property
    def fingerprint(self) -> str:
        """A hash of what the files are."""
        digest = hashlib.sha256()
        for one in self.files:
            digest.update(repr(asdict(one)).encode())
        return digest.hexdigest()

    @property
    def shards(self) -> list[Shard]:
        """All shards, numbered in the order of the input."""
        return [Shard(number, *part) for number, part in enumerate(self._parts())]

    def _parts(self) -> Iterator[tuple[Kind, str, int, int | None]]:
        for one in self.files:
            if one.rows is None:
                yield one.kind, one.name, 0, None
                continue
            for start in range(0, one.rows, self.shard_rows):
                yield one.kind, one.name, start, min(self.shard_rows, one.rows - start)


def plan_inputs(
    inputs: Iterable[str],
    folder: Path,
    *,
    shard_rows: int,
    columns: Mapping[str, str] | None = None,
    root: str | None = None,
    recursive: bool = False,
) -> Plan:
    """Look at what was given, and write what workers need of it into `folder`.

    Args:
        inputs: photos, folders, patterns, ``-`` or a `.txt` file for a list of them; tables of
            paths or bytes (.parquet, .csv, .tsv); WebDataset archives (.tar, .tar.gz).
        folder: a local folder for lists and for the rows of CSV tables.
        shard_rows: photos of a shard.
        columns: which column of the tables is the ``path``, or has the ``bytes``.
        root: the folder that the paths of tables begin in; by default where a table says, or
            its own folder.
        recursive: also search the folders below each folder.

    Raises:
        UsageError: there are no photos in all of it, or a mapping of other columns.
        TableError: a table cannot be read, or two have columns of one name and two types.
    """
    unknown = sorted(set(columns or {}) - {"path", "bytes"})
    if unknown:
        raise UsageError(
            f"--columns says which column is the path of a photo, or has its bytes, not "
            f"{', '.join(unknown)}: other columns come through as they are"
        )
    told = PhotoColumns(**dict(columns or {}))
    files: list[InputFile] = []
    fields: dict[str, pa.Field] = {}
    for is_loose, group in groupby(_words(inputs), key=lambda word: _kind_of(word) == "photos"):
        if is_loose:
            name = f"photos-{len(files):04d}"
            target = folder / f"{name}.parquet"
            rows, digest = write_list(group, target, shard_rows, recursive=recursive)
            files += [InputFile(name, "photos", rows, digest=digest)] if rows else []
            continue
        for word in group:
            if _kind_of(word) == "tar":
                files.append(_fact(Location(word), "tar", None))
                _merge(fields, TAR_COLUMNS, word)
            else:
                made, schema = _table(Location(word), folder, len(files), told, root)
                files.append(made)
                _merge(fields, schema, word)
    plan = Plan(tuple(files), pa.schema(list(fields.values())), shard_rows)
    if not plan.shards:
        raise UsageError("there are no photos in all of that; see agelens bulk --help")
    return plan


def _kind_of(word: str) -> Kind:
    name = Location(word).shown.lower()
    return "tar" if name.endswith(_TARS) else "table" if name.endswith(_TABLES) else "photos"


def _words(inputs: Iterable[str]) -> Iterator[str]:
    """`inputs`, in which patterns of tables and archives are replaced by what they match."""
    for word in inputs:
        is_pattern = bool(WILDCARDS.intersection(split_options(word)[0]))
        if _kind_of(word) == "photos" or not is_pattern:
            yield word
            continue
        if is_url(word):
            found = [one.name for one, _ in remote_files(word, recursive=True, suffixes=())]
        else:
            found = [one.path.as_posix() for one in expand([word]) if one.problem is None]
        if not found:
            raise UsageError(f"{word}: nothing matches it as a pattern; check it")
        yield from found


def _fact(location: Location, kind: Kind, rows: int | None) -> InputFile:
    """What is known of a file that was given.

    Raises:
        UsageError: there is none.
    """
    try:
        info = location.info()
    except OSError as error:
        raise UsageError(f"{location.shown}: cannot be looked up: {error}") from error
    if info.type != pafs.FileType.File:
        raise UsageError(f"{location.shown}: there is no such file")
    return InputFile(location.name, kind, rows, info.size, info.mtime_ns)


def _table(
    given: Location, folder: Path, number: int, told: PhotoColumns, root: str | None
) -> tuple[InputFile, pa.Schema]:
    """A table, and its columns that come through; the rows of a CSV are written as Parquet."""
    fact = _fact(given, "table", 0)
    with decoding(given.shown, "a table", TableError):
        if given.shown.lower().endswith(".parquet"):
            with pq.ParquetFile(given.open_file()) as table:
                schema, rows = table.schema_arrow, table.metadata.num_rows
            name = given.name
        else:
            name = f"table-{number:04d}"
            schema, rows = _csv_as_parquet(given, folder / f"{name}.parquet")
    columns = photo_columns(given.shown, schema, told)
    said = json.loads((schema.metadata or {}).get(b"PANDAS_ATTRS", b"{}")).get("roots") or {}
    roots = {"": root if root is not None else given.parent}
    roots |= {} if root is not None else {str(one): str(where) for one, where in said.items()}
    if columns.bytes is None and columns.path is not None:
        first = given if name == given.name else Location(str(folder / f"{name}.parquet"))
        _check_roots(given, first, columns.path, roots)
    kept = [one for one in schema if one.name != columns.bytes]
    made = replace(fact, name=name, rows=rows, columns=columns, roots=roots)
    return made, pa.schema(kept)


def _check_roots(given: Location, table: Location, column: str, roots: Mapping[str, str]) -> None:
    """Make sure that a table is not looked for in a wrong place: a row each would say so.

    Raises:
        UsageError: none of its first photos is there.
    """
    with pq.ParquetFile(table.open_file()) as stored:
        first = next(stored.iter_batches(_LOOKED_AT, columns=[column]), None)
    paths = [str(path) for path in first.column(0).to_pylist() if path] if first else []
    where = [joined(root, path) for root in roots.values() for path in paths]
    if any(is_url(path) for path in where) or not where:
        return
    if not any(os.path.exists(path) for path in where):  # noqa: PTH110 - takes any name
        raise UsageError(
            f"{given.shown}: none of its first {len(paths):,} photos is there, not even "
            f"{where[0]}: give the folder that its paths begin in as root (--root)"
        )


def photo_columns(name: str, schema: pa.Schema, told: PhotoColumns) -> PhotoColumns:
    """Which columns have the photos of a table: as told, or as their names and types say.

    Raises:
        TableError: none has, or there is none of that name.
    """
    for column in (told.path, told.bytes):
        if column is not None and column not in schema.names:
            found = ", ".join(schema.names)
            raise TableError(f"{name}: there is no column {column!r}; found: {found}")
    if told.path or told.bytes:
        return told
    holding = [one.name for one in schema if _holds_photos(one.type)]
    if len(holding) == 1:
        return PhotoColumns(bytes=holding[0])
    usual = usual_columns("path", schema.names)
    if usual:
        return PhotoColumns(path=usual[0])
    raise TableError(
        f"{name}: no column is known to hold paths of photos, or their bytes; found: "
        f"{', '.join(schema.names)}. Say which: --columns path=COLUMN, or bytes=COLUMN"
    )


def _holds_photos(kind: pa.DataType) -> bool:
    """Whether values are bytes, or a picture as Hugging Face's datasets have them."""
    if pa.types.is_struct(kind):
        return bool(kind.get_field_index("bytes") >= 0)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _csv_as_parquet(given: Location, target: Path) -> tuple[pa.Schema, int]:
    """All columns as the text that they are; returns them, and how many rows there are."""
    with given.open_stream() as file:
        head = file.read(2**16).partition(b"\n")[0].decode("utf-8-sig").rstrip("\r")
    delimiter = max(",;\t", key=head.count)
    names = next(csv.reader([head], delimiter=delimiter), [])
    text = dict.fromkeys(names, pa.string())
    rows = 0
    with (
        given.open_stream() as file,
        pyarrow.csv.open_csv(
            file,
            parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(column_types=text),
        ) as reader,
        pq.ParquetWriter(target, reader.schema) as writer,
    ):
        for batch in reader:
            writer.write_batch(batch)
            rows += batch.num_rows
    return reader.schema, rows


def _merge(fields: dict[str, pa.Field], schema: pa.Schema, name: str) -> None:
    """Add the columns of one table to those of all.

    Raises:
        TableError: another table has a column of that name and another type.
    """
    for field in schema:
        known = fields.setdefault(field.name, field.remove_metadata())
        if known.type != field.type:
            raise TableError(
                f"{name}: the column {field.name!r} is {field.type}, and {known.type} in a table "
                "before it: give them one type, or label them in two runs"
            )


def difference(before: Sequence[InputFile], now: Sequence[InputFile]) -> str:
    """In what two inputs differ, in words; nothing where they do not."""
    named_before, named_now = ({one.name: one for one in files} for files in (before, now))
    told = {
        "new": [name for name in named_now if name not in named_before],
        "gone": [name for name in named_before if name not in named_now],
        "changed": [name for name, one in named_now.items() if named_before.get(name, one) != one],
    }
    parts = [
        f"{len(names):,} {what} ({', '.join(names[:_SHOWN])}{', ...' * (len(names) > _SHOWN)})"
        for what, names in told.items()
        if names
    ]
    return ", ".join(parts) or ("the order of the inputs" if tuple(before) != tuple(now) else "")
