"""The photos of one shard, one at a time, and the columns that stand beside them."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, cast

import pyarrow as pa
import pyarrow.parquet as pq

from agelens.bulk.filesystems import Location, RemotePhoto, check_size, is_url, joined
from agelens.bulk.inputs import TAR_COLUMNS, InputFile, Shard
from agelens.errors import PhotoError, PhotoStatus
from agelens.imaging.folders import FOLDERS
from agelens.imaging.photos import display_name
from agelens.imaging.sources import PHOTO_SUFFIXES
from agelens.inference.photo_preparation import PhotoLike

_PHOTOS_AT_A_TIME: Final = 32
_ROWS_AT_A_TIME: Final = 8192
_LARGEST_TEXT: Final = 2**20


class NamedBytes(io.BytesIO):
    """An encoded photo in memory, with the name that results call it by."""

    def __init__(self, content: bytes, name: str) -> None:
        super().__init__(content)
        self.name = name

    def __reduce__(self) -> tuple[Any, ...]:
        return NamedBytes, (self.getvalue(), self.name)


@dataclass(frozen=True, slots=True)
class ShardInput:
    """One shard of `file`; lists of photos and rows of CSV tables are in `folder`."""

    shard: Shard
    file: InputFile
    folder: Location

    def photos(self, texts: list[dict[str, str | None]]) -> Iterator[PhotoLike]:
        """Its photos in order, or why there is none in a row's place.

        Their folders are those of `agelens.imaging.folders`.

        Args:
            texts: filled with what stands beside each photo of an archive.
        """
        if self.shard.kind == "photos":
            yield from self._listed()
        elif self.shard.kind == "tar":
            for photo, beside in self._members():
                texts.append(beside)
                yield photo
        elif self.file.columns.bytes is not None:
            yield from self._of_bytes(self.file.columns.bytes)
        else:
            yield from self._of_paths(self.file.columns.path or "")

    def columns(self) -> pa.Table:
        """What stands beside the photos, a row each; of an archive, `photos` tells it."""
        if self.shard.kind != "table":
            nothing = pa.nulls(self.shard.rows or 0)
            return pa.table({"": nothing}).select([])
        with pq.ParquetFile(self._table().open_file(), pre_buffer=False) as table:
            kept = [one for one in table.schema_arrow.names if one != self.file.columns.bytes]
            batches = list(self._rows(table, kept, _ROWS_AT_A_TIME))
            schema = pa.schema([table.schema_arrow.field(one) for one in kept])
        return pa.Table.from_batches(batches, schema.remove_metadata())

    def _members(self) -> Iterator[tuple[PhotoLike, dict[str, str | None]]]:
        """The photos of an archive with their key and texts, in its order.

        A sample is all files of one name up to its first point, one after the other. An archive
        that is damaged ends in a row that says so.
        """
        location = Location(self.shard.file)
        sample: list[tuple[str, bytes | PhotoError]] = []
        key: str | None = None
        try:
            with location.open_stream() as file, tarfile.open(fileobj=file, mode="r|*") as archive:
                for member in archive:
                    if not member.isfile():
                        continue
                    path = PurePosixPath(member.name)
                    found = str(path.with_name(path.name.partition(".")[0] or path.name))
                    if key is not None and found != key:
                        yield from self._sample(location, key, sample)
                        sample = []
                    key = found
                    sample.append((member.name, _content(archive, member)))
            damage = None
        except (tarfile.TarError, OSError, EOFError) as error:
            damage = f"{location.shown}: the archive is damaged: {error}"
        if key is not None:
            yield from self._sample(location, key, sample)
        if damage is not None:
            yield PhotoError(damage, source=location.shown), dict.fromkeys(TAR_COLUMNS.names)

    def _sample(
        self, location: Location, key: str, files: Sequence[tuple[str, bytes | PhotoError]]
    ) -> Iterator[tuple[PhotoLike, dict[str, str | None]]]:
        texts: dict[str, str | None] = dict.fromkeys(TAR_COLUMNS.names) | {"key": key}
        photos = []
        for name, content in files:
            suffix = PurePosixPath(name).suffix.lower()
            if suffix in PHOTO_SUFFIXES:
                photos.append((name, content))
            elif suffix[1:] in texts and isinstance(content, bytes):
                texts[suffix[1:]] = content[:_LARGEST_TEXT].decode("utf-8", "replace")
        for name, content in photos:
            shown = display_name(f"{location.shown}/{name}")
            if isinstance(content, PhotoError):
                yield PhotoError(f"{shown}: {content}", status=content.status, source=shown), texts
            else:
                yield NamedBytes(content, shown), texts

    def _listed(self) -> Iterator[PhotoLike]:
        with pq.ParquetFile(self._table().open_file(), pre_buffer=False) as table:
            columns = ["name", "raw", "problem", "status", "size"]
            for batch in self._rows(table, columns, _ROWS_AT_A_TIME):
                for row in batch.to_pylist():
                    name = os.fsdecode(row["name"])
                    if row["size"] and not is_url(name):  # it was there when the run began
                        FOLDERS.found(Path(name).parent)
                    if row["problem"] is not None:
                        status = cast(PhotoStatus, row["status"])
                        shown = display_name(Location(name, row["raw"]).shown)
                        yield PhotoError(row["problem"], status=status, source=shown)
                    else:
                        yield RemotePhoto.of(Location(name, row["raw"])) if is_url(name) else name

    def _of_paths(self, column: str) -> Iterator[PhotoLike]:
        with pq.ParquetFile(self._table().open_file(), pre_buffer=False) as table:
            roots = self.file.roots or {}
            for one in roots.values():
                if not is_url(one):
                    FOLDERS.found(one)
            wanted = [column]
            if len(roots) > 1 and "dataset" in table.schema_arrow.names:
                wanted.append("dataset")
            for batch in self._rows(table, wanted, _ROWS_AT_A_TIME):
                for row in batch.to_pylist():
                    if row[column] is None or not str(row[column]):
                        yield PhotoError("the row names no photo", status="missing")
                        continue
                    root = roots.get(str(row.get("dataset")), roots.get("", "."))
                    path = joined(root, str(row[column]))
                    yield RemotePhoto.of(Location(path)) if is_url(path) else path

    def _of_bytes(self, column: str) -> Iterator[PhotoLike]:
        number = self.shard.start
        shown = Location(self.file.name).shown
        with pq.ParquetFile(self._table().open_file(), pre_buffer=False) as table:
            for batch in self._rows(table, [column], _PHOTOS_AT_A_TIME):
                for value in batch.column(0):
                    content, name = value.as_py(), None
                    if isinstance(content, dict):
                        content, name = content["bytes"], content.get("path")
                    name = display_name(str(name or f"{shown}#{number}"))
                    number += 1
                    if not content:
                        told = f"{name}: the row has no bytes"
                        yield PhotoError(told, status="missing", source=name)
                    else:
                        yield NamedBytes(content, name)

    def _table(self) -> Location:
        """Where the rows are: lists and CSV tables were written beside the results."""
        given = Location(self.shard.file)
        is_parquet = given.shown.lower().endswith(".parquet")
        return given if is_parquet else self.folder / f"{self.shard.file}.parquet"

    def _rows(
        self, table: pq.ParquetFile, columns: Sequence[str], at_a_time: int
    ) -> Iterator[pa.RecordBatch]:
        """The shard's rows alone, `at_a_time` of them in memory."""
        start, left = self.shard.start, self.shard.rows or 0
        groups, before = [], 0
        for group in range(table.metadata.num_row_groups):
            rows = table.metadata.row_group(group).num_rows
            if before + rows <= self.shard.start:
                start -= rows
            elif before < self.shard.start + left:
                groups.append(group)
            before += rows
        for batch in table.iter_batches(at_a_time, row_groups=groups, columns=list(columns)):
            if start >= batch.num_rows:
                start -= batch.num_rows
                continue
            part = batch.slice(start, left)
            start, left = 0, left - part.num_rows
            yield part
            if not left:
                return


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes | PhotoError:
    try:
        check_size(member.name, member.size)
    except PhotoError as error:
        return error
    file = archive.extractfile(member)
    return b"" if file is None else file.read()
