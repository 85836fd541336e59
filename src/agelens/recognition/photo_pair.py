"""Two photos, one question: is it the same person; and how old both look."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import numpy as np

from agelens.evaluation.reports.page import NOT_FIT, Page, Picture, Section
from agelens.evaluation.reports.result import Result
from agelens.imaging.detectors import Detector
from agelens.imaging.photos import PhotoSource, read_photo
from agelens.inference.estimator import AgeEstimator
from agelens.recognition.embedding_table import EmbeddingModel, Vectors
from agelens.recognition.extractors import DEFAULT_EXTRACTOR, open_extractor
from agelens.recognition.extractors.network import Extractor
from agelens.recognition.face_embedder import check_one_face
from agelens.recognition.face_pictures import NOT_FOR, face_jpeg
from agelens.recognition.measured_rates import (
    GAPS,
    Decision,
    MeasuredRate,
    MeasuredRates,
    decide,
    decision_words,
    rates_of,
)
from agelens.records import AgeEstimate

if TYPE_CHECKING:
    import pandas as pd

_SIMILARITY_DIGITS: Final = 4
_ADULT_YEARS: Final = 18
# At the default extractor's threshold for 0.001, a quarter of the pairs of different children
# under 6 in FG-NET are called the same, a ninth of those under 13 (its card has the counts).
_CHILDREN: Final = (
    "both look like children, of whom different ones are called the same far more often than the "
    "false match rate says: a match means little"
)
_DECADES: Final = (
    "the rates were not measured at such an age gap, where one person's photos are far less alike: "
    "a no means little"
)


@dataclass(frozen=True, slots=True, eq=False)
class VerifiedFace:
    """The face of one photo: how old it looks, how many faces the photo shows, and a picture."""

    photo: str
    faces_found: int
    estimate: AgeEstimate
    jpeg: bytes

    def to_json(self) -> dict[str, Any]:
        """Plain types by name."""
        found = {"photo": self.photo, "faces_found": self.faces_found}
        return found | self.estimate.to_json()

    @property
    def age_words(self) -> str:
        """How old it looks, with the interval."""
        age = self.estimate
        return (
            f"looks {age.estimate_years:.0f}, {age.low_years:.0f} to {age.high_years:.0f} "
            f"({age.interval_level:.0%} interval, "
            + ("not calibrated)" if age.coverage is None else f"measured {age.coverage:.0%})")
        )


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Verdict(Result):
    """Whether two faces are called the same person, and what that rests on.

    `similarity` is the cosine of both embeddings, `false_match_rate` the rate that was asked for,
    and `rates` what the extractor's card states, at the two ages where it was measured there.
    """

    kind: ClassVar[str] = "verdict"

    first: VerifiedFace
    second: VerifiedFace
    similarity: float
    false_match_rate: float
    rates: MeasuredRates
    model: EmbeddingModel
    age_model: str

    @property
    def years(self) -> tuple[float, float]:
        """How old both look."""
        return self.first.estimate.estimate_years, self.second.estimate.estimate_years

    @property
    def decision(self) -> Decision:
        """What both are called, and at which rate."""
        return decide(self.rates, self.false_match_rate, self.similarity, self.years)

    @property
    def same_person(self) -> bool | None:
        """Whether both are called the same person; None where it cannot be told."""
        return self.decision.same_person

    @property
    def decided_by(self) -> MeasuredRate | None:
        """The threshold and what was measured of it; None where there is none at these ages."""
        return self.decision.rate

    @property
    def smallest_rate(self) -> float | None:
        """The smallest measured rate at which both are called the same; None if there is none."""
        ages = self.decision.ages
        measured = self.rates.rates if ages is None else ages.rates
        matched = [one.false_match_rate for one in measured if self.similarity >= one.threshold]
        return min(matched, default=None)

    @property
    def caution(self) -> str | None:
        """Why the stated rate does not hold for these two, or None."""
        both = (self.first, self.second)
        told = [f"{one.photo}: {one.estimate.refer}" for one in both if one.estimate.refer]
        if self.decision.ages is None:
            if max(self.years) < _ADULT_YEARS:
                told.append(_CHILDREN)
            if abs(self.years[0] - self.years[1]) >= GAPS[2]:
                told.append(_DECADES)
        return "; ".join(told) or None

    def sentences(self) -> list[str]:
        """The verdict in words, and what it rests on."""
        caution = [f"caution: {self.caution}"] if self.caution else []
        first, *others = decision_words(
            self.decision, self.rates, self.similarity, self.false_match_rate
        )
        return [first, *caution, *others]

    def to_frame(self) -> pd.DataFrame:
        """Both faces, a row each, with the verdict beside them."""
        import pandas as pd  # noqa: PLC0415 - verifying takes none

        names = ("estimate_years", "low_years", "high_years")
        rows = [
            {"photo": face.photo} | {name: getattr(face.estimate, name) for name in names}
            for face in (self.first, self.second)
        ]
        verdict = {"similarity": self.similarity, "same_person": self.same_person}
        return pd.DataFrame(rows).assign(**verdict)

    def page(self) -> Page:
        """Both faces side by side, what they are called, and what that is not for."""
        lead, *others = self.sentences()
        pictures = [
            Picture(face.jpeg, [face.photo, face.age_words]) for face in (self.first, self.second)
        ]
        sections = [
            Section("The two faces", others, pictures=[("", pictures)]),
            Section(NOT_FIT, NOT_FOR),
        ]
        return Page(f"Two photos: {self.decision.words}", sections, [lead])

    def document(self) -> dict[str, Any]:
        """What was found, plain types by name."""
        rate, ages = self.decision.rate, self.decision.ages
        measured_on = ages or self.rates
        digits = _SIMILARITY_DIGITS
        shares = ("measured", "low", "high", "true_match_rate", "true_low", "true_high")
        return {
            "first": self.first.to_json(),
            "second": self.second.to_json(),
            "similarity": round(self.similarity, digits),
            "same_person": self.same_person,
            "called": self.decision.words,
            "false_match_rate": (self.false_match_rate if rate is None else rate.false_match_rate),
            "threshold": None if rate is None else round(rate.threshold, digits),
            "smallest_false_match_rate": self.smallest_rate,
            "caution": self.caution,
            "measured_on": {
                "dataset": measured_on.dataset,
                "youngest": None if ages is None else ages.youngest,
                "gap": None if ages is None else ages.gap,
                "people": measured_on.people,
                "different_pairs": measured_on.different_pairs,
                "same_pairs": measured_on.same_pairs,
            }
            | {name: None if rate is None else getattr(rate, name) for name in shares},
            "model": asdict(self.model),
            "age_model": self.age_model,
        }

    def to_json(self) -> dict[str, Any]:
        """One JSON object; plain types only."""
        return self.to_dict()

    def __repr__(self) -> str:
        return f"<Verdict: {self.sentences()[0]}>"


class PhotoVerifier:
    """Compares the faces of two photos; nothing is kept.

    Args:
        extractor: embeds the faces; its card must state measured false match rates.
        estimator: finds the faces and estimates their ages.
        false_match_rate: of pairs of different people who may be called the same.
        largest: take the largest face of a photo with several; otherwise they are refused.

    Raises:
        CardError: the card states no rates.
        UsageError: the rate is smaller than the measured pairs can promise.
    """

    def __init__(
        self,
        extractor: Extractor,
        estimator: AgeEstimator,
        *,
        false_match_rate: float = 0.001,
        largest: bool = False,
    ) -> None:
        self.extractor = extractor
        self.estimator = estimator
        self.largest = largest
        self.rates = rates_of(extractor)
        self.false_match_rate = false_match_rate
        self.rates.at(false_match_rate)  # refused before a photo is read
        self._aligner = extractor.aligner(estimator.detector)

    def verify(self, first: PhotoSource, second: PhotoSource) -> Verdict:
        """Whether both photos are called the same person.

        Raises:
            PhotoError: a photo cannot be read, or shows no face (status ``no_face``).
            UsageError: a photo shows several faces, and `largest` is not set.
        """
        one, embedding = self._face(first)
        other, embedding_of_other = self._face(second)
        similarity = float(np.sum(embedding * embedding_of_other))
        return Verdict(
            first=one,
            second=other,
            similarity=similarity,
            false_match_rate=self.false_match_rate,
            rates=self.rates,
            model=self.extractor.model,
            age_model=self.estimator.card.name,
        )

    def _face(self, source: PhotoSource) -> tuple[VerifiedFace, Vectors]:
        photo = read_photo(source, max_pixels=self.estimator.max_pixels)
        faces = self.estimator.estimate(photo).faces
        check_one_face(photo.source, len(faces), largest=self.largest)
        chosen = faces[0]
        assert chosen.face is not None  # noqa: S101 - the estimator found it in a photo
        chip = self._aligner.align(photo.rgb, chosen.face).rgb
        picture = face_jpeg(photo.rgb, chosen.face.box_xyxy)
        verified = VerifiedFace(photo.source, len(faces), chosen, picture)
        return verified, self.extractor.embed(chip[None])[0]


def verify(
    first: PhotoSource,
    second: PhotoSource,
    *,
    extractor: str | Path | Extractor = DEFAULT_EXTRACTOR,
    false_match_rate: float = 0.001,
    face: Literal["refuse", "largest"] = "refuse",
    detector: str | Detector = "retinaface",
) -> Verdict:
    """Whether two photos are called the same person, and how old both look; nothing is kept.

    >>> verify("then.jpg", "now.jpg").same_person  # doctest: +SKIP

    For many pairs make a `PhotoVerifier` once. A similarity is no proof of identity: the README
    says what recognition must not be used for.

    Args:
        first: a photo.
        second: another one.
        extractor: a name of `EXTRACTORS`, the folder or card of a network, or an extractor.
        false_match_rate: of pairs of different people that may be called the same.
        face: of a photo with several faces: ``refuse`` it, or take the ``largest``.
        detector: finds the faces.

    Raises:
        PhotoError: a photo cannot be read, or shows no face (status ``no_face``).
        UsageError: a photo with several faces, or a rate that the measured pairs cannot promise.
        UnknownNameError, CardError: see `open_extractor`; or its card states no measured rates.
    """
    estimator = AgeEstimator(detector=detector, workers=1)
    verifier = PhotoVerifier(
        open_extractor(extractor),
        estimator,
        false_match_rate=false_match_rate,
        largest=face == "largest",
    )
    return verifier.verify(first, second)
