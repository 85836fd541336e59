"""From a photo to the chips of its faces: read, search, align, judge."""

from __future__ import annotations

import os
import sys
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from numbers import Number
from time import perf_counter
from typing import Final, TypeAlias, TypeGuard
from weakref import ref

import numpy as np
from PIL import Image

from agelens.errors import InputTypeError, PhotoError, PhotoStatus
from agelens.imaging.align import Aligner
from agelens.imaging.detectors import Detector
from agelens.imaging.photos import (
    IN_FLIGHT,
    PhotoSource,
    file_content,
    is_file,
    read_photo,
    source_name,
)
from agelens.imaging.quality import judge
from agelens.inference.results import PhotoResult, Pixels
from agelens.records import RGB, Face, Photo, Quality
from agelens.version import __version__

PhotoLike: TypeAlias = PhotoSource | PhotoError

_EXPECTED: Final = (
    "expected a path, bytes, a file, an array uint8 [H, W, 3], a PIL image, or a list of these"
)


def is_one_photo(given: PhotoLike | Iterable[PhotoLike]) -> TypeGuard[PhotoLike]:
    """Whether `given` is one photo; False where it is many.

    Raises:
        InputTypeError: it is neither; the message says what to give instead.
    """
    if isinstance(given, np.ndarray):
        if given.dtype.kind in "OUS":
            raise InputTypeError(f"{_EXPECTED}, got an array of names: give it as names.tolist()")
        return True
    if isinstance(given, str | os.PathLike | bytes | bytearray | memoryview):
        return True
    if isinstance(given, Image.Image | Photo | PhotoError) or is_file(given):
        return True
    advice = _advice(given)
    if advice or not isinstance(given, Iterable):
        raise InputTypeError(f"{_EXPECTED}, got {type(given).__name__}{advice}")
    return False


def _advice(given: object) -> str:
    """The way out for what is often given in place of photos, though it can be iterated over."""
    package = type(given).__module__.partition(".")[0]
    if given is None:
        return ": OpenCV's imread gives it for a file that it cannot read; give the path itself"
    if isinstance(given, Number):
        return ": a camera is opened by .camera(number)"
    if isinstance(given, Mapping):
        return ": give its values, list(photos.values())"
    if package in ("pandas", "polars") and hasattr(given, "columns"):
        return ": give the column of paths, such as frame['path']"
    return _advice_of_numbers(given)


def _advice_of_numbers(given: object) -> str:
    # Asked of `sys.modules`, so that nothing is loaded for it.
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(given, torch.Tensor):
        return ": give pixels from 0 to 255, tensor.permute(1, 2, 0).byte().cpu().numpy()"
    if len(getattr(given, "shape", ())) > 1:  # another package's array
        return ": give pixels from 0 to 255 as a numpy array, numpy.asarray(pixels)"
    if isinstance(given, range | array):
        return ": give a file's content as bytes, bytes(content)"
    if isinstance(given, list | tuple) and given and all(map(_is_of_numbers, given)):
        return " of numbers: give pixels from 0 to 255 as a numpy array, of type numpy.uint8"
    return ""


def _is_of_numbers(given: object) -> bool:
    """Whether it is a number, or a list that begins with one, however deep."""
    while isinstance(given, list | tuple) and given:
        given = given[0]
    return isinstance(given, Number)


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
        self, source: PhotoLike, *, bgr: bool = False, keep: bool = False, hold: bool = False
    ) -> PreparedPhoto:
        """`source` prepared, or a result that says why it cannot be.

        Args:
            source: a photo, or what went wrong before there was one.
            bgr: arrays have their channels in OpenCV's order.
            keep: also the photo itself, for whoever draws on it.
            hold: the result keeps what was given, to draw on it later; else only a path.
        """
        started = perf_counter()
        prepared = self._searched(source, bgr=bgr, keep=keep, hold=hold)
        took = 1000 * (perf_counter() - started)
        return replace(prepared, result=replace(prepared.result, milliseconds=took))

    @IN_FLIGHT.one_photo()
    def _searched(self, source: PhotoLike, *, bgr: bool, keep: bool, hold: bool) -> PreparedPhoto:
        name = source_name(source)
        try:
            if isinstance(source, PhotoError):
                raise source
            if is_file(source):  # once: it may be closed when its result is drawn
                source = file_content(source, name)
            photo = read_photo(source, bgr=bgr, max_pixels=self.max_pixels, name=name)
        except PhotoError as error:
            return PreparedPhoto(self._result(error.source or name, error.status, str(error)))
        faces = self.detector.detect(photo.rgb)
        status: PhotoStatus = "ok" if faces else "no_face"
        pixels: Pixels = ref(photo.rgb)  # results that pile up must not keep every frame
        if hold or isinstance(source, str | os.PathLike):
            pixels = partial(_pixels_of, source, bgr=bgr, max_pixels=self.max_pixels)
        result = replace(
            self._result(photo.source, status, "" if faces else self._no_face(photo)),
            frame=photo.frame,
            time_seconds=photo.time_seconds,
            pixels=pixels,
        )
        cut = [self.aligner.align(photo.rgb, face) for face in faces]
        size_hw = photo.rgb.shape[:2]
        return PreparedPhoto(
            result,
            tuple(_within(face, size_hw) for face in faces),
            tuple(
                judge(face, chip.rgb, size_hw, matrix=chip.matrix)
                for face, chip in zip(faces, cut, strict=True)
            ),
            tuple(chip.rgb for chip in cut),
            tuple(self.gender_aligner.align(photo.rgb, face).rgb for face in faces)
            if self.gender_aligner
            else (),
            photo if keep else None,
        )

    def _no_face(self, photo: Photo) -> str:
        searched, size = getattr(self.detector, "longest_side", None), max(photo.rgb.shape[:2])
        if searched is None or size < 2 * searched:
            return "no face found"
        return (
            f"no face found in a copy of {searched} of its {size} pixels; --small-faces or a "
            "larger longest_side finds smaller ones"
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


def _within(face: Face, size_hw: tuple[int, ...]) -> Face:
    """`face` with the part of its box that lies inside the photo."""
    edges = (size_hw[1], size_hw[0], size_hw[1], size_hw[0])
    return replace(face, box_xyxy=np.clip(face.box_xyxy, 0, edges))


def _pixels_of(source: PhotoSource, *, bgr: bool, max_pixels: int) -> RGB:
    return read_photo(source, bgr=bgr, max_pixels=max_pixels).rgb
