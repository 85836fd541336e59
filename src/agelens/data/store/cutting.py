"""From a photo to the chips of its labelled faces."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, TypeAlias, cast

import cv2
import numpy as np
import pandas as pd

from agelens.data.store.card import ChipEncoding, StoreSettings
from agelens.errors import PhotoError, PhotoStatus, UsageError
from agelens.imaging.align import Fill, SimilarityAligner, template_named
from agelens.imaging.detectors import Detector
from agelens.imaging.photos import IN_FLIGHT, PhotoSource, read_photo
from agelens.imaging.rotate_crop import cut as cut_rotated
from agelens.imaging.rotate_crop import find_rotated_box, rotate
from agelens.records import RGB, Face, Floats
from agelens.tables import BOX, SampleTable

_LARGE: Final = 0.5


def choose_face(
    faces: Sequence[Face], picture_hw: tuple[int, int], labelled_xyxy: Floats | None = None
) -> Face | None:
    """The face that a label means, by the rule of this module; None where it is not there.

    Args:
        faces: of one photo, largest box first, as detectors give them.
        picture_hw: height and width of the photo in pixels.
        labelled_xyxy: the labelled box [4] in the photo's pixels, if there is one.
    """
    if not faces:
        return None
    boxes = np.stack([face.box_xyxy for face in faces])
    if labelled_xyxy is None:
        return faces[_large_and_central(boxes, picture_hw)]
    overlap, distance = _overlap(boxes, labelled_xyxy), _distance(boxes, _centre(labelled_xyxy))
    best = int(np.lexsort((distance, -overlap))[0])
    longer_side = float(np.max(labelled_xyxy[2:] - labelled_xyxy[:2]))
    found = overlap[best] > 0 or distance[best] <= longer_side
    return faces[best] if found else None


def _large_and_central(boxes: Floats, picture_hw: tuple[int, int]) -> int:
    areas = _areas(boxes)
    distance = _distance(boxes, np.array(picture_hw[::-1], dtype=np.float64) / 2)
    large = areas >= _LARGE * areas.max()
    return int(np.lexsort((-areas, np.where(large, distance, np.inf)))[0])


def _overlap(boxes: Floats, box: Floats) -> Floats:
    """Intersection over union of each of `boxes` [N, 4] with `box` [4]."""
    corner = np.maximum(boxes[:, :2], box[:2])
    extent = np.clip(np.minimum(boxes[:, 2:], box[2:]) - corner, 0, None)
    shared = extent.prod(axis=1)
    return np.asarray(shared / (_areas(boxes) + _areas(box[None]) - shared))


def _areas(boxes: Floats) -> Floats:
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).prod(axis=1))


def _centre(box: Floats) -> Floats:
    return np.asarray((box[:2] + box[2:]) / 2)


def _distance(boxes: Floats, point: Floats) -> Floats:
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    return np.asarray(np.hypot(*(middles - point).T))


Align: TypeAlias = Callable[[RGB, Face], tuple[RGB, Floats | None]]
"""The chip of a face, and its box in the turned photo where the alignment has one."""


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """What came of one label on one photo; `chip` is None where its face is not there.

    `faces` counts those found in the photo. `rotated_xyxy` [4] is the second pass's box in
    pixels of the photo turned by the face's roll.
    """

    chip: RGB | None
    face: Face | None = None
    faces: int = 0
    rotated_xyxy: Floats | None = None


class Cutter(Protocol):
    """Cuts the chips of a photo's labels."""

    def __call__(self, rgb: RGB, boxes: Sequence[Floats | None]) -> list[Cut]:
        """One `Cut` for each of the labelled boxes, None where a label has no box."""


@dataclass(frozen=True, slots=True)
class FaceCutter:
    """Detects once, then for each label chooses its face and aligns it."""

    detector: Detector
    align: Align

    def __call__(self, rgb: RGB, boxes: Sequence[Floats | None]) -> list[Cut]:
        """See `Cutter`; the face is chosen by `choose_face`."""
        faces = self.detector.detect(rgb)
        return [self._cut(rgb, faces, box) for box in boxes]

    def _cut(self, rgb: RGB, faces: Sequence[Face], box: Floats | None) -> Cut:
        face = choose_face(faces, (rgb.shape[0], rgb.shape[1]), box)
        if face is None:
            return Cut(None, None, len(faces))
        chip, rotated_xyxy = self.align(rgb, face)
        return Cut(chip, face, len(faces), rotated_xyxy)


@dataclass(frozen=True, slots=True)
class WholePictureCutter:
    """The whole picture, resized to `size` on both sides; nothing is searched for."""

    size: int

    def __call__(self, rgb: RGB, boxes: Sequence[Floats | None]) -> list[Cut]:
        """See `Cutter`; every label gets the same chip."""
        smaller = min(rgb.shape[:2]) > self.size
        how = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
        chip = np.asarray(cv2.resize(rgb, (self.size, self.size), interpolation=how), np.uint8)
        return [Cut(chip) for _ in boxes]


