"""A person looked for in a folder: the likest faces, how old they look, and everybody in groups."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.cluster import hierarchy

from agelens.errors import PhotoError, UsageError
from agelens.evaluation.table_checks import tally
from agelens.imaging.detectors import Detector
from agelens.imaging.photos import PhotoSource, read_photo
from agelens.inference.estimator import AgeEstimator
from agelens.recognition.embedding_table import Vectors
from agelens.recognition.extractors import DEFAULT_EXTRACTOR, open_extractor
from agelens.recognition.extractors.network import Extractor
from agelens.recognition.face_embedder import (
    FaceEmbedder,
    FaceRequest,
    PhotoFaces,
    check_one_face,
    detector_of,
    every_face,
)
from agelens.recognition.face_index import FaceIndex
from agelens.recognition.face_pictures import face_jpeg, taken_at
from agelens.recognition.found_faces import FaceGroup, FoundFace, Searched, SeenFace
from agelens.recognition.measured_rates import MeasuredRates, decide, rates_of
from agelens.records import Floats
from agelens.tables import BOX

_SHOWN_OF_A_GROUP: Final = 12


class FolderSearch:
    """Searches the faces of a folder.

    Args:
        index: of the folder, refreshed here.
        estimator: says how old the query and the faces found look, by the detector of the index.
        false_match_rate: of pairs of different people who may be called the same.
        largest: take the largest face of a query with several; otherwise it is refused.

    Raises:
        CardError: the extractor's card states no measured rates.
        UsageError: the rate is smaller than the measured pairs can promise.
    """

    def __init__(
        self,
        index: FaceIndex,
        estimator: AgeEstimator | None = None,
        *,
        false_match_rate: float = 0.001,
        largest: bool = False,
    ) -> None:
        self.index = index
        self.estimator = estimator or AgeEstimator(detector=index.embedder.detector, workers=1)
        self.largest = largest
        self.false_match_rate = false_match_rate
        self.rates = rates_of(index.embedder.extractor)
        self.decided_by = self.rates.at(false_match_rate)

    def search(
        self, query: PhotoSource, *, top: int = 10, group: bool = False, progress: Any = None
    ) -> Searched:
        """The `top` faces of the folder that are most like the face of `query`.

        Args:
            query: a photo of the person; where it is in the folder, it is not found as itself.
            top: faces to find.
            group: also put all faces of the folder into groups of one person each.
            progress: called with photos read and photos to read.

        Raises:
            PhotoError: the query cannot be read, or shows no face (status ``no_face``).
            UsageError: it shows several faces, and `largest` is not set; `top` is below 1; or
                there are too many faces to group.
        """
        if top < 1:
            raise UsageError(f"top is 1 or more, got {top}")
        asked, vector = query_face(self.index.embedder, query, largest=self.largest)
        changes = self.index.refresh(progress)
        faces = self.index.faces
        itself = self._itself(query)
        rows, alike = self.index.searcher().nearest(vector, top + self._faces_of(itself))
        others = ~faces.frame["path"].iloc[rows].isin(itself).to_numpy(dtype=bool)
        rows, alike = rows[others][:top], alike[others][:top]
        searched = len(faces) - self._faces_of(itself)
        status = self.index.table.frame["status"]
        box = asked.faces[0]
        assert box is not None  # noqa: S101 - `query_face` refused a photo without
        seen = self._seen(query, asked.source, box.box_xyxy)
        return Searched(
            query=asked.source,
            asked=seen,
            folder=self.index.folder,
            caution=asked.message or seen.estimate.refer,
            found=tuple(self._found(seen, faces.frame.iloc[rows], alike)),
            faces=searched,
            statuses=tally(status[~self.index.table.has_embedding]),
            decided_by=self.decided_by,
            expected_strangers=searched * self.decided_by.measured,
            changes=changes,
            model=faces.model,
            left_out=tuple(itself),
            groups=self._groups() if group else None,
        )

    def _found(self, asked: SeenFace, frame: pd.DataFrame, alike: Vectors) -> list[FoundFace]:
        found = []
        for rank, (seen, similarity) in enumerate(zip(self._rows(frame), alike, strict=True)):
            years = asked.estimate.estimate_years, seen.estimate.estimate_years
            decision = decide(self.rates, self.false_match_rate, float(similarity), years)
            found.append(FoundFace(rank + 1, seen, float(similarity), decision))
        return found

    def _rows(self, frame: pd.DataFrame) -> list[SeenFace]:
        boxes = frame[list(BOX)].to_numpy(dtype=np.float64)
        return [
            self._seen(self.index.folder / str(path), str(path), box)
            for path, box in zip(frame["path"], boxes, strict=True)
        ]

    def _seen(self, source: PhotoSource, name: str, box_xyxy: Floats) -> SeenFace:
        """The face at this box; its photo is read again, since the index holds no ages."""
        photo = read_photo(source, max_pixels=self.index.embedder.max_pixels)
        estimates = self.estimator.estimate(photo).faces
        apart = [
            float(np.abs(one.face.box_xyxy - box_xyxy).max()) if one.face else np.inf
            for one in estimates
        ]
        if not apart:
            raise PhotoError(
                f"{name}: the face is no longer found; the photo was changed while it was searched",
                status="no_face",
                source=name,
            )
        taken = taken_at(Path(source)) if isinstance(source, str | os.PathLike) else None
        x1, y1, x2, y2 = (float(edge) for edge in box_xyxy)
        return SeenFace(
            name,
            (x1, y1, x2, y2),
            estimates[int(np.argmin(apart))],
            None if taken is None else f"{taken:%Y-%m-%d}",
            face_jpeg(photo.rgb, box_xyxy),
        )

    def _itself(self, query: PhotoSource) -> list[str]:
        """Photos of the folder that are the file `query`, or a copy of it."""
        if not isinstance(query, str | os.PathLike):
            return []
        content = Path(query).read_bytes()
        frame = self.index.faces.frame
        alike = frame["path"][frame["size_bytes"] == len(content)].unique()
        return sorted(str(p) for p in alike if (self.index.folder / p).read_bytes() == content)

    def _faces_of(self, photos: Sequence[str]) -> int:
        return int(self.index.faces.frame["path"].isin(photos).sum())

    def _groups(self) -> tuple[FaceGroup, ...]:
        faces = self.index.faces
        cut_at = max(CUT_AT, self.rates.rates[-1].false_match_rate)  # few people promise no less
        groups = group_faces(faces.vectors, self.rates, cut_at=cut_at)
        found = []
        for number in range(groups.max(initial=-1) + 1):
            inside = faces.frame[groups == number]
            shown = tuple(self._rows(inside.iloc[:_SHOWN_OF_A_GROUP]))
            photos = tuple(str(path) for path in inside["path"])
            found.append(FaceGroup(len(inside), shown, photos))
        return tuple(found)


def query_face(
    embedder: FaceEmbedder, query: PhotoSource, *, largest: bool
) -> tuple[PhotoFaces, Vectors]:
    """The photo `query`, and the embedding [D] of the one face that is meant.

    Raises:
        PhotoError: it cannot be read, or shows no face (status ``no_face``).
        UsageError: it shows several faces, and `largest` is not set.
    """
    answer = next(embedder.stream([FaceRequest(query, every_face)]))
    if answer.status not in ("ok", "no_face"):
        raise PhotoError(answer.message, status=answer.status, source=answer.source)
    check_one_face(answer.source, answer.found, largest=largest)
    return answer, answer.vectors[0]


def search(
    query: PhotoSource,
    folder: str | Path,
    *,
    index: str | Path | None = None,
    top: int = 10,
    group: bool = False,
    extractor: str | Path | Extractor = DEFAULT_EXTRACTOR,
    false_match_rate: float = 0.001,
    face: Literal["refuse", "largest"] = "refuse",
    detector: str | Detector = "retinaface",
    workers: int | None = None,
    progress: Any = None,
) -> Searched:
    """The faces in a folder of photos that are most like the face of one photo.

    >>> search("me.jpg", "photos").to_frame()  # doctest: +SKIP

    For your own photos and for consented research only: the README says what recognition must not
    be used for.

    Args:
        query: a photo of the person.
        folder: photos to look through, at any depth.
        index: a folder that keeps the faces' embeddings, so that the next search only reads what
            changed; without it nothing is kept.
        top: faces to find.
        group: also put all faces of the folder into groups of one person each.
        extractor: a name of `EXTRACTORS`, the folder or card of a network, or an extractor.
        false_match_rate: faces that would be called the same at it are marked, see `verify`.
        face: of a query with several faces: ``refuse`` it, or take the ``largest``.
        detector: finds the faces.
        workers: threads; all available cores by default.
        progress: called with photos read and photos to read.

    Raises:
        PhotoError: the query cannot be read, or shows no face (status ``no_face``).
        UsageError: a query with several faces, a folder without photos, a rate that the measured
            pairs cannot promise, or an index of another folder, model or detector.
        UnknownNameError, CardError: see `open_extractor`; or its card states no measured rates.
    """
    embedder = FaceEmbedder(open_extractor(extractor), detector_of(detector), workers=workers)
    faces = FaceIndex(Path(folder), embedder, None if index is None else Path(index))
    searcher = FolderSearch(faces, false_match_rate=false_match_rate, largest=face == "largest")
    return searcher.search(query, top=top, group=group, progress=progress)


CUT_AT: Final = 0.001
"""Groups are joined while their faces are, on average, as alike as the threshold of this false
match rate: chosen on half the people of LFW and FG-NET (benchmarks/grouping.py)."""
MOST_FACES: Final = 15_000
"""All pairs are held at once: 0.9 GB at this many."""


def group_faces(
    vectors: Vectors, rates: MeasuredRates, *, cut_at: float = CUT_AT
) -> NDArray[np.int64]:
    """The group [N] of each face, the largest first, from 0; a face of nobody else stands alone.

    Args:
        vectors: embeddings [N, D] of length 1.
        rates: of their extractor, whose overall threshold cuts.
        cut_at: the false match rate of that threshold.

    Raises:
        UsageError: more faces than are compared pair by pair, or a rate that was not measured.
    """
    if len(vectors) > MOST_FACES:
        raise UsageError(
            f"{len(vectors):,} faces are too many to group; up to {MOST_FACES:,} are. Search in a "
            "folder below, or leave out --group"
        )
    if len(vectors) < 2:
        return np.zeros(len(vectors), dtype=np.int64)
    first, second = np.triu_indices(len(vectors), 1)
    apart = np.float64(1) - (vectors @ vectors.T)[first, second]
    del first, second
    tree = hierarchy.linkage(np.maximum(apart, 0), "average")
    groups = hierarchy.fcluster(tree, 1 - rates.at(cut_at).threshold, "distance") - 1
    sizes = np.bincount(groups)
    places = np.argsort(np.argsort(-sizes, kind="stable"))
    return np.asarray(places[groups], dtype=np.int64)
