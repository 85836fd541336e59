"""Heat maps of single faces as a result: numbers, pictures, a page, and what they do not tell."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import cv2
import numpy as np

from agelens.evaluation.heat_maps.heat_map import HeatMap
from agelens.evaluation.reports.result import Result
from agelens.records import RGB, Chip, Floats

if TYPE_CHECKING:
    import pandas as pd

    from agelens.evaluation.reports.page import Page

_LONGEST_PX: Final = 900

ALIKE: Final = 0.5
"""Maps of a network of no meaning that correlate by more than this explain no network."""

ENOUGH: Final = 4
"""Faces; a coarse map has so few places that a single pair of them says little."""

NOT_TOLD: Final = (
    "A heat map says where this network's number comes from. It does not say whether the number is "
    "right, nor what makes a person old: a network that errs has maps as handsome.",
    "It depends on what hides a place and on how large the place is; another method draws another "
    "map. Places do not add up to the estimate where they act together, as two eyes do.",
    "It is no test of fairness: whether people of a group are estimated worse is measured by "
    "agelens evaluate, by group.",
)


@dataclass(frozen=True, slots=True)
class RandomizationResult:
    """How alike the maps of a network are before and after some of its layers are shuffled.

    `share` of the layers, from the answer back. Means over `maps` faces: `rank_correlation` of
    the values, `rank_correlation_absolute` without their signs, and
    `structural_similarity`. NaN where no pair of maps has one.
    """

    share: float
    maps: int
    rank_correlation: float
    rank_correlation_absolute: float
    structural_similarity: float


def verdict(found: Sequence[RandomizationResult]) -> str:
    """What the last step, with the most layers shuffled, says of the method."""
    last = found[-1]
    if math.isnan(last.rank_correlation):
        return "no verdict: the maps of the shuffled network are the same everywhere"
    alike = max(last.rank_correlation, last.rank_correlation_absolute)
    shuffled = f"{100 * last.share:g} % of the layers shuffled"
    if alike > ALIKE:
        said = (
            f"FAILED: with {shuffled} the network still has much the same maps (rank correlation "
            f"{alike:.2f}): they show the picture, not what the network learnt"
        )
    else:
        said = (
            f"passed: the maps change with the weights (rank correlation {alike:.2f} with "
            f"{shuffled})"
        )
    if last.maps < ENOUGH:
        said += f". Coarse maps can be alike by chance: {ENOUGH} photos or more prove more"
    return said


@dataclass(frozen=True, slots=True, eq=False)
class MappedFace:
    """What is drawn of a face: its photo, the chip cut from it by `matrix` [2, 3], and its map."""

    photo: RGB
    matrix: Floats
    chip: RGB
    found: HeatMap

    @classmethod
    def of(cls, photo: RGB, chip: Chip, found: HeatMap) -> MappedFace:
        """Of a photo [H, W, 3], which is kept no larger than a figure shows it."""
        height, width = photo.shape[:2]
        factor = min(1.0, _LONGEST_PX / max(height, width))
        size_wh = max(1, round(width * factor)), max(1, round(height * factor))
        small = np.asarray(cv2.resize(photo, size_wh, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        step = np.array([width / size_wh[0], height / size_wh[1]])
        # Pixel centres: small pixel u lies at (u + 1/2) step - 1/2 of the photo.
        shift = chip.matrix[:, 2] + chip.matrix[:, :2] @ (step / 2 - 0.5)
        matrix = np.column_stack([chip.matrix[:, :2] * step, shift])
        return cls(small, matrix, chip.rgb, found)


@dataclass(frozen=True, eq=False, repr=False)
class FacesReport(Result):
    """What `agelens.evaluation.explain` hands back of photos.

    `rows` say in order what became of each photo, `faces` by the name of its picture what is drawn.
    The folder that `save` writes holds pictures of people: it is for this machine only.
    """

    kind: ClassVar[str] = "explain"
    indent: ClassVar[int] = 2
    settings: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]
    faces: Mapping[str, MappedFace]
    checked: Sequence[RandomizationResult] = ()

    @property
    def failed(self) -> int:
        """How many photos have no map."""
        return sum(row["status"] != "ok" for row in self.rows)

    def document(self) -> dict[str, Any]:
        """Settings, what became of each photo, and the sanity check."""
        document = {**self.settings, "not_told": NOT_TOLD, "photos": self.rows}
        if self.checked:
            document["sanity_check"] = {"steps": self.checked, "verdict": verdict(self.checked)}
        return document

    def to_frame(self) -> pd.DataFrame:
        """A row for each photo."""
        from agelens.evaluation.reports.heat_map_page import face_rows  # noqa: PLC0415 - pandas

        return face_rows(self)

    def sentences(self) -> list[str]:
        """Where each face looks oldest and youngest, the sanity check, and what is not told."""
        lines = [line for row in self.rows for line in _lines(row)]
        if self.checked:
            lines.append(f"sanity check {verdict(self.checked)}")
        return [*lines, NOT_TOLD[0]]

    def page(self) -> Page:
        """What is drawn, the sanity check, the faces."""
        from agelens.evaluation.reports.heat_map_page import faces_page  # noqa: PLC0415 - pandas

        return faces_page(self)

    def write(self, folder: Path) -> None:
        """See `Result`; a `.gitignore` keeps pictures of people out of any repository."""
        (folder / ".gitignore").write_text("*\n", encoding="utf-8")
        super().write(folder)


def _lines(row: Mapping[str, Any]) -> Iterator[str]:
    note = f" ({row['message']})" if row["message"] else ""
    if "map" not in row:
        yield f"{row['photo']}: no map{note}"
        return
    found = row["map"]
    unit = " years" if found["unit"] == "years" else ""
    yield f"{row['photo']}: {found['estimate_years']:.1f} years{note}"
    for name, words in (("most", "older"), ("least", "younger")):
        extreme = found[name]
        if name == "most" or found["unit"] == "years":
            at = f"chip pixel {extreme['x']}, {extreme['y']}"
            yield f"  {words} most by {extreme['value']:+.2f}{unit} at {at}"
    at_points = (f"{name} {value:+.2f}" for name, value in found["at"].items() if value is not None)
    yield f"  at {', '.join(at_points)}"
