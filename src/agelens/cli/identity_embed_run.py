"""What `agelens identity embed` does: faces in, one Parquet file of embeddings out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Final

from agelens.data.store import ChipStore
from agelens.errors import PhotoError, UsageError
from agelens.evaluation.table_checks import tally
from agelens.imaging.detectors import detector_class
from agelens.imaging.sources import Source, expand
from agelens.recognition.embed_tables import embed_photos, embed_samples, embed_store
from agelens.recognition.embedding_table import EmbeddingTable, check_output, write_embeddings
from agelens.recognition.extractors import open_extractor
from agelens.recognition.photo_faces import FACE_CHOICES, FaceEmbedder
from agelens.tables import read_table

_SOME_FAILED: Final = 3
_EXPECTED: Final = frozenset({"ok", "no_face", "several_faces"})


def run(options: argparse.Namespace) -> int:
    """Embed, write the table, and say what became of the rows."""
    _check(options)
    check_output(options.output)  # before hours of work
    table = _embedded(options)
    write_embeddings(table, options.output)
    statuses = tally(table.frame["status"])
    print(", ".join(f"{count:,} {status}" for status, count in statuses.items()))
    chosen = int(((table.frame["faces"] > 1) & table.has_embedding).sum())
    if chosen:
        print(f"{chosen:,} of the photos show several faces, of which one was taken")
    print(f"wrote {options.output}: {table.model}")
    return _SOME_FAILED if set(statuses) - _EXPECTED else 0


def _check(options: argparse.Namespace) -> None:
    given = [bool(options.photos), options.table is not None, options.store is not None]
    if sum(given) != 1:
        raise UsageError("name the faces: photos, or --table TABLE with --root ROOT, or --store")
    if (options.table is None) != (options.root is None):
        raise UsageError("--table and --root go together")
    if options.store is not None and options.face is not None:
        raise UsageError("--face is for photos: a store has one face a row")


def _embedded(options: argparse.Namespace) -> EmbeddingTable:
    extractor = open_extractor(options.model, crops=options.crops)
    if options.store is not None:
        return embed_store(extractor, ChipStore.open(options.store), on_progress=_progress())
    detector = detector_class(options.detector)()
    embedder = FaceEmbedder(extractor, detector, workers=options.workers)
    if options.table is not None:
        choose = FACE_CHOICES[options.face] if options.face else None
        table = read_table(options.table, extra=None)
        return embed_samples(embedder, table, options.root, choose=choose, on_progress=_progress())
    photos = [
        (source.name, _problem(source) or source.path)
        for source in expand(options.photos, recursive=options.recursive)
    ]
    choose = FACE_CHOICES[options.face or "refuse"]
    return embed_photos(embedder, photos, choose=choose, on_progress=_progress())


def _problem(source: Source) -> PhotoError | None:
    if source.kind == "video":
        return PhotoError(f"{source.name}: is a video; name photos", source=source.name)
    if source.problem is None:
        return None
    return PhotoError(source.problem, status=source.status, source=source.name)


def _progress() -> Callable[[int, int], None] | None:
    return _show if sys.stderr.isatty() else None


def _show(done: int, rows: int) -> None:
    print(f"\r{done:,} of {rows:,}", end="\n" if done == rows else "", file=sys.stderr, flush=True)