def cutter_of(settings: StoreSettings, detector: Detector) -> Cutter:
    """The cutter that `settings` describe."""
    if settings.alignment == "as-shipped":
        return WholePictureCutter(settings.size)
    if settings.alignment == "rotate-crop":
        return FaceCutter(detector, _two_pass(detector, settings))
    template = template_named(str(settings.template))
    aligner = SimilarityAligner(template, settings.size, settings.margin, cast(Fill, settings.fill))
    return FaceCutter(detector, lambda rgb, face: (aligner.align(rgb, face).rgb, None))


def _two_pass(detector: Detector, settings: StoreSettings) -> Align:
    def align(rgb: RGB, face: Face) -> tuple[RGB, Floats | None]:
        turned = rotate(rgb, face.roll_degrees)
        box = find_rotated_box(rgb, face, detector, turned=turned)
        chip = cut_rotated(rgb, turned, box, size=settings.size, expand=settings.margin)
        return chip.rgb, box.box_xyxy

    return align


PictureSource: TypeAlias = Callable[[str, str], PhotoSource]
"""Where a picture is, from the names of its dataset and path: a file's path or its bytes."""

Root: TypeAlias = "str | Path | Mapping[str, str | Path] | PictureSource | None"
"""A folder, one a dataset, or a function that finds pictures; None where the table knows."""


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a row of the table became; `chip` is the encoded picture."""

    status: PhotoStatus
    message: str = ""
    chip: bytes | None = None
    face: Face | None = None
    faces: int = 0
    rotated_xyxy: Floats | None = None


@dataclass(frozen=True, slots=True, eq=False)
class LabelledPhoto:
    """A photo and those rows of one shard that label it, with their boxes."""

    shard: int
    dataset: str
    path: str
    rows: tuple[int, ...]
    boxes: tuple[Floats | None, ...]


@dataclass(frozen=True, slots=True)
class PhotoWorker:
    """Turns a labelled photo into outcomes; what makes a photo unusable becomes a status."""

    pictures: PictureSource
    cutter: Cutter
    encoding: ChipEncoding
    max_pixels: int

    @IN_FLIGHT.one_photo()
    def __call__(self, photo: LabelledPhoto) -> tuple[LabelledPhoto, list[Outcome]]:
        """The photo with one outcome for each of its rows, in their order."""
        try:
            source = self.pictures(photo.dataset, photo.path)
            # The path as listed: where the root lies is no part of a store.
            rgb = read_photo(source, name=photo.path, max_pixels=self.max_pixels).rgb
        except PhotoError as error:
            return photo, [Outcome(error.status, str(error))] * len(photo.rows)
        return photo, [self._outcome(cut) for cut in self.cutter(rgb, photo.boxes)]

    def _outcome(self, cut: Cut) -> Outcome:
        if cut.chip is None:
            why = f"none of {cut.faces} is near the labelled box" if cut.faces else "no face found"
            return Outcome("no_face", why, faces=cut.faces)
        chip = self.encoding.encode(cut.chip)
        return Outcome("ok", "", chip, cut.face, cut.faces, cut.rotated_xyxy)


def labelled_photos(labels: pd.DataFrame, shard: int) -> Iterator[LabelledPhoto]:
    """The photos of one shard's rows in order of appearance, each of them once."""
    rows_of: dict[tuple[str, str], list[int]] = {}
    for row, named in enumerate(zip(labels["dataset"], labels["path"], strict=True)):
        rows_of.setdefault(named, []).append(row)
    boxes = labels[list(BOX)].to_numpy(dtype=np.float64)
    whole = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])  # false where one is missing
    for (dataset, path), rows in rows_of.items():
        labelled = tuple(boxes[row] if whole[row] else None for row in rows)
        yield LabelledPhoto(shard, dataset, path, tuple(rows), labelled)


def picture_source(root: Root, table: SampleTable, *, check: bool = True) -> PictureSource:
    """How to find the pictures of `table`.

    Args:
        root: the dataset's root; roots by dataset; a function, for pictures that are no files
            of their own; or None for the roots that the table remembers.
        table: its datasets must all have a root.
        check: that one of the table's pictures is there.

    Raises:
        UsageError: a dataset without a root, or a root that holds none of the pictures.
    """
    if callable(root):
        return root
    datasets = [str(name) for name in table.frame["dataset"].cat.categories]
    given = table.roots if root is None else root
    given = given if isinstance(given, Mapping) else dict.fromkeys(datasets, given)
    roots = {name: Path(folder) for name, folder in given.items()}
    missing = [name for name in datasets if name not in roots]
    if missing and root is None:
        raise UsageError(
            f"the table does not say where the pictures of {', '.join(missing)} are: give their "
            "folder as root (--root)"
        )
    if missing:
        raise UsageError(f"no root given for {', '.join(missing)}; given: {', '.join(roots)}")
    for name in datasets if check else ():
        _check_root(name, roots[name], table.frame.loc[table.frame["dataset"] == name, "path"])
    return lambda dataset, path: roots[dataset] / path


def _check_root(dataset: str, root: Path, paths: pd.Series) -> None:
    # os.path.exists takes any name for absent that Path.exists raises on, such as one too long.
    if not any(os.path.exists(root / path) for path in paths):  # noqa: PTH110
        raise UsageError(
            f"{dataset}: none of the table's {len(paths)} pictures is under {root}, not even "
            f"{root / paths.iloc[0]}; give the folder that the table was read from as root (--root)"
        )
