"""From a photo to the chips of its faces: read, search, align, judge."""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import perf_counter
from typing import TypeAlias

from agelens.errors import PhotoError, PhotoStatus
from agelens.imaging.align import Aligner
from agelens.imaging.detectors import Detector
from agelens.imaging.photos import PhotoSource, read_photo, source_name
from agelens.imaging.quality import judge
from agelens.records import RGB, Face, Photo, PhotoResult, Quality
from agelens.version import __version__

PhotoLike: TypeAlias = PhotoSource | PhotoError


@dataclass(frozen=True, slots=True, eq=False)
class PreparedPhoto:
    """One photo after detection and alignment, before any chip network has seen it."""

    result: PhotoResult
    faces: tuple[Face, ...] = ()
    qualities: tuple[Quality, ...] = ()
    chips: tuple[RGB, ...] = ()
    gender_chips: tuple[RGB, ...] = ()
    photo: Photo | None = None


class PhotoPreparation:
    """Finds faces and cuts their chips; safe to share between threads.

    Args:
        detector: finds the faces.
        aligner: cuts the age network's chips.
        gender_aligner: cuts the gender network's chips, where there is one.
        model: its name, for results.
        max_pixels: larger photos are refused before they are decoded.
    """

    def __init__(
        self,
        detector: Detector,
        aligner: Aligner,
        gender_aligner: Aligner | None,
        *,
        model: str,
        max_pixels: int,
    ) -> None:
        self.detector = detector
        self.aligner = aligner
        self.gender_aligner = gender_aligner
        self.model = model
        self.max_pixels = max_pixels

    def __call__(
        self, source: PhotoLike, *, bgr: bool = False, keep: bool = False
    ) -> PreparedPhoto:
        """`source` prepared, or a result that says why it cannot be.

        Args:
            source: a photo, or what went wrong before there was one.
            bgr: arrays have their channels in OpenCV's order.
            keep: also the photo itself, for whoever draws on it.
        """
        started = perf_counter()
        prepared = self._searched(source, bgr=bgr, keep=keep)
        took = 1000 * (perf_counter() - started)
        return replace(prepared, result=replace(prepared.result, milliseconds=took))

    def _searched(self, source: PhotoLike, *, bgr: bool, keep: bool) -> PreparedPhoto:
        try:
            if isinstance(source, PhotoError):
                raise source
            photo = read_photo(source, bgr=bgr, max_pixels=self.max_pixels)
        except PhotoError as error:
            name = error.source or source_name(source)
            return PreparedPhoto(self._result(name, error.status, str(error)))
        faces = self.detector.detect(photo.rgb)
        status: PhotoStatus = "ok" if faces else "no_face"
        result = replace(
            self._result(photo.source, status, "" if faces else "no face found"),
            frame=photo.frame,
            time_seconds=photo.time_seconds,
        )
        chips = tuple(self.aligner.align(photo.rgb, face).rgb for face in faces)
        return PreparedPhoto(
            result,
            faces,
            tuple(judge(face, chip) for face, chip in zip(faces, chips, strict=True)),
            chips,
            tuple(self.gender_aligner.align(photo.rgb, face).rgb for face in faces)
            if self.gender_aligner
            else (),
            photo if keep else None,
        )

    def _result(self, name: str, status: PhotoStatus, message: str) -> PhotoResult:
        return PhotoResult(
            name,
            status,
            message,
            model=self.model,
            detector=self.detector.name,
            agelens_version=__version__,
        )
