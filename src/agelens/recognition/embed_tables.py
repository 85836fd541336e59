"""Tables of embeddings: from labelled photos, from a chip store, or from loose photos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import pandas as pd

from agelens.data.store import ChipStore
from agelens.data.store.cutting import (
    LabelledPhoto,
    PictureSource,
    labelled_photos,
    picture_source,
)
from agelens.errors import PhotoError, UsageError
from agelens.imaging.photos import PhotoSource
from agelens.recognition.embedding_table import OK, EmbeddingTable
from agelens.recognition.extractors.base import Extractor, Vectors
from agelens.recognition.photo_faces import (
    FaceChoice,
    FaceEmbedder,
    FaceRequest,
    PhotoFaces,
    labelled_faces,
    only_face,
)
from agelens.tables import SampleTable

OnProgress: TypeAlias = Callable[[int, int], None]
NO_FACE: Final = "no_face"
SEVERAL_FACES: Final = "several_faces"
_CHIPS_AT_A_TIME: Final = 512
_CUT_BY: Final = ("alignment", "template", "size", "margin")


def embed_samples(
    embedder: FaceEmbedder,
    samples: SampleTable,
    root: PictureSource | str,
    *,
    choose: FaceChoice | None = None,
    on_progress: OnProgress | None = None,
) -> EmbeddingTable:
    """Embeddings of labelled photos, with every column of the sample table.

    The column `faces` counts the faces found in a row's photo. `status` is ``ok``,
    ``no_face``, ``several_faces`` (where `choose` refused to choose), or that of a photo that
    could not be read.

    Args:
        embedder: finds and embeds the faces.
        samples: with labels, and the labelled box where it is known.
        root: see `agelens.data.store.cutting.picture_source`.
        choose: which face of a photo; by default the labelled one, by
            `agelens.data.store.cutting`.
        on_progress: called with rows done and rows in all.

    Raises:
        UsageError: a root that holds none of the photos.
    """
    source = picture_source(root, samples)
    photos = list(labelled_photos(samples.frame, shard=0))
    rows = _Rows(len(samples), embedder.extractor)
    requests = (_request(source, photo, choose) for photo in photos)
    done = 0
    for photo, answer in zip(photos, embedder.stream(requests), strict=True):
        for place, row in enumerate(photo.rows):
            rows.fill(row, answer, place if choose is None else 0)
        done += len(photo.rows)
        if on_progress:
            on_progress(done, len(samples))
    return rows.table(samples.frame)


def embed_photos(
    embedder: FaceEmbedder,
    photos: Sequence[tuple[str, PhotoSource | PhotoError]],
    *,
    choose: FaceChoice = only_face,
    on_progress: OnProgress | None = None,
) -> EmbeddingTable:
    """Embeddings of photos without labels, one row each; see `embed_samples`.

    Args:
        embedder: finds and embeds the faces.
        photos: the name of each, by which it will be known, and where it is.
        choose: which face of a photo with several.
        on_progress: called with rows done and rows in all.

    Raises:
        TableError: a name occurs more than once.
    """
    rows = _Rows(len(photos), embedder.extractor)
    requests = (FaceRequest(photo, choose) for _, photo in photos)
    for row, answer in enumerate(embedder.stream(requests)):
        rows.fill(row, answer, 0)
        if on_progress:
            on_progress(row + 1, len(photos))
    names = [name for name, _ in photos]
    labels = {"sample_id": names, "path": names, "dataset": None, "subject": None}
    return rows.table(pd.DataFrame(labels | {"age_years": np.nan}, index=range(len(names))))


def embed_store(
    extractor: Extractor, store: ChipStore, *, on_progress: OnProgress | None = None
) -> EmbeddingTable:
    """Embeddings of a prepared store's chips, with its labels; rows without a chip say why.

    Raises:
        UsageError: the store's chips are not what the extractor takes.
    """
    check_other_chips(extractor, store)
    there = np.flatnonzero(store.has_chip)
    vectors = np.full((len(store), extractor.model.dimension), np.nan, dtype=np.float32)
    for start in range(0, len(there), _CHIPS_AT_A_TIME):
        chosen = there[start : start + _CHIPS_AT_A_TIME]
        vectors[chosen] = extractor.embed(np.stack([store[int(row)] for row in chosen]))
        if on_progress:
            on_progress(start + len(chosen), len(there))
    outcomes = store.outcomes
    frame = store.table.frame.assign(
        status=outcomes["status"].to_numpy(dtype=object), faces=outcomes["faces"].to_numpy()
    )
    return EmbeddingTable(frame, vectors, extractor.model)


def check_other_chips(extractor: Extractor, store: ChipStore) -> None:
    """Raise unless the store's chips are cut as the extractor's card asks for.

    Raises:
        UsageError: they are not; the message says in what they differ.
    """
    made = {name: store.card.settings[name] for name in _CUT_BY}
    # Only similarity has a template; the other ways are named in its place.
    made["template"] = made["template"] or made["alignment"]
    other = [
        f"{name} {made[name]!r} instead of {getattr(extractor.input, name)!r}"
        for name in _CUT_BY
        if made[name] != getattr(extractor.input, name)
    ]
    if other:
        raise UsageError(
            f"the chips in {store.folder} are not those that {extractor.model.name} takes: they "
            f"have {', '.join(other)}. Give the photos instead (--table and --root)"
        )


class _Rows:
    """Rows of a table in the making."""

    def __init__(self, rows: int, extractor: Extractor) -> None:
        self._model = extractor.model
        self._vectors: Vectors = np.full((rows, self._model.dimension), np.nan, np.float32)
        self._statuses = [""] * rows
        self._faces = np.zeros(rows, dtype=np.int64)

    def fill(self, row: int, photo: PhotoFaces, place: int) -> None:
        """Row `row` is the face at `place` of those chosen in `photo`."""
        self._faces[row] = photo.found
        if photo.status != OK:
            self._statuses[row] = photo.status
        elif place >= len(photo.faces):
            self._statuses[row] = SEVERAL_FACES
        elif photo.faces[place] is None:
            self._statuses[row] = NO_FACE
        else:
            self._statuses[row] = OK
            self._vectors[row] = photo.vectors[place]

    def table(self, frame: pd.DataFrame) -> EmbeddingTable:
        """The rows beside their labels."""
        beside: dict[str, Any] = {"status": self._statuses, "faces": self._faces}
        return EmbeddingTable(frame.assign(**beside), self._vectors, self._model)


def _request(source: PictureSource, photo: LabelledPhoto, choose: FaceChoice | None) -> FaceRequest:
    return FaceRequest(source(photo.dataset, photo.path), choose or labelled_faces(photo.boxes))
