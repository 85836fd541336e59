"""The estimator: photos, videos and cameras in, ages out.

`AgeEstimator` is the whole way from the top: `PhotoPreparation` reads a photo, finds its faces
and cuts their chips; `FaceAnswers` makes ages of chips; what comes out is a `PhotoResult`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast, overload

import numpy as np

from agelens.ages import AgeScale
from agelens.errors import CardError, InputTypeError, PhotoError, UsageError
from agelens.imaging.align import Aligner
from agelens.imaging.aligned_chips import WholePicture, WholePictureAligner
from agelens.imaging.detectors import DEFAULT_LONGEST_SIDE, Detector, detector_class
from agelens.imaging.photos import DEFAULT_MAX_PIXELS, array_pixels, display_name
from agelens.inference.answers import GENDER_COLUMN, OutputSpec, likeliest_words, point_and_interval
from agelens.inference.calibration import Calibration
from agelens.inference.cards import DEFAULT_GENDER_MODEL, DEFAULT_MODEL, Card, load_card
from agelens.inference.network import BATCH, ChipNetwork
from agelens.inference.ordered import blocks, ordered_map
from agelens.inference.photo_preparation import (
    PhotoLike,
    PhotoPreparation,
    PreparedPhoto,
    is_one_photo,
)
from agelens.inference.results import PhotoResult, frame_of
from agelens.records import RGB, AgeEstimate, Chip, Face, Floats, Gender, Photo, Quality
from agelens.version import __version__

if TYPE_CHECKING:
    import pandas as pd


class FaceAnswers:
    """Ages, and genders where they are asked for, of chips cut as the networks' cards say.

    Args:
        age: answers ages.
        gender: answers genders; `age` itself where its card has them. Where there is one, what
            `age` tells besides, such as ethnicity, is read as well.
        level: share that an interval is to hold.
        calibration: corrects ages and intervals; None leaves them as the network has them.
        show_uncalibrated: show such intervals as well, see `AgeEstimate.interval_shown`.
    """

    def __init__(
        self,
        age: ChipNetwork,
        gender: ChipNetwork | None,
        *,
        level: float,
        calibration: Calibration | None,
        show_uncalibrated: bool = False,
    ) -> None:
        self._age = age
        self._gender = gender
        self._level = level
        self._calibration = calibration
        self._shown = show_uncalibrated

    def __call__(self, chips: Sequence[RGB], gender_chips: Sequence[RGB] = ()) -> list[AgeEstimate]:
        """One a chip [S, S, 3]; `gender_chips` are those of a gender network of its own."""
        if not chips:
            return []
        rows, beside = self._age.answers_and_told(np.stack(chips))
        told = self._told(beside, gender_chips)
        genders = told.pop(GENDER_COLUMN, None)
        words = [gender for gender, _ in genders] if genders else None
        read = self._age.read(rows)
        stated = point_and_interval(read, self._level, self._calibration, words)
        return [
            AgeEstimate(
                estimate_years=float(stated.estimate_years[face]),
                median_years=float(stated.median_years[face]),
                low_years=float(stated.low_years[face]),
                high_years=float(stated.high_years[face]),
                interval_level=self._level,
                coverage=stated.coverage,
                distribution=None if read.distribution is None else read.distribution[face],
                answer=rows[face],
                interval_shown=self._shown or stated.coverage is not None,
                gender=cast(Gender, genders[face][0]) if genders else None,
                gender_score=genders[face][1] if genders else None,
                further={column: of_faces[face] for column, of_faces in told.items()},
            )
            for face in range(len(rows))
        ]

    def _told(self, beside: Floats, chips: Sequence[RGB]) -> dict[str, list[tuple[str, float]]]:
        """By column the likeliest word of each face with its probability, where somebody asked."""
        if self._gender is None:
            return {}
        told = _words(beside, self._age.card.told)
        if self._gender is not self._age:
            told.pop(GENDER_COLUMN, None)
            if chips:
                told |= _words(self._gender.answers(np.stack(chips)), self._gender.card.told)
        return told


def _words(
    probabilities: Floats, told: Mapping[str, Sequence[str]]
) -> dict[str, list[tuple[str, float]]]:
    return {
        column: [
            (told[column][place], float(score)) for place, score in zip(places, scores, strict=True)
        ]
        for column, (places, scores) in likeliest_words(probabilities, told).items()
    }


OnPhoto: TypeAlias = Callable[[Photo, PhotoResult], None]

DEFAULT_INTERVAL: Final = 0.9
_PHOTOS_KEPT: Final = 4  # whole photos held at a time for whoever draws on them

_Finished: TypeAlias = tuple[Photo | None, PhotoResult]


class AgeEstimator:
    """Finds faces in photos and estimates how old each looks, with an interval.

    >>> estimator = AgeEstimator()                               # doctest: +SKIP
    >>> estimator.estimate("party.jpg").faces[0].estimate_years  # doctest: +SKIP
    >>> estimator.estimate(["a.jpg", image_bytes, pil_image])    # doctest: +SKIP
    >>> estimator.frame(folder.glob("*.jpg"))                    # doctest: +SKIP

    Safe to share between threads; it pickles and copies, and a copy opens its networks anew. A
    photo that cannot be used never raises: its result carries a status and a message.

    Args:
        model: name of a packaged model, path of a card or of a folder that holds one, or a
            `Card`.
        detector: name of a detector, or a `Detector` of your own.
        device: ``cpu`` or ``cuda``.
        gender: True for what the model itself sees, where it tells genders, else for the packaged
            gender model; or a gender model as for `model`.
        mirror: average each face with its mirror image; twice the network's time.
        interval_level: share that is to lie between `low_years` and `high_years`.
        aligned: pictures are chips of one face each, aligned as the model's training data were:
            they are taken whole, and no detector looks at them.
        threshold: of a model whose ages are ranks (CORAL, CORN, OR-CNN): how probable "older than"
            has to be, in place of what its card says.
        calibrated: use the corrections that the model's card has, and show no interval of a
            model without; False gives and shows the network's own ages and intervals.
        longest_side: the detector searches a copy of at most this size; raise it for
            small faces in large photos. For a detector given by name only.
        workers: threads that read and detect; all available cores by default.
        max_pixels: larger photos are refused before they are decoded.

    Raises:
        UnknownNameError: a model or detector that does not exist.
        CardError: a card and weights that do not fit each other or the task.
        UsageError: a device that this machine lacks; gender of aligned chips by a model that
            tells none, since those of the packaged gender model are cut otherwise; or a threshold
            for a model without ranks, or outside (0, 1).
    """

    def __init__(
        self,
        model: str | Path | Card = DEFAULT_MODEL,
        detector: str | Detector = "retinaface",
        *,
        device: str = "cpu",
        gender: bool | str | Path | Card = False,
        mirror: bool = False,
        aligned: bool = False,
        threshold: float | None = None,
        interval_level: float = DEFAULT_INTERVAL,
        calibrated: bool = True,
        longest_side: int = DEFAULT_LONGEST_SIDE,
        workers: int | None = None,
        max_pixels: int = DEFAULT_MAX_PIXELS,
    ) -> None:
        self.card = _with_threshold(_card_for("age", model), threshold)
        self._threshold = threshold
        self.aligned = aligned
        if aligned:
            detector = WholePicture()
        if isinstance(detector, str):
            detector = detector_class(detector)(longest_side=longest_side)
        self.detector = detector
        self.interval_level = interval_level
        self._calibration = self.card.calibration if calibrated else None
        self.workers = workers or available_cores()
        self.max_pixels = max_pixels
        self._device = device
        self._network = ChipNetwork(self.card, device=device, mirror=mirror)
        self._gender: ChipNetwork | None = None
        self._gender_aligner: Aligner | None = None
        if gender is True and (self.card.labels or (aligned and self.card.further)):
            self._gender = self._network
        elif gender and aligned:
            raise UsageError(
                f"{self.card.name} tells no gender, and the chips of a gender model are cut "
                "otherwise than these: leave out --gender, or give photos"
            )
        elif gender:
            gender_card = _card_for("gender", DEFAULT_GENDER_MODEL if gender is True else gender)
            self._gender = ChipNetwork(gender_card, device=device, mirror=mirror)
            self._gender_aligner = self._gender.aligner(detector)
        self._faces = FaceAnswers(
            self._network,
            self._gender,
            level=interval_level,
            calibration=self._calibration,
            show_uncalibrated=not calibrated,
        )

    def __repr__(self) -> str:
        gender = f", gender={self._gender.card.name!r}" if self._gender else ""
        return f"AgeEstimator({self.card.name!r}, {self.detector.name!r}{gender})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Open networks cannot be pickled: the copy is made as this one was.
        gender: bool | Card = self._gender is not None
        if self._gender and self._gender is not self._network:
            gender = self._gender.card
        settings: dict[str, Any] = {
            "device": self._device,
            "gender": gender,
            "mirror": self._network.mirror,
            "aligned": self.aligned,
            "threshold": self._threshold,
            "interval_level": self.interval_level,
            "calibrated": self._calibration is not None,
            "workers": self.workers,
            "max_pixels": self.max_pixels,
        }
        return _made_anew, (type(self), self.card, self.detector, settings)

    def check_takes_photos(self) -> None:
        """Make sure that faces of photos can be cut as this network's chips were.

        Raises:
            UsageError: they cannot, so that only `estimate_chips` is of use.
        """
        self._preparation  # noqa: B018 - making it raises

    @cached_property
    def _preparation(self) -> PhotoPreparation:
        return PhotoPreparation(
            self.detector,
            self._aligner(),
            self._gender_aligner,
            model=self.card.name,
            max_pixels=self.max_pixels,
        )

    def _aligner(self) -> Aligner:
        if self.aligned:
            return WholePictureAligner(self.card.input.size)
        return self._network.aligner(self.detector)

    def chip_of(self, rgb: RGB, face: Face) -> Chip:
        """What the network sees of `face` in the upright photo `rgb` [H, W, 3].

        Raises:
            UsageError: see `check_takes_photos`.
        """
        return self._preparation.aligner.align(rgb, face)

    @property
    def age_scale(self) -> AgeScale:
        """The ages that a distribution of this estimator lies over."""
        return self._answer.scale

    @property
    def _answer(self) -> OutputSpec:
        assert self.card.answer is not None  # noqa: S101 - _card_for took an age card only
        return self.card.answer

    @property
    def settings(self) -> dict[str, str]:
        """What every result row says of how it was made."""
        return {
            "model": self.card.name,
            "detector": self.detector.name,
            "agelens_version": __version__,
        }

    @overload
    def estimate(self, photo: PhotoLike, *, bgr: bool = ...) -> PhotoResult: ...  # type: ignore[overload-overlap]  # bytes and str are iterable, and one photo
    @overload
    def estimate(self, photo: Iterable[PhotoLike], *, bgr: bool = ...) -> list[PhotoResult]: ...
    def estimate(
        self, photo: PhotoLike | Iterable[PhotoLike], *, bgr: bool = False
    ) -> PhotoResult | list[PhotoResult]:
        """Estimate one photo, or each of many.

        Args:
            photo: a path, the bytes of an encoded file, a file open for reading bytes, a uint8
                array [H, W, 3] of red, green and blue (or [H, W, 4] with alpha, or [H, W]
                grey), a PIL image, or a list or other iterable of these.
            bgr: arrays have their channels in OpenCV's order, blue first.

        Returns:
            One result, or a list of them in order. What cannot be used, alone or in a list, is
            a result with a status other than ``ok`` or ``no_face``.

        Raises:
            InputTypeError: `photo` is neither a photo nor many: None, a number, a tensor, a
                mapping, a data frame.
            UsageError: see `check_takes_photos`.
        """
        self.check_takes_photos()
        if is_one_photo(photo):
            return self._finish([self._preparation(photo, bgr=bgr, hold=True)])[0][1]
        photos = cast(Iterable[PhotoLike], photo)
        return [result for _, result in self._run(photos, bgr=bgr, hold=True)]

    def stream(
        self,
        photos: Iterable[PhotoLike],
        *,
        bgr: bool = False,
        on_photo: OnPhoto | None = None,
    ) -> Generator[PhotoResult]:
        """Results of any number of photos, in order, in flat memory.

        A result can `draw` a photo that came as a path, and any other for as long as its
        pixels are in use elsewhere.

        Args:
            photos: each as for `estimate`; drawn as results are taken; may be endless.
            bgr: see `estimate`.
            on_photo: called with each readable photo and its result before that result is
                handed out, for drawing.

        Raises:
            InputTypeError: `photos` is one photo, or something else than photos.
            UsageError: see `check_takes_photos`.
        """
        self.check_takes_photos()
        several = isinstance(photos, np.ndarray) and photos.ndim == 4
        if not several and is_one_photo(photos):
            raise InputTypeError(
                f"stream takes many photos, got one {type(photos).__name__}; estimate takes one"
            )
        for _, result in self._run(photos, bgr=bgr, on_photo=on_photo):
            yield result

    def frame(
        self,
        photos: PhotoLike | Iterable[PhotoLike],
        *,
        bgr: bool = False,
        distribution: bool = False,
    ) -> pd.DataFrame:
        """The faces of photos as one pandas frame: one row a face, or one where there is none.

        The columns are those of the CSV files of `agelens estimate`; see `PhotoResult.to_frame`.

        Args:
            photos: one photo or many, as for `estimate`.
            bgr: see `estimate`.
            distribution: add `p_000`, `p_001`, ... in the order of `age_scale`.

        Raises:
            InputTypeError: `photos` is neither a photo nor many.
            MissingDependencyError: pandas is not installed.
            UsageError: see `check_takes_photos`.
        """
        many = [photos] if is_one_photo(photos) else cast(Iterable[PhotoLike], photos)
        return frame_of(self.stream(many, bgr=bgr), distribution=distribution)

    def video(self, path: str | os.PathLike[str], *, every: int = 1) -> Generator[PhotoResult]:
        """Results of a video's frames, in order, each face with its track and smoothed age.

        >>> for result in estimator.video("clip.mp4", every=5):  # doctest: +SKIP
        ...     print(result.time_seconds, [face.track for face in result.faces])

        A result can `draw` its frame until the next one is taken. A file that is damaged, or
        no video, gives a last result that says so.

        Args:
            path: of a file that FFmpeg reads.
            every: use every `every`-th frame.

        Raises:
            UsageError: `every` is below 1; see also `check_takes_photos`.
        """
        from agelens.imaging.video import error_as_last, read_frames  # noqa: PLC0415

        frames = error_as_last(read_frames(path, every=every), display_name(path))
        for _frame, result in self.track(frames, bgr=False):  # kept here, for `draw`
            yield result

    def camera(self, camera: int | str = 0, *, every: int = 1) -> Generator[PhotoResult]:
        """Results of a camera's frames, each as soon as it is there, without end.

        A result can `draw` its frame until the next one is taken. A camera that cannot be
        opened, or stops, gives a last result that says so.

        Args:
            camera: its number, or an address or device that OpenCV opens; see
                `agelens.imaging.video.camera_frames`.
            every: use every `every`-th frame.

        Raises:
            UsageError: no such number, or `every` is below 1; see also `check_takes_photos`.
        """
        from agelens.imaging.video import camera_frames, camera_name, error_as_last  # noqa: PLC0415

        frames = error_as_last(camera_frames(camera, every=every), camera_name(camera))
        for _frame, result in self.track(frames, bgr=False, live=True):  # kept here, for `draw`
            yield result

    def track(
        self, frames: Iterable[Photo | RGB | PhotoError], *, bgr: bool, live: bool = False
    ) -> Generator[tuple[Photo | None, PhotoResult]]:
        """Frames of one video with their results, each face with its track and smoothed age.

        `video` and `camera` read the frames as well; this is for frames of your own.

        Args:
            frames: arrays uint8 [H, W, 3], or `Photo`s, which know the order of their channels;
                a `PhotoError` among them becomes a row.
            bgr: whether arrays have their channels in OpenCV's order, blue first. There is no
                default: the wrong order gives a wrong age and no error.
            live: answer each frame before the next is read, as a camera needs.

        Yields:
            The frame, or None where it could not be used, and its result.

        Raises:
            UsageError: see `check_takes_photos`.
        """
        from agelens.inference.tracks import FaceTracker  # noqa: PLC0415 - not for photos

        self.check_takes_photos()
        tracker = FaceTracker(
            self._answer, level=self.interval_level, calibration=self._calibration
        )
        photos = _as_photos(frames, bgr=bgr)
        if live:
            answers = (self._finish([self._preparation(f, keep=True)])[0] for f in photos)
        else:
            answers = self._run(photos, keep=True)
        for frame, result in answers:
            yield frame, replace(result, faces=tracker.update(result.faces))

    def _run(
        self,
        photos: Iterable[PhotoLike],
        *,
        bgr: bool = False,
        keep: bool = False,
        hold: bool = False,
        on_photo: OnPhoto | None = None,
    ) -> Generator[_Finished]:
        keep = keep or on_photo is not None
        prepare = partial(self._preparation, bgr=bgr, keep=keep, hold=hold)
        # A photo without faces counts as well, or a run of them would never be handed out.
        least = BATCH // _PHOTOS_KEPT if keep else 1
        with ThreadPoolExecutor(self.workers, thread_name_prefix="agelens") as pool:
            # Enough under way to keep the threads busy while this one runs the networks. Chips are
            # small; of whole photos that are kept, few may wait.
            few = 4 * self.workers
            window = few if keep else max(2 * BATCH, few)
            ready = ordered_map(pool, prepare, photos, window=window, start=few)
            for block in blocks(ready, weight=lambda p: max(least, len(p.chips)), limit=BATCH):
                yield from self._finish(block, on_photo)

    def prepare(self, photo: PhotoLike, *, hold: bool = False) -> PreparedPhoto:
        """The first half of `estimate`: read a photo, find its faces, cut their chips.

        For whoever runs the halves apart, as the service does, so that the faces of several
        requests share a batch of the network. It never raises for a photo; see `estimate`.

        Args:
            photo: as for `estimate`.
            hold: the result keeps what was given, to draw on it.
        """
        return self._preparation(photo, hold=hold)

    def answer(self, prepared: Sequence[PreparedPhoto]) -> list[PhotoResult]:
        """The second half of `estimate`: the results of prepared photos, in order.

        Raises:
            CardError: the network's answers are not what its card says.
        """
        return [result for _, result in self._finish(prepared)]

    def estimate_chips(self, chips: RGB | Sequence[RGB | Chip]) -> list[AgeEstimate]:
        """Estimate faces that are aligned already, as the model's card says.

        Args:
            chips: uint8 RGB [N, S, S, 3], or a sequence of [S, S, 3] or of `Chip`.

        Raises:
            PhotoError: a chip is not uint8 or not of the card's size S.
        """
        pixels = [chip.rgb if isinstance(chip, Chip) else np.asarray(chip) for chip in chips]
        size = self.card.input.size
        for chip in pixels:
            if chip.shape != (size, size, 3) or chip.dtype != np.uint8:
                raise PhotoError(
                    f"{self.card.name} takes uint8 chips of shape ({size}, {size}, 3), got "
                    f"{chip.dtype} {chip.shape}; align faces with its template "
                    f"{self.card.input.template!r}"
                )
        batches = [pixels[i : i + BATCH] for i in range(0, len(pixels), BATCH)]
        with ThreadPoolExecutor(self.workers, thread_name_prefix="agelens") as pool:
            return [age for ages in pool.map(self._faces, batches) for age in ages]

    def _finish(
        self, block: Sequence[PreparedPhoto], on_photo: OnPhoto | None = None
    ) -> list[_Finished]:
        started = perf_counter()
        ages = iter(
            self._faces(
                [chip for photo in block for chip in photo.chips],
                [chip for photo in block for chip in photo.gender_chips],
            )
        )
        chips = sum(len(photo.chips) for photo in block)
        took_a_chip = 1000 * (perf_counter() - started) / max(chips, 1)
        finished = []
        for prepared in block:
            faces = [
                replace(next(ages), face=face, quality=quality, refer=self._refer(quality))
                for face, quality in zip(prepared.faces, prepared.qualities, strict=True)
            ]
            took = (prepared.result.milliseconds or 0.0) + took_a_chip * len(faces)
            result = replace(prepared.result, faces=tuple(faces), milliseconds=took)
            if on_photo and prepared.photo:
                on_photo(prepared.photo, result)
            finished.append((prepared.photo, result))
        return finished

    def _refer(self, quality: Quality) -> str | None:
        return self.card.limits.refer(quality)


def available_cores() -> int:
    """Cores this process may use; macOS and Windows only say how many there are."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _made_anew(
    kind: type[AgeEstimator], card: Card, detector: Detector, settings: dict[str, Any]
) -> AgeEstimator:
    return kind(card, detector, **settings)


