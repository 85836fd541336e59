"""A model card as a record: what a network expects, what it answers, whose it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from agelens.ages import AgeScale
from agelens.imaging.quality import QualityLimits
from agelens.inference.answers import AnswerSpec, OutputKind
from agelens.inference.calibration import Calibration
from agelens.inference.runtimes import runtime_suffix
from agelens.inference.weights_file import checked_weights


@dataclass(frozen=True, slots=True)
class ChipInput:
    """The chip a network expects: pixels, colours, and how the face is aligned in it.

    `mean` and `std` are of pixels from 0 to 255, of red, green and blue in this order.
    """

    size: int
    color_order: Literal["RGB", "BGR"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    alignment: Literal["similarity", "rotate-crop", "as-shipped"]
    template: str
    margin: float


@dataclass(frozen=True, slots=True)
class Card:
    """One network, described.

    `answer` says what an age network's numbers are, `labels` which words a gender network's
    probabilities belong to. `document` is the whole JSON, with what only people read.
    """

    name: str
    version: str
    task: Literal["age", "gender"]
    weights: Path
    sha256: str
    input: ChipInput
    labels: tuple[str, ...]
    answer: AnswerSpec | None
    limits: QualityLimits
    calibration: Calibration | None
    document: Mapping[str, Any] = field(repr=False)

    @property
    def age_scale(self) -> AgeScale | None:
        """The ages of an age network."""
        return self.answer.scale if self.answer else None

    @property
    def output_kind(self) -> OutputKind:
        """What an answer's numbers are."""
        return self.answer.kind if self.answer else "posterior"

    @property
    def width(self) -> int:
        """How many numbers an answer has."""
        return self.answer.width if self.answer else len(self.labels)

    @property
    def weights_suffix(self) -> str:
        """The key in `RUNTIMES` of what runs the weights."""
        suffix = runtime_suffix(self.weights)
        assert suffix is not None  # noqa: S101 - a card with other weights was not read
        return suffix

    @property
    def summary(self) -> str:
        """One line for lists."""
        return str(self.document["summary"])

    @property
    def licences(self) -> Mapping[str, str]:
        """Licences of `code`, `weights` and `data`, apart."""
        licences: Mapping[str, str] = self.document["licences"]
        return licences

    def read_weights(self) -> bytes:
        """The bytes of the weights file, once they are known to be the card's.

        Raises:
            CardError: the file is absent or larger than `LARGEST_WEIGHTS`, or its SHA-256 is
                not the card's.
        """
        return checked_weights(self.name, self.weights, self.sha256)
