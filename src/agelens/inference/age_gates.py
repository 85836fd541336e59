"""Age gates: is somebody old enough, or must a person look?

An estimate is no proof of age. A gate therefore has two ages: the legal one, and the
challenge age above it, which a face has to look in order to pass unasked. What lies between
is referred: to a document, to a person. `agelens gate` finds the challenge age that keeps
false accepts below a stated rate on labelled data.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from agelens.errors import CardError
from agelens.foreign_files import decoding, json_object
from agelens.records import AgeEstimate

GateDecision: TypeAlias = Literal["pass", "fail", "refer"]


@dataclass(frozen=True, slots=True)
class AgeGate:
    """Legal age and challenge age in years.

    Args:
        legal_years: what the law asks for.
        challenge_years: what a face has to look, at least the legal age.

    Raises:
        ValueError: the challenge age is below the legal age, or the legal age is not above 0.
    """

    legal_years: float
    challenge_years: float

    def __post_init__(self) -> None:
        if not 0 < self.legal_years <= self.challenge_years:
            raise ValueError(
                "a gate needs 0 < legal age <= challenge age, got "
                f"{self.legal_years:g} and {self.challenge_years:g}"
            )

    @classmethod
    def read(cls, path: str | Path) -> AgeGate:
        """The gate in ``gate.json``, which `agelens gate` writes beside what was measured.

        Raises:
            CardError: there is no such file; it is none of a gate; or the data that it was
                measured on were too few to promise its limit at any challenge age.
        """
        document = json_object(Path(path), CardError, what="a gate")
        if document.get("challenge_years") is None and document.get("promised") is False:
            raise CardError(
                f"{path}: no challenge age could be promised on the data measured: it takes "
                f"{document.get('needed_under_legal_age')} people under the legal age or more"
            )
        with decoding(path, "a gate", CardError):
            return cls(float(document["legal_years"]), float(document["challenge_years"]))

    def decide(self, estimate: AgeEstimate) -> GateDecision:
        """Decide about one face.

        ``pass`` looks the challenge age or older; ``fail`` looks younger than the legal age;
        ``refer`` is everybody between, and every face whose picture does not allow an
        estimate (`AgeEstimate.refer`), however old it looks.
        """
        if estimate.refer is not None:
            return "refer"
        return self.decide_age(estimate.estimate_years)

    def decide_age(self, estimate_years: float) -> GateDecision:
        """Decide by the estimated age alone; an age that is not a number is referred."""
        if estimate_years >= self.challenge_years:
            return "pass"
        return "fail" if estimate_years < self.legal_years else "refer"