def _card_for(task: str, model: str | Path | Card) -> Card:
    card = model if isinstance(model, Card) else load_card(model)
    if card.task != task:
        raise CardError(f"{card.name} answers {card.task}, not {task}")
    return card


def _with_threshold(card: Card, threshold: float | None) -> Card:
    if threshold is None:
        return card
    answer = card.answer
    if answer is None or answer.kind != "ordinal-logits":
        kind = "no age" if answer is None else f"a {answer.kind}"
        raise UsageError(
            f"a threshold is of ranks, as CORAL, CORN and OR-CNN models have them; {card.name} "
            f"answers {kind}"
        )
    if not 0 < threshold < 1:
        raise UsageError(f"a threshold is above 0 and below 1, got {threshold:g}")
    if answer.point != "rank":
        raise UsageError(f"{card.name} states the {answer.point} age, which has no threshold")
    return replace(card, answer=replace(answer, threshold=threshold))


def _as_photos(
    frames: Iterable[Photo | RGB | PhotoError], *, bgr: bool
) -> Generator[Photo | PhotoError]:
    """`frames` with their numbers, arrays as `Photo`s in red, green and blue."""
    for number, frame in enumerate(frames):
        if not isinstance(frame, np.ndarray):
            yield frame
            continue
        try:
            yield Photo(array_pixels(frame, "<frame>", bgr=bgr), "<frame>", number)
        except PhotoError as error:
            yield PhotoError(str(error), source="<frame>")
