"""Model cards on disk: what a network expects, what it answers, whose it is, how it was measured.

A card is a JSON file beside its weights. No card, no load; a file that is not the one
the card describes is refused. The cards of the packaged networks lie in `cards/` and
point into the packages that carry the weights.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from math import isfinite
from pathlib import Path
from typing import Any, Final, Literal

from agelens.ages import AgeScale
from agelens.errors import CardError, UnknownNameError, shortened
from agelens.foreign_files import decoding, json_object
from agelens.imaging.align import FILLS, TIGHTEST_MARGIN, WIDEST_MARGIN, Fill
from agelens.imaging.quality import QualityLimits
from agelens.inference.answers import (
    GENDER_COLUMN,
    LINKS,
    OUTPUT_KINDS,
    POINTS,
    OutputKind,
    OutputSpec,
)
from agelens.inference.calibration import Calibration
from agelens.inference.runtimes import ONNX, TORCHSCRIPT

LARGEST_WEIGHTS: Final = 2**31
"""Bytes. ONNX itself holds no more."""


def checked_weights(name: str, path: Path, sha256: str) -> bytes:
    """The bytes of the file at `path`, whose hash must be `sha256`.

    Args:
        name: of the network, for errors.
        path: of its weights.
        sha256: as its card states it, in lower case.

    Raises:
        CardError: see `Card.read_weights`.
    """
    try:
        size = path.stat().st_size
        if size > LARGEST_WEIGHTS:
            raise CardError(
                f"{name}: {path} has {size:,} bytes; agelens opens weights of at most "
                f"{LARGEST_WEIGHTS:,}"
            )
        content = path.read_bytes()
    except OSError as error:
        raise CardError(f"{name}: cannot read weights {path}: {error}") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise CardError(
            f"{name}: {path.name} is not the file its card describes: SHA-256 {digest}, expected "
            f"{sha256}. Get the weights that belong to the card, or the card that belongs to the "
            "weights."
        )
    return content


def locate_weights(section: Mapping[str, Any], path: Path) -> Path:
    """Where the weights lie: in an installed package, or beside the card and nowhere else.

    Args:
        section: `weights` of the card.
        path: of the card.

    Raises:
        CardError: the package is not installed.
        KeyError, ValueError: the section is malformed.
    """
    folder = path.parent
    if "package" in section:
        name = str(section["package"])
        if not name.isidentifier():  # of a dotted name, Python would import the first part
            raise ValueError(f"weights.package must be a top-level package, got {name!r}")
        spec = find_spec(name)
        if spec is None or not spec.submodule_search_locations:
            raise CardError(f"{path}: needs the package {section['package']!r}; install it")
        folder = Path(next(iter(spec.submodule_search_locations)))
    weights = (folder / str(section["path"])).resolve()
    if not weights.is_relative_to(folder.resolve()):
        raise ValueError(f"weights.path {section['path']!r} leads out of the card's folder")
    return weights


@dataclass(frozen=True, slots=True)
class ChipInput:
    """The chip a network expects: pixels, colours, and how the face is aligned in it.

    `mean` and `std` are of pixels from 0 to 255, of red, green and blue in this order.
    `fill` is what stands where a chip reaches beyond its photo.
    """

    size: int
    color_order: Literal["RGB", "BGR"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    alignment: Literal["similarity", "rotate-crop", "as-shipped"]
    template: str
    margin: float
    fill: Fill = "black"


@dataclass(frozen=True, slots=True)
class Card:
    """One network, described.

    `answer` says what an age network's numbers are, `labels` which words the probabilities of
    genders belong to: all that a gender network gives, what follows the ages of an age network
    that tells genders as well. `further` has the words of each other column that it tells, such
    as ``ethnicity``, whose probabilities come last and in this order. `outputs` has the width of
    each output of the file by its name, in the order of ages, genders and other columns; it is
    empty where one output holds all of them side by side. `document` is the whole JSON, with
    what only people read.
    """

    name: str
    version: str
    task: Literal["age", "gender"]
    weights: Path
    sha256: str
    input: ChipInput
    labels: tuple[str, ...]
    further: Mapping[str, tuple[str, ...]]
    outputs: Mapping[str, int]
    answer: OutputSpec | None
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
    def told(self) -> dict[str, tuple[str, ...]]:
        """The words of each column that is told, genders first, in the order of their numbers."""
        return ({GENDER_COLUMN: self.labels} if self.labels else {}) | dict(self.further)

    @property
    def width(self) -> int:
        """How many numbers the network gives for a face: ages, then what else it tells."""
        return sum(_widths(self.answer, self.labels, self.further))

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


CARD_FILE: Final = "card.json"

ALIGNMENTS: Final = ("similarity", "rotate-crop", "as-shipped")
_RUN_FILE: Final = "config.yaml"
_CARDS: Final = Path(__file__).parent / "cards"

MODELS: Final[dict[str, Path]] = {
    "agelens-1": _CARDS / "agelens-1.json",
    "cc0-resnet10": _CARDS / "cc0-resnet10.json",
    "cc0-gender": _CARDS / "cc0-gender.json",
}
DEFAULT_MODEL: Final = "agelens-1"
DEFAULT_GENDER_MODEL: Final = "cc0-gender"


def load_card(model: str | Path) -> Card:
    """The card of a packaged model by name, or of a folder or JSON file by path.

    Raises:
        UnknownNameError: `model` is neither; the message lists the packaged names.
        CardError: the card is malformed; the message names the field.
    """
    return read_card(card_path(model))


def card_path(
    model: str | Path, packaged: Mapping[str, Path] = MODELS, kind: str = "model"
) -> Path:
    """Where the card of `model` lies, one of `packaged` by name or any by path; see `load_card`."""
    if str(model) in packaged:
        return packaged[str(model)]
    path = Path(model)
    try:
        if path.is_dir():
            path = path / CARD_FILE
            if not path.is_file():
                run = (path.parent / _RUN_FILE).is_file()
                hint = f" It is a run of agelens train: agelens export {path.parent}" if run else ""
                raise CardError(f"{path.parent}: no {CARD_FILE} in it. No card, no load.{hint}")
        found = path.is_file()
    except OSError as error:  # a folder that may not be entered, a name too long
        named = shortened(str(path), 200)
        raise CardError(f"{named}: cannot be looked up: {error.strerror}") from error
    if not found:
        raise UnknownNameError(
            kind, str(model), packaged, " A folder with card.json, or a card's path, works too."
        )
    if path.suffix.lower() != ".json":
        raise CardError(
            f"{path}: a {kind} is named by its card ({CARD_FILE}), not by its weights. Weights "
            "that another system trained become one with agelens import"
        )
    return path


def read_card(path: Path) -> Card:
    """Parse the card at `path`; see `load_card` for what is raised."""
    with decoding(path, "a card", CardError):
        return _parse(json_object(path, CardError, what="a card"), path)


def _parse(document: Mapping[str, Any], path: Path) -> Card:
    for spoken in ("summary", "licences", "trained_on", "metrics", "calibration", "paper"):
        document[spoken]  # people read these; a card without them is not a card
    output = document["output"]
    if document["task"] == "embedding":
        raise ValueError("it tells people apart and no ages: agelens identity add takes it")
    task = _one_of("task", document["task"], ("age", "gender"))
    labels = tuple(str(label) for label in output.get("labels", ()))
    if (labels or task == "gender") and sorted(labels) != ["female", "male"]:
        raise ValueError(f"output.labels must be female and male in some order, got {labels}")
    kind = _one_of("output.kind", output["kind"], OUTPUT_KINDS)
    if task == "gender" and kind != "posterior":
        raise ValueError(f"output.kind of a gender network must be posterior, got {kind!r}")
    answer = _answer_spec(output) if task == "age" else None
    further = _further(output.get("further", {})) if task == "age" else {}
    return Card(
        name=str(document["name"]),
        version=str(document["version"]),
        task=task,
        weights=_network_file(document["weights"], path),
        sha256=str(document["weights"]["sha256"]).lower(),
        input=chip_input(document["input"]),
        labels=labels,
        further=further,
        outputs=_outputs(output, _widths(answer, labels, further)),
        answer=answer,
        limits=_limits(document.get("limits")),
        calibration=_calibration(document["calibration"]) if task == "age" else None,
        document=document,
    )


def _further(section: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The words of each column that an age network tells beside ages and genders."""
    further = {str(column): tuple(map(str, words)) for column, words in section.items()}
    for column, words in further.items():
        if len(words) < 2 or len(set(words)) < len(words):
            raise ValueError(f"output.further.{column} needs two or more different words")
    return further


