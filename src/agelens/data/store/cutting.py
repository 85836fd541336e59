"""From a photo to the chips of its labelled faces."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Protocol, TypeAlias, cast

import numpy as np
import pandas as pd

from agelens.data.formats.ldl import ROTATED_BOX
from agelens.data.store.card import ChipEncoding, StoreSettings
from agelens.errors import PhotoError, PhotoStatus, UsageError
from agelens.imaging.align import Fill, SimilarityAligner, box_overlaps, template_named
from agelens.imaging.aligned_chips import resized
from agelens.imaging.detectors import Detector
from agelens.imaging.folders import FOLDERS
from agelens.imaging.photos import IN_FLIGHT, PhotoSource, read_photo
from agelens.imaging.quality import partly_seen
from agelens.imaging.rotate_crop import RotatedBox, carried_box, find_rotated_box, rotate
from agelens.imaging.rotate_crop import cut as cut_rotated
from agelens.records import RGB, Chip, Face, Floats
from agelens.tables import BOX, LANDMARKS, SampleTable

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
    overlap = box_overlaps(boxes, labelled_xyxy[None])[:, 0]
    distance = _distance(boxes, _centre(labelled_xyxy))
    best = int(np.lexsort((distance, -overlap))[0])
    longer_side = float(np.max(labelled_xyxy[2:] - labelled_xyxy[:2]))
    found = overlap[best] > 0 or distance[best] <= longer_side
    return faces[best] if found else None


def _large_and_central(boxes: Floats, picture_hw: tuple[int, int]) -> int:
    areas = _areas(boxes)
    distance = _distance(boxes, np.array(picture_hw[::-1], dtype=np.float64) / 2)
    large = areas >= _LARGE * areas.max()
    return int(np.lexsort((-areas, np.where(large, distance, np.inf)))[0])


def _areas(boxes: Floats) -> Floats:
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).prod(axis=1))


def _centre(box: Floats) -> Floats:
    return np.asarray((box[:2] + box[2:]) / 2)


def _distance(boxes: Floats, point: Floats) -> Floats:
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    return np.asarray(np.hypot(*(middles - point).T))


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where a table says that a face is, NaN where it does not say.

    `box_xyxy` [4] and `landmarks` [5, 2] are in pixels of the photo, `rotated_xyxy` [4] in those
    of the photo turned by `roll_degrees`.
    """

    box_xyxy: Floats
    landmarks: Floats
    roll_degrees: float
    rotated_xyxy: Floats

    @property
    def box(self) -> Floats | None:
        """The box in the photo, if the table has one with an area."""
        return _whole(self.box_xyxy)

    def face(self) -> Face | None:
        """The face for a template, which its five landmarks are needed for."""
        return None if np.isnan(self.landmarks).any() else self._face(self.landmarks)

    def turned(self, rgb: RGB) -> tuple[Face, RGB, RotatedBox] | None:
        """The face, the photo turned, and the box in it; None without any box.

        A box in the turned photo is taken as it is; one in the photo itself is carried along.
        Without a roll, the photo is turned by the eye line, and without eyes it is not turned.
        """
        listed = _whole(self.rotated_xyxy)
        if listed is None and self.box is None:
            return None
        seen = self.face()
        roll = self.roll_degrees
        if np.isnan(roll):
            roll = 0.0 if seen is None or listed is not None else seen.roll_degrees
        turned = rotate(rgb, roll)
        face = seen or self._face(self.landmarks)
        if listed is None:
            listed = carried_box(rgb, turned, self.box_xyxy, roll)
        return face, turned, RotatedBox(roll, listed, found=True)

    def _face(self, landmarks: Floats) -> Face:
        return Face(self.box_xyxy, landmarks, float("nan"))


def _whole(box: Floats) -> Floats | None:
    return box if box[2] > box[0] and box[3] > box[1] else None  # also None where one is NaN


