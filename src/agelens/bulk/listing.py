"""Photos by name: found in folders, patterns and lists, written down for workers, and compared."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from agelens.bulk.filesystems import Location, is_url, split_options
from agelens.errors import UsageError
from agelens.imaging.sources import PHOTO_SUFFIXES, Source, expand

LISTING: Final = pa.schema(
    [
        ("name", pa.binary()),  # as the operating system has it; of a URL, with its options
        ("raw", pa.string()),  # see `Location`
        ("problem", pa.string()),
        ("status", pa.string()),
        ("size", pa.int64()),
        ("changed", pa.int64()),  # nanoseconds
    ]
)
WILDCARDS: Final = frozenset("*?[")
_LISTS: Final = (".txt", ".lst")


def write_list(
    words: Iterable[str], target: Path, shard_rows: int, *, recursive: bool
) -> tuple[int, str]:
    """Write a list of photos, with sizes and times where they are known: a shard is a row group.

    Returns:
        How many there are, and a hash of the list.

    Raises:
        UsageError: a list, or a folder on another file system, cannot be read.
    """
    rows, total, digest = _listed(words, recursive), 0, hashlib.sha256()
    with pq.ParquetWriter(target, LISTING) as writer:
        while block := list(islice(rows, shard_rows)):
            writer.write_batch(pa.RecordBatch.from_pylist(block, LISTING))
            total += len(block)
            digest.update(repr([tuple(row.values()) for row in block]).encode())
    return total, digest.hexdigest()


def _listed(words: Iterable[str], recursive: bool) -> Iterator[dict[str, Any]]:
    for word in words:
        if is_url(word):
            yield from _of_url(word, recursive)
        elif word == "-" or word.lower().endswith(_LISTS):
            for line in _lines(word):
                if is_url(line):
                    yield _row(line)
                else:
                    yield from map(_of_source, expand(["-"], stdin=iter([line])))  # type: ignore[arg-type]  # lines will do
        else:
            yield from map(_of_source, expand([word], recursive=recursive))


def _lines(word: str) -> Iterator[str]:
    """The lines of a list as paths, which need not be valid text."""
    if word == "-" and sys.stdin is None:
        raise UsageError("standard input is closed, so there is no list to read from it")
    try:
        with nullcontext(sys.stdin.buffer) if word == "-" else Path(word).open("rb") as file:
            yield from (line for raw in file if (line := os.fsdecode(raw).rstrip("\r\n")).strip())
    except OSError as error:
        raise UsageError(f"{word}: the list cannot be read: {error.strerror}") from error


def _of_source(source: Source) -> dict[str, Any]:
    if source.problem is None and source.kind == "video":
        problem = f"{source.name}: is a video; agelens estimate takes videos"
        return _row(str(source.path), problem=problem, status="unreadable")
    if source.problem is not None:
        return _row(str(source.path), problem=source.problem, status=source.status)
    try:
        found = source.path.stat()
    except OSError:
        return _row(str(source.path))
    return _row(str(source.path), size=found.st_size, changed=found.st_mtime_ns)


def _row(name: str, **known: Any) -> dict[str, Any]:
    return dict.fromkeys(LISTING.names) | {"name": os.fsencode(name)} | known


def _of_url(word: str, recursive: bool) -> Iterator[dict[str, Any]]:
    """A photo, a folder or a pattern on another file system; each photo below by its name."""
    location = Location(word)
    is_pattern = bool(WILDCARDS.intersection(location.shown))
    try:
        if not is_pattern and location.info().type != pafs.FileType.Directory:
            yield _row(word)  # what is not there becomes a row when it is fetched
            return
        empty = True
        for one, info in remote_files(word, recursive=recursive, suffixes=PHOTO_SUFFIXES):
            empty = False
            yield _row(one.name, raw=info.path, size=info.size, changed=info.mtime_ns)
    except OSError as error:
        raise UsageError(f"{location.shown}: cannot be listed: {error}") from error
    if empty:
        problem = f"{location.shown}: no photos there"
        yield _row(word, problem=problem, status="missing")


def remote_files(
    word: str, *, recursive: bool, suffixes: tuple[str, ...]
) -> Iterator[tuple[Location, pafs.FileInfo]]:
    """The files below a folder, or that match a pattern, in the order of their paths."""
    address, mark, options = split_options(word)
    if WILDCARDS - {"?"} & set(address):
        from fsspec.utils import glob_translate  # noqa: PLC0415 - only patterns need it

        before = address[: min(address.find(one) for one in "*[" if one in address)]
        folder = Location(f"{before.rpartition('/')[0]}{mark}{options}")
        _, start = Location(f"{address}{mark}{options}").opened()
        wanted = re.compile(glob_translate(start))
        recursive = True
    else:
        folder, wanted = Location(word), None
    for info in folder.listed(recursive=recursive):
        if wanted is not None and not wanted.match(info.path):
            continue
        if info.base_name.startswith(".") or not info.path.lower().endswith(suffixes or ("",)):
            continue
        scheme = address.partition("://")[0]
        yield Location(f"{scheme}://{info.path}{mark}{options}"), info


def listing_difference(before: Location, now: Path) -> str:
    """In which photos two lists differ, the first of them named."""
    with pq.ParquetFile(before.open_file()) as old, pq.ParquetFile(now) as new:
        pairs = zip_longest(_rows_of(old), _rows_of(new))
        for number, (was, there) in enumerate(pairs):
            if was == there:
                continue
            if there is not None and there["problem"] is not None:
                return str(there["problem"])
            name = _name_in(there or was)
            if was is None or there is None:
                return f"photo {number + 1:,}, {name}, is {'gone' if there is None else 'new'}"
            if was["name"] != there["name"]:
                return f"photo {number + 1:,} is {name}, and was {_name_in(was)}"
            return f"{name} is not the file that it was"
    return ""


def _name_in(row: Mapping[str, Any] | None) -> str:
    return "" if row is None else Location(os.fsdecode(row["name"]), row["raw"]).shown


def _rows_of(table: pq.ParquetFile) -> Iterator[dict[str, Any]]:
    for batch in table.iter_batches():
        yield from batch.to_pylist()