def _widths(
    answer: OutputSpec | None, labels: tuple[str, ...], further: Mapping[str, tuple[str, ...]]
) -> list[int]:
    """How many numbers each part of an answer has: ages, genders, each further column."""
    ages = [answer.width] if answer else []
    return [*ages, *([len(labels)] if labels else []), *map(len, further.values())]


def _outputs(output: Mapping[str, Any], widths: list[int]) -> dict[str, int]:
    """The widths of the file's outputs by name; nothing where one output holds all."""
    if "outputs" not in output:
        return {}
    names = [str(name) for name in output["outputs"]]
    if len(set(names)) < len(names) or len(names) != len(widths):
        raise ValueError(
            f"output.outputs must name {len(widths)} different outputs (ages, labels, each of "
            f"further), got {names}"
        )
    return dict(zip(names, widths, strict=True))


def _calibration(section: Mapping[str, Any] | None) -> Calibration | None:
    try:
        return Calibration.from_json(section)
    except KeyError as error:
        raise ValueError(f"calibration lacks {error}") from error


def _answer_spec(output: Mapping[str, Any]) -> OutputSpec:
    """What an age network's answers are; keys that older cards lack have their old meaning."""
    return OutputSpec(
        scale=AgeScale(tuple(float(year) for year in output["ages_years"])),
        kind=output["kind"],
        point=_one_of("output.point", output.get("point", "expected"), POINTS),
        link=_one_of("output.link", output.get("link", "independent"), LINKS),
        threshold=float(output.get("threshold", 0.5)),
    )


