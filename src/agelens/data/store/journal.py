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
from types import TracebackType
from typing import Any, BinaryIO, Final, Self

from agelens.data.store.card import CARD_NAME, ShardEntry
from agelens.errors import OutputError, UsageError
from agelens.whole_file import remove_partials, write_whole

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
        write_whole(self.folder / entry.file, content, advice=_GO_ON)
        self._append(_line(number, entry))
        self.shards[number] = entry

    def finish(self, card: bytes) -> None:
        """Write the store's card and remove the journal."""
        write_whole(self.folder / CARD_NAME, card, advice=_GO_ON)
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
        refuse_other(self.folder, json.loads(lines[0]), identity)
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
    write_whole(folder / JOURNAL_NAME, b"".join(map(_encoded, lines)), advice=_GO_ON)
    (folder / CARD_NAME).unlink()


def refuse_other(folder: Path, made: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
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
