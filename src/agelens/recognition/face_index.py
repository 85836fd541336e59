"""The index of a folder: its faces' embeddings as files, read again only where a photo changed.

    faces.parquet   a table of embeddings, one row a face, see `embed_every_face`
    index.json      format, folder, model and detector
    faces.faiss     an inverted file, where there are 100,000 faces or more

It holds what tells people apart: keep it as you would keep the photos.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from agelens.atomic import OUTPUTS, write_json
from agelens.errors import PhotoError, TableError, UsageError
from agelens.foreign_files import json_object
from agelens.imaging.folders import FOLDERS
from agelens.imaging.photos import display_name
from agelens.imaging.sources import PHOTO_SUFFIXES, tree
from agelens.recognition.embedding_table import (
    OK,
    EmbeddingTable,
    read_embeddings,
    write_embeddings,
)
from agelens.recognition.face_embedder import (
    FaceEmbedder,
    FaceRequest,
    PhotoFaces,
    every_face,
)
from agelens.recognition.nearest_faces import ExactSearch, FaissSearch, NearestFaces
from agelens.records import Face
from agelens.tables import BOX
from agelens.version import __version__


@dataclass(frozen=True, slots=True)
class PhotoFile:
    """A photo: its printable path below the folder, where it is, and what tells a change."""

    name: str
    path: Path
    size_bytes: int
    modified_ns: int


def photo_files(folder: Path) -> list[PhotoFile]:
    """The photos in and below `folder`, known by their suffix; hidden ones are passed over.

    Raises:
        UsageError: `folder` is none, or holds no photos.
        PhotoError: a folder below it cannot be listed.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: is no folder; name the one whose photos to look through")
    files = []
    for below, names in tree(str(folder), suffixes=PHOTO_SUFFIXES, deep=True):
        if isinstance(names, OSError):
            raise PhotoError(f"{below}: the folder cannot be listed: {names.strerror}")
        FOLDERS.found(below)
        files += [found for found in (_photo_file(folder, name) for name in names) if found]
    if not files:
        raise UsageError(f"{folder}: no photos in or below it")
    return files


def embed_every_face(embedder: FaceEmbedder, files: Sequence[PhotoFile]) -> EmbeddingTable:
    """Every face of every photo; a photo without one is one row that says why.

    Beside the columns of every table of embeddings there are `size_bytes` and `modified_ns` of
    the photo, `face` (its number in the photo, largest first) and `box_x1` to `box_y2`.
    """
    rows: list[dict[str, Any]] = []
    vectors: list[Any] = []
    requests = (FaceRequest(file.path, every_face) for file in files)
    for file, answer in zip(files, embedder.stream(requests), strict=True):
        rows += _rows(file, answer)
        vectors.append(answer.vectors if answer.faces else _nothing(embedder))
    stacked = np.concatenate([*vectors, _nothing(embedder)[:0]])
    return EmbeddingTable(face_frame(rows), stacked, embedder.extractor.model)