def chip_input(section: Mapping[str, Any]) -> ChipInput:
    """The chip that the `input` of a card states.

    Raises:
        KeyError, TypeError, ValueError: it is malformed.
    """
    mean, std = (tuple(float(v) for v in section[key]) for key in ("mean", "std"))
    if len(mean) != 3 or len(std) != 3 or not all(map(isfinite, mean + std)) or min(std) <= 0:
        raise ValueError("input.mean and input.std need three numbers each, std above zero")
    size, margin = int(section["size"]), float(section["margin"])
    if not 8 <= size <= 1024:
        raise ValueError(f"input.size must be 8 to 1024 pixels, got {size}")
    if not TIGHTEST_MARGIN <= margin <= WIDEST_MARGIN:
        raise ValueError(f"input.margin must be {TIGHTEST_MARGIN} to {WIDEST_MARGIN}, got {margin}")
    return ChipInput(
        size=size,
        color_order=_one_of("input.color_order", section["color_order"], ("RGB", "BGR")),
        mean=mean,
        std=std,
        alignment=_one_of("input.alignment", section["alignment"], ALIGNMENTS),
        template=str(section["template"]),
        margin=margin,
        fill=_one_of("input.fill", section.get("fill", "black"), FILLS),
    )


def _limits(section: Mapping[str, Any] | None) -> QualityLimits:
    if section is None:
        return QualityLimits()
    limits = {name: None if limit is None else float(limit) for name, limit in section.items()}
    if boundless := [name for name, limit in limits.items() if limit and not isfinite(limit)]:
        raise ValueError(f"limits.{boundless[0]} must be finite, got {limits[boundless[0]]}")
    return QualityLimits(**limits)


def _one_of(what: str, value: Any, valid: tuple[str, ...]) -> Any:
    if value not in valid:
        raise ValueError(f"{what} must be one of {', '.join(valid)}, got {value!r}")
    return value


def _network_file(section: Mapping[str, Any], path: Path) -> Path:
    weights = locate_weights(section, path)
    if not weights.name.lower().endswith((ONNX, TORCHSCRIPT)):
        raise ValueError(f"weights.path must end in {ONNX}, got {section['path']!r}")
    return weights
