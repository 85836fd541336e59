"""Tables of embeddings: of labelled photos, of a chip store, or of loose photos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import pandas as pd

from agelens.data.store import ChipStore
from agelens.data.store.card import CARD_NAME
from agelens.data.store.cutting import (
    LabelledPhoto,
    PictureSource,
    Root,
    labelled_photos,
    picture_source,
)
from agelens.errors import PhotoError, UsageError
from agelens.imaging.detectors.base import Detector
from agelens.imaging.photos import PhotoSource, source_name
from agelens.imaging.sources import Source, expand
from agelens.progress import Progress
from agelens.recognition.embedding_table import OK, Crops, EmbeddingTable, Vectors
from agelens.recognition.extractors import DEFAULT_EXTRACTOR, open_extractor
from agelens.recognition.extractors.network import Extractor
from agelens.recognition.face_embedder import (
    FACE_CHOICES,
    FaceChoice,
    FaceEmbedder,
    FaceRequest,
    PhotoFaces,
    detector_of,
    labelled_faces,
    only_face,
)
from agelens.tables import COLUMNS, REQUIRED, SampleTable, read_table

Faces: TypeAlias = "SampleTable | pd.DataFrame | ChipStore | PhotoSource | Sequence[PhotoSource]"
NO_FACE: Final = "no_face"
SEVERAL_FACES: Final = "several_faces"
_CHIPS_AT_A_TIME: Final = 512
_CUT_BY: Final = ("alignment", "template", "size", "margin")


def embed_samples(
    embedder: FaceEmbedder,
    samples: SampleTable,
    root: Root,
    *,
    choose: FaceChoice | None = None,
    progress: Progress | None = None,
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
        progress: called with rows done and rows in all.

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
        if progress:
            progress(done, len(samples))
    return rows.table(samples.frame)


def embed_photos(
    embedder: FaceEmbedder,
    photos: Sequence[tuple[str, PhotoSource | PhotoError]],
    *,
    choose: FaceChoice = only_face,
    progress: Progress | None = None,
) -> EmbeddingTable:
    """Embeddings of photos without labels, one row each; see `embed_samples`.

    Args:
        embedder: finds and embeds the faces.
        photos: the name of each, by which it will be known, and where it is.
        choose: which face of a photo with several.
        progress: called with rows done and rows in all.

    Raises:
        TableError: a name occurs more than once.
    """
    rows = _Rows(len(photos), embedder.extractor)
    requests = (FaceRequest(photo, choose) for _, photo in photos)
    for row, answer in enumerate(embedder.stream(requests)):
        rows.fill(row, answer, 0)
        if progress:
            progress(row + 1, len(photos))
    names = [name for name, _ in photos]
    labels = {"sample_id": names, "path": names, "dataset": None, "subject": None}
    return rows.table(pd.DataFrame(labels | {"age_years": np.nan}, index=range(len(names))))


def embed_store(
    extractor: Extractor, store: ChipStore, *, progress: Progress | None = None
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
        if progress:
            progress(start + len(chosen), len(there))
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
            f"have {', '.join(other)}. Give the photos instead (a table with --root)"
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


def embed(
    faces: Faces,
    *,
    root: Root = None,
    extractor: str | Path | Extractor = DEFAULT_EXTRACTOR,
    crops: Crops = "single",
    face: Literal["refuse", "largest"] | None = None,
    detector: str | Detector = "retinaface",
    recursive: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> EmbeddingTable:
    """Embeddings of faces, one row a photo or label; a row without says why in `status`.

    >>> embed("photos", face="largest").write("faces.parquet")  # doctest: +SKIP

    Args:
        faces: a table of labelled photos or its file; a chip store or its folder; or one or several
            photos and folders of photos.
        root: where the photos of a table are; by default where the table says.
        extractor: a name of `EXTRACTORS`, the folder or card of a network, or an extractor.
        crops: also look at the mirror image, and put both vectors beside or upon each other
            (``concatenated``, ``added``).
        face: of a photo with several: ``refuse`` it, the default for loose photos, or take the
            ``largest``; of a table by default the labelled one, or else a large and central one.
        detector: finds the faces of photos.
        recursive: also look into folders below folders.
        workers: threads; all available cores by default.
        progress: called with faces done and faces in all.

    Raises:
        UsageError: a store whose chips are not what the extractor takes, an option that does not go
            with `faces`, or no photos under `root`.
        UnknownNameError, CardError: see `open_extractor`.
    """
    network = open_extractor(extractor, crops=crops)
    opened = _opened(faces)
    if isinstance(opened, ChipStore):
        if face is not None or root is not None:
            raise UsageError("--face and --root are for photos: a store has one face a row")
        return embed_store(network, opened, progress=progress)
    embedder = FaceEmbedder(network, detector_of(detector), workers=workers)
    if isinstance(opened, SampleTable):
        choose = FACE_CHOICES[face] if face else None
        return embed_samples(embedder, opened, root, choose=choose, progress=progress)
    if root is not None:
        raise UsageError("--root is for a table: photos are where their names say")
    photos = _photos(opened, recursive=recursive)
    choose = FACE_CHOICES[face or "refuse"]
    return embed_photos(embedder, photos, choose=choose, progress=progress)


def _opened(faces: Faces) -> ChipStore | SampleTable | Sequence[PhotoSource]:
    """What `faces` name: tables are known by their suffix, stores by their card."""
    if isinstance(faces, ChipStore | SampleTable):
        return faces
    if isinstance(faces, pd.DataFrame):
        absent = [name for name in COLUMNS if name not in faces and name not in REQUIRED]
        others = tuple(str(name) for name in faces if name not in COLUMNS)
        return SampleTable(faces.assign(**dict.fromkeys(absent)), others)
    photos: Sequence[PhotoSource] = faces if isinstance(faces, list | tuple) else [faces]  # type: ignore[list-item]
    first = photos[0] if len(photos) == 1 else None
    if isinstance(first, str | Path):
        if Path(first).suffix.lower() in (".parquet", ".csv"):
            return read_table(first, extra=None)
        if (Path(first) / CARD_NAME).is_file():
            return ChipStore.open(first)
    return photos


def _photos(
    photos: Sequence[PhotoSource], *, recursive: bool
) -> list[tuple[str, PhotoSource | PhotoError]]:
    found: list[tuple[str, PhotoSource | PhotoError]] = []
    for photo in photos:
        if isinstance(photo, str | Path):
            sources = expand([str(photo)], recursive=recursive)
            found += [(source.name, _problem(source) or source.path) for source in sources]
        else:
            found.append((f"{source_name(photo)}#{len(found)}", photo))
    return found


def _problem(source: Source) -> PhotoError | None:
    if source.kind == "video":
        return PhotoError(f"{source.name}: is a video; name photos", source=source.name)
    if source.problem is None:
        return None
    return PhotoError(source.problem, status=source.status, source=source.name)