Align: TypeAlias = Callable[[RGB, Face], tuple[Chip, Floats | None]]
"""The chip of a face, and its box in the turned photo where the alignment has one."""


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """What came of one label on one photo; `chip` is None where its face is not there.

    `matrix` [2, 3] leads from the photo to the chip, None of a picture taken whole. `faces` counts
    those found in the photo. `rotated_xyxy` [4] is the second pass's box in pixels of the photo
    turned by the face's roll, `roll_degrees` where that is not the eye line's.
    """

    chip: RGB | None
    face: Face | None = None
    faces: int = 0
    rotated_xyxy: Floats | None = None
    roll_degrees: float | None = None
    matrix: Floats | None = None


class Cutter(Protocol):
    """Cuts the chips of a photo's labels."""

    def __call__(self, rgb: RGB, places: Sequence[Place]) -> list[Cut]:
        """One `Cut` for each label, by what the table says of where its face is."""


@dataclass(frozen=True, slots=True)
class FaceCutter:
    """Detects once, then for each label chooses its face and aligns it."""

    detector: Detector
    align: Align

    def __call__(self, rgb: RGB, places: Sequence[Place]) -> list[Cut]:
        """See `Cutter`; the face is chosen by `choose_face`."""
        faces = self.detector.detect(rgb)
        return [self._cut(rgb, faces, place.box) for place in places]

    def _cut(self, rgb: RGB, faces: Sequence[Face], box: Floats | None) -> Cut:
        face = choose_face(faces, (rgb.shape[0], rgb.shape[1]), box)
        if face is None:
            return Cut(None, None, len(faces))
        chip, rotated_xyxy = self.align(rgb, face)
        return Cut(chip.rgb, face, len(faces), rotated_xyxy, matrix=chip.matrix)


@dataclass(frozen=True, slots=True)
class WholePictureCutter:
    """The whole picture, resized to `size` on both sides; nothing is searched for."""

    size: int

    def __call__(self, rgb: RGB, places: Sequence[Place]) -> list[Cut]:
        """See `Cutter`; every label gets the same chip."""
        chip = resized(rgb, self.size)
        return [Cut(chip) for _ in places]


@dataclass(frozen=True, slots=True)
class TableCutter:
    """Cuts where the table says that a face is; searches for those alone of which it does not.

    Args:
        at: the cut at a place, None where the table does not say enough.
        search: cuts the others.
    """

    at: Callable[[RGB, Place], Cut | None]
    search: FaceCutter

    def __call__(self, rgb: RGB, places: Sequence[Place]) -> list[Cut]:
        """See `Cutter`."""
        cuts = [self.at(rgb, place) for place in places]
        unknown = [place for place, cut in zip(places, cuts, strict=True) if cut is None]
        found = iter(self.search(rgb, unknown) if unknown else ())
        return [next(found) if cut is None else cut for cut in cuts]


def cutter_of(settings: StoreSettings, detector: Detector) -> Cutter:
    """The cutter that `settings` describe."""
    if settings.alignment == "as-shipped":
        return WholePictureCutter(settings.size)
    of_table = settings.boxes == "table"
    if settings.alignment == "rotate-crop":
        search = FaceCutter(detector, _two_pass(detector, settings))
        return TableCutter(partial(_rotated_cut, settings), search) if of_table else search
    template = template_named(str(settings.template))
    aligner = SimilarityAligner(template, settings.size, settings.margin, cast(Fill, settings.fill))
    search = FaceCutter(detector, lambda rgb, face: (aligner.align(rgb, face), None))
    return TableCutter(partial(_aligned_cut, aligner), search) if of_table else search


def _aligned_cut(aligner: SimilarityAligner, rgb: RGB, place: Place) -> Cut | None:
    face = place.face()
    if face is None:
        return None
    chip = aligner.align(rgb, face)
    return Cut(chip.rgb, face, 1, matrix=chip.matrix)


