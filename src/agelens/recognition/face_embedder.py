"""Photos to embeddings: read, search for faces, cut, embed; in order, in flat memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeAlias

import numpy as np

from agelens.data.store.cutting import choose_face
from agelens.errors import PhotoError, PhotoStatus, UsageError
from agelens.imaging.detectors import Detector, detector_class
from agelens.imaging.photos import (
    DEFAULT_MAX_PIXELS,
    IN_FLIGHT,
    PhotoSource,
    read_photo,
    source_name,
)
from agelens.imaging.quality import partly_seen
from agelens.inference.estimator import available_cores
from agelens.inference.network import BATCH
from agelens.inference.ordered import blocks, ordered_map
from agelens.recognition.embedding_table import Vectors
from agelens.recognition.extractors.network import Extractor
from agelens.records import RGB, Face, Floats

FaceChoice: TypeAlias = Callable[[Sequence[Face], tuple[int, int]], Sequence[Face | None]]
"""Faces to embed out of those found, largest first, in a photo of this height and width; None
stands for one that was looked for and is not there."""


def every_face(faces: Sequence[Face], picture_hw: tuple[int, int]) -> Sequence[Face | None]:  # noqa: ARG001
    """All of them."""
    return faces


def largest_face(faces: Sequence[Face], picture_hw: tuple[int, int]) -> Sequence[Face | None]:  # noqa: ARG001
    """The largest alone."""
    return faces[:1]


def only_face(faces: Sequence[Face], picture_hw: tuple[int, int]) -> Sequence[Face | None]:  # noqa: ARG001
    """The face of a photo with one; none of a photo with several."""
    return faces if len(faces) == 1 else ()


def detector_of(detector: str | Detector) -> Detector:
    """The detector of that name, or the one that is given."""
    return detector_class(detector)() if isinstance(detector, str) else detector


def check_one_face(source: str, found: int, *, largest: bool) -> None:
    """Make sure that it is said whose face of a photo is meant.

    Args:
        source: what the photo is called.
        found: how many faces it shows.
        largest: the largest of several is meant.

    Raises:
        PhotoError: it shows none (status ``no_face``).
        UsageError: it shows several, and `largest` is not set.
    """
    if not found:
        raise PhotoError(
            f"{source}: no face found; give a photo that shows the face upright and larger, or "
            "another --detector",
            status="no_face",
            source=source,
        )
    if found > 1 and not largest:
        raise UsageError(
            f"{source}: {found} faces found, and whose is meant is not said: cut the photo to one "
            "of them, or take the largest (--face largest; of the service largest=true)"
        )


FACE_CHOICES: Final[dict[str, FaceChoice]] = {"refuse": only_face, "largest": largest_face}


def labelled_faces(boxes: Sequence[Floats | None]) -> FaceChoice:
    """For each labelled box the face that `agelens.data.store.cutting` takes for it."""
    return partial(_labelled, boxes)


def _labelled(
    boxes: Sequence[Floats | None], faces: Sequence[Face], picture_hw: tuple[int, int]
) -> Sequence[Face | None]:
    return [choose_face(faces, picture_hw, box) for box in boxes]


_WINDOW: Final = 4


@dataclass(frozen=True, slots=True, eq=False)
class FaceRequest:
    """A photo, or why there is none, and which of its faces to embed."""

    photo: PhotoSource | PhotoError
    choose: FaceChoice


@dataclass(frozen=True, slots=True, eq=False)
class PhotoFaces:
    """What became of one photo.

    `message` says why there is none, or that the first is cut off or covered.
    `found` counts all faces in it; `faces` are those chosen, None where the one looked for is
    not there, and `vectors` float32 [len(faces), D] their embeddings, NaN beside None.
    """

    source: str
    status: PhotoStatus
    message: str
    found: int
    faces: tuple[Face | None, ...]
    vectors: Vectors


class FaceEmbedder:
    """Finds and embeds faces in photos; a photo that cannot be used is an answer, no error.

    Args:
        extractor: embeds the chips.
        detector: finds the faces.
        workers: threads that read, search and cut; all available cores by default.
        max_pixels: larger photos are refused before they are decoded.
    """

    def __init__(
        self,
        extractor: Extractor,
        detector: Detector,
        *,
        workers: int | None = None,
        max_pixels: int = DEFAULT_MAX_PIXELS,
    ) -> None:
        self.extractor = extractor
        self.detector = detector
        self.workers = workers or available_cores()
        self.max_pixels = max_pixels
        self._aligner = extractor.aligner(detector)

    def stream(self, requests: Iterable[FaceRequest]) -> Iterator[PhotoFaces]:
        """One answer a request, in order; requests are drawn as answers are taken."""
        with ThreadPoolExecutor(self.workers, thread_name_prefix="agelens") as pool:
            ready = ordered_map(pool, self._cut, requests, window=_WINDOW * self.workers)
            for block in blocks(ready, weight=lambda one: max(1, len(one[1])), limit=BATCH):
                yield from self._embedded(block)

    @IN_FLIGHT.one_photo()
    def _cut(self, request: FaceRequest) -> tuple[PhotoFaces, list[RGB]]:
        none = np.empty((0, self.extractor.model.dimension), dtype=np.float32)
        try:
            if isinstance(request.photo, PhotoError):
                raise request.photo
            photo = read_photo(request.photo, max_pixels=self.max_pixels)
        except PhotoError as error:
            name = error.source or source_name(request.photo)
            return PhotoFaces(name, error.status, str(error), 0, (), none), []
        found = self.detector.detect(photo.rgb)
        faces = tuple(request.choose(found, (photo.rgb.shape[0], photo.rgb.shape[1])))
        chips = [self._aligner.align(photo.rgb, face) for face in faces if face is not None]
        status: PhotoStatus = "ok" if found else "no_face"
        why = "" if found else f"{photo.source}: no face found"
        if found and faces and faces[0] is not None:
            why = partly_seen(faces[0], photo.rgb.shape, chips[0].rgb, chips[0].matrix)
        answer = PhotoFaces(photo.source, status, why, len(found), faces, none)
        return answer, [chip.rgb for chip in chips]

    def _embedded(self, block: Sequence[tuple[PhotoFaces, list[RGB]]]) -> Iterator[PhotoFaces]:
        chips = [chip for _, cut in block for chip in cut]
        size = self.extractor.input.size
        stacked = np.stack(chips) if chips else np.empty((0, size, size, 3), dtype=np.uint8)
        vectors = iter(self.extractor.embed(stacked))
        for photo, _ in block:
            rows = np.full((len(photo.faces), self.extractor.model.dimension), np.nan, np.float32)
            for row, face in enumerate(photo.faces):
                if face is not None:
                    rows[row] = next(vectors)
            yield replace(photo, vectors=rows)
