"""The models that a service answers with, opened at once and tried on a drawn face."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from agelens.errors import CardError, UnknownNameError
from agelens.imaging.detectors import DETECTORS, detector_class
from agelens.inference.answers import GENDER_COLUMN
from agelens.inference.cards import Card, load_card
from agelens.inference.estimator import AgeEstimator
from agelens.records import RGB
from agelens.service.settings import ServiceSettings

if TYPE_CHECKING:
    from agelens.recognition.extractors.network import Extractor


@dataclass(frozen=True, slots=True, eq=False)
class ServedModels:
    """Open estimators by model and by whether genders are asked for; nothing in it changes.

    A model that tells genders by itself has one for both, whose faces share batches.
    `extractor` embeds faces where two photos may be compared, else it is None.
    """

    estimators: Mapping[tuple[str, bool], AgeEstimator]
    default: str
    extractor: Extractor | None

    @property
    def cards(self) -> list[Card]:
        """Those of the age models, the default first."""
        return [one.card for (_, gender), one in self.estimators.items() if not gender]

    def estimator(self, name: str | None = None, *, gender: bool = False) -> AgeEstimator:
        """That of a model, of the default where none is named.

        Raises:
            UnknownNameError: it is not served; the message lists those that are.
        """
        found = self.estimators.get((name or self.default, gender))
        if found is None:
            raise UnknownNameError("model", str(name), [card.name for card in self.cards])
        return found

    def check(self) -> None:
        """Estimate a drawn face with every model, and embed it.

        Raises:
            CardError: a model finds no face in it, or does not answer as its card says.
        """
        drawn = drawn_face()
        for estimator in set(self.estimators.values()):
            found = estimator.estimate(drawn)
            if len(found.faces) != 1 or found.faces[0].face is None:
                raise CardError(
                    f"{estimator.card.name} with {estimator.detector.name}: found "
                    f"{len(found.faces)} faces in the drawing of one"
                )
            if self.extractor is not None:
                aligner = self.extractor.aligner(estimator.detector)
                chip = aligner.align(drawn, found.faces[0].face).rgb
                self.extractor.embed(chip[None])


def open_models(settings: ServiceSettings) -> ServedModels:
    """Open what `settings` name.

    Raises:
        UnknownNameError: a model or detector that does not exist.
        CardError: a card and weights that do not fit each other or the task; or two models of
            one name.
        UsageError: a device that this machine lacks, a model that takes no photos.
        MissingDependencyError: a package of an extra is not installed.
    """
    cards = [load_card(model) for model in settings.model]
    names = [card.name for card in cards]
    if len(set(names)) < len(names):
        raise CardError(f"models of one service need different names, got {', '.join(names)}")
    detector = detector_class(settings.detector)(longest_side=settings.longest_side)
    estimators = {}
    for card in cards:
        opened = partial(
            AgeEstimator,
            card,
            detector,
            device=settings.device,
            workers=1,
            max_pixels=settings.max_pixels,
        )
        telling = opened(gender=True)
        telling.check_takes_photos()
        alike = bool(card.labels) and not _corrects_by_gender(card)
        estimators[card.name, False] = telling if alike else opened()
        estimators[card.name, True] = telling
    extractor = None
    if settings.verify:
        from agelens.recognition.extractors import open_extractor  # noqa: PLC0415 - few ask

        extractor = open_extractor()
    return ServedModels(estimators, names[0], extractor)


def _corrects_by_gender(card: Card) -> bool:
    """Whether a face's age or interval depends on its gender, and so on whether it is told."""
    parts = card.calibration.intervals if card.calibration else ()
    return any(part.column == GENDER_COLUMN for part in parts)


def listed_detectors(in_use: str) -> list[dict[str, str | bool]]:
    """Name, summary and licence of each detector, and which of them is in use."""
    return [
        {"name": d.name, "summary": d.summary, "licence": d.licence, "in_use": d.name == in_use}
        for d in map(detector_class, DETECTORS)
    ]


_DRAWN: Final[tuple[tuple[tuple[int, int], tuple[int, int], tuple[int, int, int]], ...]] = (
    ((80, 75), (47, 60), (60, 45, 35)),  # hair
    ((80, 84), (38, 52), (224, 178, 150)),  # face
    *(((x, 74), (9, 5), (245, 245, 245)) for x in (64, 96)),  # eyes
    *(((x, 74), (4, 5), (60, 40, 30)) for x in (64, 96)),
    *(((x, 63), (11, 3), (80, 55, 40)) for x in (64, 96)),  # brows
    ((80, 92), (6, 9), (205, 155, 128)),  # nose
    *(((x, 99), (2, 1), (120, 70, 60)) for x in (76, 84)),
    ((80, 114), (15, 5), (180, 80, 80)),  # mouth
    ((80, 114), (14, 1), (110, 40, 40)),
)
"""Ellipses of a face: centre and half axes in pixels, colour."""


def drawn_face() -> RGB:
    """A drawing [160, 160, 3] in which the detectors see one face."""
    picture = np.full((160, 160, 3), 205, dtype=np.uint8)
    for centre, axes, colour in _DRAWN:
        cv2.ellipse(picture, centre, axes, 0, 0, 360, colour, cv2.FILLED, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 1.2), dtype=np.uint8)
