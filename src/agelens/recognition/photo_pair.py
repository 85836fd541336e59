"""Two photos, one question: is it the same person; and how old both look."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from agelens.imaging.detectors import Detector
from agelens.imaging.photos import PhotoSource, read_photo
from agelens.inference.estimator import AgeEstimator
from agelens.recognition.embedding_table import EmbeddingModel, Vectors
from agelens.recognition.extractors import DEFAULT_EXTRACTOR, open_extractor
from agelens.recognition.extractors.network import Extractor
from agelens.recognition.face_embedder import check_one_face
from agelens.recognition.measured_rates import MeasuredRate, MeasuredRates, rates_of
from agelens.records import AgeEstimate
from agelens.version import __version__

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


@dataclass(frozen=True, slots=True, eq=False)
class VerifiedFace:
    """The face of one photo: how old it looks, and how many faces the photo shows."""

    photo: str
    faces_found: int
    estimate: AgeEstimate

    def to_json(self) -> dict[str, Any]:
        """Plain types by name."""
        found = {"photo": self.photo, "faces_found": self.faces_found}
        return found | self.estimate.to_json()


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Verdict:
    """Whether two faces are called the same person, and what that rests on.

    `similarity` is the cosine of both embeddings; `decided_by` states the threshold, and
    `rates` what it was measured on. `smallest_rate` is the smallest measured false match rate
    at which both would still be called the same, None where they are at no rate.
    """

    first: VerifiedFace
    second: VerifiedFace
    similarity: float
    same_person: bool
    decided_by: MeasuredRate
    smallest_rate: float | None
    rates: MeasuredRates
    model: EmbeddingModel
    age_model: str

    @property
    def caution(self) -> str | None:
        """Why the stated rate does not hold for these two, or None."""
        both = (self.first, self.second)
        told = [f"{one.photo}: {one.estimate.refer}" for one in both if one.estimate.refer]
        if max(one.estimate.estimate_years for one in both) < _ADULT_YEARS:
            told.append(_CHILDREN)
        return "; ".join(told) or None

    def sentences(self) -> list[str]:
        """The verdict in words, and what it rests on."""
        rate, rates = self.decided_by, self.rates
        decision = "the same person" if self.same_person else "not the same person"
        lines = [
            f"similarity {self.similarity:.3f}, threshold {rate.threshold:.3f}: called {decision} "
            f"at a false match rate of {rate.false_match_rate:g}"
        ]
        if self.caution:
            lines.append(f"caution: {self.caution}")
        return [
            *lines,
            f"measured on {rates.different_pairs:,} pairs of {rates.people:,} strangers of "
            f"{rates.dataset}; of pairs of one person {rate.true_match_rate:.1%} are called the "
            "same. Relatives, children, and people of one group are confused more often. No proof "
            "of identity.",
        ]

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

    def __repr__(self) -> str:
        return f"<Verdict: {self.sentences()[0]}>"

    def _repr_html_(self) -> str:
        lines = "".join(f"<p>{escape(line)}</p>" for line in self.sentences())
        return lines + self.to_frame().to_html(index=False)

    def to_json(self) -> dict[str, Any]:
        """One JSON object; plain types only."""
        return {
            "first": self.first.to_json(),
            "second": self.second.to_json(),
            "similarity": round(self.similarity, _SIMILARITY_DIGITS),
            "same_person": self.same_person,
            "false_match_rate": self.decided_by.false_match_rate,
            "threshold": round(self.decided_by.threshold, _SIMILARITY_DIGITS),
            "true_match_rate": round(self.decided_by.true_match_rate, _SIMILARITY_DIGITS),
            "smallest_false_match_rate": self.smallest_rate,
            "caution": self.caution,
            "measured_on": {
                "dataset": self.rates.dataset,
                "people": self.rates.people,
                "different_pairs": self.rates.different_pairs,
            },
            "model": asdict(self.model),
            "age_model": self.age_model,
            "agelens_version": __version__,
        }


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
        self.decided_by = self.rates.at(false_match_rate)
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
            same_person=similarity >= self.decided_by.threshold,
            decided_by=self.decided_by,
            smallest_rate=self.rates.smallest_at(similarity),
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
        verified = VerifiedFace(photo.source, len(faces), chosen)
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