def face_frame(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """The rows in their columns, which an empty table has too."""
    names = ("sample_id", "path", "status", "size_bytes", "modified_ns", "face", *BOX)
    frame = pd.DataFrame(list(rows), columns=names)
    whole = {name: frame[name].astype(np.int64) for name in ("size_bytes", "modified_ns", "face")}
    return frame.assign(**whole, dataset=None, subject=None, age_years=np.nan)


def _photo_file(folder: Path, name: str) -> PhotoFile | None:
    path = Path(name)
    try:
        facts = path.stat()
    except OSError:  # gone since it was listed, or a link to nothing
        FOLDERS.check(path)
        return None
    below = display_name(os.path.relpath(name, folder))
    return PhotoFile(below, path, facts.st_size, facts.st_mtime_ns)


def _rows(file: PhotoFile, answer: PhotoFaces) -> list[dict[str, Any]]:
    facts = {"path": file.name, "size_bytes": file.size_bytes, "modified_ns": file.modified_ns}
    if not answer.faces:
        return [facts | {"sample_id": file.name, "status": answer.status, "face": -1}]
    return [
        facts | {"sample_id": f"{file.name}#{place}", "status": OK, "face": place} | _box(face)
        for place, face in enumerate(answer.faces)
        if face is not None
    ]


def _box(face: Face) -> dict[str, float]:
    return dict(zip(BOX, face.box_xyxy.tolist(), strict=True))


def _nothing(embedder: FaceEmbedder) -> Any:
    return np.full((1, embedder.extractor.model.dimension), np.nan, dtype=np.float32)


EXACT_BELOW: Final = 100_000
"""Faces. Fewer are compared one by one; more go into faiss where the index is kept."""

FORMAT: Final = "agelens face index 1"
TABLE: Final = "faces.parquet"
FACTS: Final = "index.json"
LISTS: Final = "faces.faiss"
_AT_A_TIME: Final = 2_000  # photos between two writings, so that a stopped run is resumed


@dataclass(frozen=True, slots=True)
class IndexChanges:
    """Photos that were read, that are gone, and that stood in the index as they are."""

    read: int
    gone: int
    kept: int


class FaceIndex:
    """The faces of a folder.

    Args:
        folder: whose photos it holds, at any depth.
        embedder: finds and embeds the faces.
        kept_in: where its files are or will be; None keeps nothing.

    Raises:
        UsageError: `kept_in` holds an index of another folder, or one that another model, another
            version of it, or another detector made; or other files.
        TableError: its files are damaged.
    """

    def __init__(self, folder: Path, embedder: FaceEmbedder, kept_in: Path | None = None) -> None:
        self.folder = folder
        self.embedder = embedder
        self.kept_in = kept_in
        self.table = embed_every_face(embedder, ())
        if kept_in is not None and kept_in.exists():
            self._open(kept_in)

    def refresh(self, progress: Callable[[int, int], None] | None = None) -> IndexChanges:
        """Read the photos that are new or changed, and forget those that are gone.

        A photo counts as unchanged where its size and its time of change are.

        Raises:
            UsageError: the folder is none, or holds no photos; or another run is at work on the
                index.
            FolderGoneError: it went away; the next call goes on.
            OutputError: the index cannot be written; what was there before is kept.
        """
        with FOLDERS.must_stay(), self._held():
            return self._refreshed(photo_files(self.folder), progress)

    def _held(self) -> AbstractContextManager[None]:
        if self.kept_in is None or not self.kept_in.absolute().parent.is_dir():
            return nullcontext()
        return OUTPUTS.held(self.kept_in)

    def _refreshed(
        self, files: list[PhotoFile], progress: Callable[[int, int], None] | None
    ) -> IndexChanges:
        known = _known(self.table.frame)
        facts = {file.name: (file.size_bytes, file.modified_ns) for file in files}
        current = np.array(
            [facts.get(path) == known[path] for path in self.table.frame["path"]], dtype=bool
        )
        new = [file for file in files if known.get(file.name) != facts[file.name]]
        changes = IndexChanges(len(new), len(known.keys() - facts.keys()), len(files) - len(new))
        self.table = self.table.take(current)
        self._read(new, progress)
        if changes.read or changes.gone or not self._has(FACTS):
            self._write()
        return changes

    def searcher(self) -> NearestFaces:
        """What searches the rows of `faces`, which have an embedding.

        Of `EXACT_BELOW` faces and more an inverted file is made and kept. Without a folder to
        keep it in, comparing with all of them is the shorter way.
        """
        faces = self.faces
        if self.kept_in is None or len(faces) < EXACT_BELOW:
            return ExactSearch(faces.vectors)
        path = self.kept_in / LISTS
        if self._facts().get("lists_of") == self._table_hash() and path.is_file():
            return FaissSearch.read(path)
        lists = FaissSearch.build(faces.vectors)
        lists.write(path)
        self._write_facts(lists_of=self._table_hash())
        return lists

    @property
    def faces(self) -> EmbeddingTable:
        """The rows with an embedding."""
        return self.table.with_embedding()

    def _read(self, files: list[PhotoFile], progress: Callable[[int, int], None] | None) -> None:
        for start in range(0, len(files), _AT_A_TIME):
            part = embed_every_face(self.embedder, files[start : start + _AT_A_TIME])
            self.table = _joined(self.table, part)
            done = min(start + _AT_A_TIME, len(files))
            if progress:
                progress(done, len(files))
            if done < len(files):
                self._write()

    def _open(self, kept_in: Path) -> None:
        if not kept_in.is_dir() or not self._has(FACTS):
            if kept_in.is_dir() and not any(kept_in.iterdir()):
                return
            raise UsageError(f"{kept_in} is no index of agelens search; name a new folder")
        made, now = self._facts(), self._made_by()
        for name, what in (("model", "model"), ("detector", "detector"), ("folder", "folder")):
            if made.get(name) != now[name]:
                raise UsageError(
                    f"{kept_in} was built with the {what} {_said(made.get(name))}, this search "
                    f"has {_said(now[name])}: faces of two cannot be compared. Name another "
                    "folder for the index, or delete this one to build it anew"
                )
        if not self._has(TABLE):  # stopped before the first faces were written
            return
        self.table = read_embeddings(kept_in / TABLE)
        if self.table.model != self.embedder.extractor.model:
            raise TableError(f"{kept_in}: {TABLE} is not of the model that {FACTS} states")

    def _write(self) -> None:
        if self.kept_in is None:
            return
        self.kept_in.mkdir(parents=True, exist_ok=True)
        # Nobody who was taken out of the folder is to stay behind in the lists.
        (self.kept_in / LISTS).unlink(missing_ok=True)
        self._write_facts()
        write_embeddings(self.table, self.kept_in / TABLE, overwrite=True)

    def _made_by(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "folder": str(self.folder.resolve()),
            "model": asdict(self.embedder.extractor.model),
            "detector": self.embedder.detector.name,
            "agelens_version": __version__,
        }

    def _write_facts(self, **more: str) -> None:
        assert self.kept_in is not None  # noqa: S101 - asked for by callers
        write_json(self.kept_in / FACTS, self._made_by() | more)

    def _facts(self) -> dict[str, Any]:
        assert self.kept_in is not None  # noqa: S101 - asked for by callers
        path = self.kept_in / FACTS
        facts = json_object(path, TableError, what="an index of faces; delete it")
        if facts.get("format") != FORMAT:
            raise UsageError(
                f"{path} is no index that this agelens reads; delete it, or name another folder"
            )
        return facts

    def _has(self, name: str) -> bool:
        return self.kept_in is not None and (self.kept_in / name).is_file()

    def _table_hash(self) -> str:
        assert self.kept_in is not None  # noqa: S101 - asked for by callers
        with (self.kept_in / TABLE).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def _known(frame: pd.DataFrame) -> dict[str, tuple[int, int]]:
    """Size and time of change of each photo in the table."""
    columns = zip(frame["path"], frame["size_bytes"], frame["modified_ns"], strict=True)
    return {str(path): (int(size), int(modified)) for path, size, modified in columns}


def _joined(first: EmbeddingTable, second: EmbeddingTable) -> EmbeddingTable:
    frames = [table.frame.astype({"status": "str"}) for table in (first, second) if len(table)]
    if len(frames) < 2:
        return second if len(second) else first
    joined = pd.concat(frames, ignore_index=True)
    return EmbeddingTable(joined, np.concatenate([first.vectors, second.vectors]), first.model)


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return f"{value.get('name')} {value.get('version')} ({str(value.get('sha256'))[:12]})"
    return repr(value)
