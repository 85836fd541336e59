"""What `agelens search` does: a photo and a folder in, the likest faces out."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from agelens.cli.registries import show
from agelens.errors import PhotoError
from agelens.imaging.detectors import detector_class
from agelens.recognition.extractors import open_extractor
from agelens.recognition.face_index import FaceIndex
from agelens.recognition.folder_search import FolderSearch, Searched
from agelens.recognition.photo_faces import FaceEmbedder

_PHOTO_UNUSABLE: Final = 3


def run(options: argparse.Namespace) -> int:
    """Search, and print what was found; keep an index only where one is named."""
    embedder = FaceEmbedder(
        open_extractor(options.model),
        detector_class(options.detector)(),
        workers=options.workers,
    )
    index = FaceIndex(options.folder, embedder, options.index)
    search = FolderSearch(
        index,
        false_match_rate=options.false_match_rate,
        largest=options.face == "largest",
    )
    try:
        found = search.search(Path(options.query), top=options.top, on_progress=_progress())
    except PhotoError as error:
        print(f"agelens: error: {error}", file=sys.stderr)
        return _PHOTO_UNUSABLE
    if options.json:
        print(json.dumps(found.to_json(), ensure_ascii=False, allow_nan=False))
    else:
        _tell(found, options.index)
    return 0


def _tell(found: Searched, kept_in: Path | None) -> None:
    rows = [
        {
            "rank": face.rank,
            "photo": face.photo,
            "similarity": f"{face.similarity:.3f}",
            "called": "same person" if face.same_person else "",
        }
        for face in found.found
    ]
    if rows:
        show(rows, as_json=False)
    without = ", ".join(f"{count:,} {status}" for status, count in found.statuses.items())
    print(f"{found.faces:,} faces searched" + (f"; photos without: {without}" if without else ""))
    rate = found.decided_by
    print(
        f"at a false match rate of {rate.false_match_rate:g}, about {found.expected_strangers:.1f} "
        "of so many strangers' faces are called the same by chance; of relatives and people of "
        "one group, more. A hit is a lead to look at, never proof."
    )
    if kept_in is not None:
        changes = found.changes
        print(
            f"index {kept_in}: {changes.read:,} photos read, {changes.gone:,} gone, "
            f"{changes.kept:,} as they were. It tells people apart: delete it when done"
        )


def _progress() -> Callable[[int, int], None] | None:
    return _show if sys.stderr.isatty() else None


def _show(done: int, photos: int) -> None:
    end = "\n" if done == photos else ""
    print(f"\r{done:,} of {photos:,} photos", end=end, file=sys.stderr, flush=True)