def _rotated_cut(settings: StoreSettings, rgb: RGB, place: Place) -> Cut | None:
    placed = place.turned(rgb)
    if placed is None:
        return None
    face, turned, box = placed
    chip = cut_rotated(rgb, turned, box, size=settings.size, expand=settings.margin)
    return Cut(chip.rgb, face, 1, box.box_xyxy, box.roll_degrees, chip.matrix)


def _two_pass(detector: Detector, settings: StoreSettings) -> Align:
    def align(rgb: RGB, face: Face) -> tuple[Chip, Floats | None]:
        turned = rotate(rgb, face.roll_degrees)
        box = find_rotated_box(rgb, face, detector, turned=turned)
        chip = cut_rotated(rgb, turned, box, size=settings.size, expand=settings.margin)
        return chip, box.box_xyxy

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
    roll_degrees: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class LabelledPhoto:
    """A photo and those rows of one shard that label it, with where their faces are."""

    shard: int
    dataset: str
    path: str
    rows: tuple[int, ...]
    places: tuple[Place, ...]

    @property
    def boxes(self) -> tuple[Floats | None, ...]:
        """The labelled box of each row, None where there is none."""
        return tuple(place.box for place in self.places)


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
        return photo, [self._outcome(cut, rgb.shape) for cut in self.cutter(rgb, photo.places)]

    def _outcome(self, cut: Cut, size_hw: tuple[int, ...]) -> Outcome:
        if cut.chip is None:
            why = f"none of {cut.faces} is near the labelled box" if cut.faces else "no face found"
            return Outcome("no_face", why, faces=cut.faces)
        chip = self.encoding.encode(cut.chip)
        told = partly_seen(cut.face, size_hw, cut.chip, cut.matrix) if cut.face else ""
        return Outcome("ok", told, chip, cut.face, cut.faces, cut.rotated_xyxy, cut.roll_degrees)


def labelled_photos(labels: pd.DataFrame, shard: int) -> Iterator[LabelledPhoto]:
    """The photos of one shard's rows in order of appearance, each of them once."""
    rows_of: dict[tuple[str, str], list[int]] = {}
    for row, named in enumerate(zip(labels["dataset"], labels["path"], strict=True)):
        rows_of.setdefault(named, []).append(row)
    places = places_of(labels)
    for (dataset, path), rows in rows_of.items():
        yield LabelledPhoto(shard, dataset, path, tuple(rows), tuple(places[row] for row in rows))


def places_of(labels: pd.DataFrame) -> list[Place]:
    """What the columns of each row say of where its face is."""

    def numbers(names: Sequence[str]) -> Floats:
        there = labels.reindex(columns=list(names))
        return np.asarray(there.apply(pd.to_numeric, errors="coerce"), dtype=np.float64)

    boxes, rolls = numbers(BOX), numbers(("roll_degrees",))[:, 0]
    points, rotated = numbers(LANDMARKS).reshape(-1, 5, 2), numbers(ROTATED_BOX)
    return [
        Place(boxes[row], points[row], float(rolls[row]), rotated[row])
        for row in range(len(labels))
    ]


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
            "folder as root (--root), or a store made of them (agelens data prepare)"
        )
    if missing:
        raise UsageError(f"no root given for {', '.join(missing)}; given: {', '.join(roots)}")
    for name in datasets if check else ():
        _check_root(name, roots[name], table.frame.loc[table.frame["dataset"] == name, "path"])
        FOLDERS.found(roots[name])
    return lambda dataset, path: roots[dataset] / path


def _check_root(dataset: str, root: Path, paths: pd.Series) -> None:
    # os.path.exists takes any name for absent that Path.exists raises on, such as one too long.
    if not any(os.path.exists(root / path) for path in paths):  # noqa: PTH110
        raise UsageError(
            f"{dataset}: none of the table's {len(paths)} pictures is under {root}, not even "
            f"{root / paths.iloc[0]}; give the folder that the table was read from as root (--root)"
        )
