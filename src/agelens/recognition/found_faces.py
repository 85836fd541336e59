"""What a search found: faces by likeness, with how old they look, as table, JSON and page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar, Final

import pandas as pd

from agelens.evaluation.reports.page import NOT_FIT, Card, Page, Picture, Section
from agelens.evaluation.reports.result import Result
from agelens.recognition.embedding_table import EmbeddingModel
from agelens.recognition.face_index import IndexChanges
from agelens.recognition.face_pictures import NOT_FOR
from agelens.recognition.measured_rates import Decision, MeasuredRate
from agelens.records import AgeEstimate


@dataclass(frozen=True, slots=True, eq=False)
class SeenFace:
    """A face of a photo: where it is, how old it looks, when the photo was taken, a picture.

    `taken` is the date of the EXIF block as ``2004-07-19``, None where there is none.
    """

    photo: str
    box_xyxy: tuple[float, float, float, float]
    estimate: AgeEstimate
    taken: str | None
    jpeg: bytes

    @property
    def age_words(self) -> str:
        """How old it looks, and between which ages."""
        age = self.estimate
        return f"looks {age.estimate_years:.0f} ({age.low_years:.0f} to {age.high_years:.0f})"

    def to_json(self) -> dict[str, Any]:
        """Plain types by name."""
        age = self.estimate
        return {
            "photo": self.photo,
            "box_xyxy": [round(edge, 2) for edge in self.box_xyxy],
            "taken": self.taken,
            "estimate_years": round(age.estimate_years, 2),
            "low_years": round(age.low_years, 2),
            "high_years": round(age.high_years, 2),
        }


@dataclass(frozen=True, slots=True, eq=False)
class FoundFace:
    """A face of the folder by its rank, its similarity, and what `verify` calls it."""

    rank: int
    face: SeenFace
    similarity: float
    decision: Decision

    @property
    def photo(self) -> str:
        """Its path below the folder."""
        return self.face.photo

    @property
    def same_person(self) -> bool | None:
        """None where it cannot be told at these ages."""
        return self.decision.same_person

    def to_json(self) -> dict[str, Any]:
        """Plain types by name."""
        rate = self.decision.rate
        return {
            "rank": self.rank,
            **self.face.to_json(),
            "similarity": round(self.similarity, 4),
            "same_person": self.same_person,
            "called": self.decision.words,
            "threshold": None if rate is None else round(rate.threshold, 4),
            "true_match_rate": None if rate is None else rate.true_match_rate,
        }


@dataclass(frozen=True, slots=True, eq=False)
class FaceGroup:
    """Faces that are put together: how many, those of the first few, and the photos of all."""

    faces: int
    shown: tuple[SeenFace, ...]
    photos: tuple[str, ...]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Searched(Result):
    """The faces found, likest first, and what was searched.

    `statuses` counts photos that gave no face by the reason, `faces` those that were searched.
    `expected_strangers` is how many faces of other people would be called the same by chance if
    all faces were of strangers such as the rate was measured on. `caution` says what speaks
    against the query's face, as where the photo's edge cuts it off. `left_out` names the photos
    that are the query itself; `groups` has everybody in the folder where that was asked for.
    """

    kind: ClassVar[str] = "search"

    query: str
    asked: SeenFace
    folder: Path
    found: tuple[FoundFace, ...]
    faces: int
    statuses: dict[str, int]
    decided_by: MeasuredRate
    expected_strangers: float
    changes: IndexChanges
    model: EmbeddingModel
    left_out: tuple[str, ...] = ()
    groups: tuple[FaceGroup, ...] | None = None
    caution: str | None = None

    def sentences(self) -> list[str]:
        """How much was searched, and how far a hit can be trusted."""
        without = ", ".join(f"{count:,} {status}" for status, count in self.statuses.items())
        rate = self.decided_by.false_match_rate
        lines = [f"caution: of {self.query}, {self.caution}"] if self.caution else []
        lines.append(
            f"{self.faces:,} faces searched" + (f"; photos without: {without}" if without else "")
        )
        if self.left_out:
            lines.append(f"the query itself is left out: {', '.join(self.left_out)}")
        lines.append(
            f"at a false match rate of {rate:g}, {self._by_chance()} of so many "
            "strangers' faces are called the same by chance; of relatives and people of one group, "
            "more. A hit is a lead to look at, never proof."
        )
        if any(one.same_person is None for one in self.found):
            lines.append(
                "cannot tell: at these ages most photos of one person are called different as well"
            )
        return lines

    def _by_chance(self) -> str:
        few = self.expected_strangers < 0.05
        return "fewer than 0.05" if few else f"about {self.expected_strangers:.1f}"

    def to_frame(self) -> pd.DataFrame:
        """The faces found, likest first, as `to_json` names their facts."""
        return pd.DataFrame([face.to_json() for face in self.found])

    def __repr__(self) -> str:
        return f"<Searched: {len(self.found):,} likest of {self.sentences()[0]}>"

    def _repr_html_(self) -> str:
        lines = "".join(f"<p>{escape(line)}</p>" for line in self.sentences())
        return self.to_frame().to_html(index=False) + lines

    def document(self) -> dict[str, Any]:
        """What was found, plain types by name."""
        groups = None if self.groups is None else [list(one.photos) for one in self.groups]
        return {
            "query": self.query,
            "query_estimate_years": round(self.asked.estimate.estimate_years, 2),
            "caution": self.caution,
            "found": [face.to_json() for face in self.found],
            "left_out": list(self.left_out),
            "groups": groups,
            "faces_searched": self.faces,
            "photos_without": self.statuses,
            "false_match_rate": self.decided_by.false_match_rate,
            "threshold": round(self.decided_by.threshold, 4),
            "expected_strangers": round(self.expected_strangers, 3),
            "photos_read": self.changes.read,
            "photos_gone": self.changes.gone,
            "photos_kept": self.changes.kept,
            "model": asdict(self.model),
        }

    def to_json(self) -> dict[str, Any]:
        """One JSON object; plain types only."""
        return self.to_dict()

    def page(self) -> Page:
        """Faces by rank, by how old they look, by date where there is one, and in groups."""
        rate = self.decided_by.false_match_rate
        matched = [one for one in self.found if one.same_person]
        cards = [
            Card("faces searched", f"{self.faces:,}"),
            Card("called the same person", f"{len(matched):,}", f"false match rate {rate:g}"),
            Card("strangers so alike by chance", self._by_chance()),
        ]
        sections = [
            Section("Who was looked for", pictures=[("", [self._picture(self.asked)])]),
            Section(
                "By likeness",
                [] if self.found else ["No other face is in the folder."],
                pictures=[("", [self._picture(one.face, *_told(one)) for one in self.found])],
            ),
            Section("By how old they look", _BY_AGE, pictures=self._by(_decade)),
            *self._dated(),
            *self._grouped(),
            Section(NOT_FIT, [*NOT_FOR, *self.sentences()]),
        ]
        return Page(f"Faces like that of {self.query}", sections, [self._lead()], cards)

    def _lead(self) -> str:
        matched = sum(one.same_person is True for one in self.found)
        unsure = sum(one.same_person is None for one in self.found)
        return (
            f"Of the {len(self.found):,} likest faces {matched:,} are called the same person, and "
            f"of {unsure:,} it cannot be told at their ages. A hit is a lead, never proof."
        )

    def _picture(self, face: SeenFace, *more: str) -> Picture:
        link = "" if face is self.asked else (self.folder / face.photo).resolve().as_uri()
        taken = [f"taken {face.taken}"] if face.taken else []
        return Picture(face.jpeg, [face.age_words, *more, *taken, face.photo], link)

    def _by(self, band: Callable[[SeenFace], str]) -> list[tuple[str, list[Picture]]]:
        """The faces found, the youngest first, under what `band` calls them."""
        faces = sorted((one.face for one in self.found), key=lambda f: f.estimate.estimate_years)
        return [
            (name, [self._picture(face) for face in inside])
            for name, inside in ((n, list(faces)) for n, faces in groupby(faces, band))
        ]

    def _dated(self) -> list[Section]:
        dated = sorted(
            (one.face for one in self.found if one.face.taken), key=lambda face: str(face.taken)
        )
        rows = [
            (year, [self._picture(face) for face in inside])
            for year, inside in groupby(dated, lambda face: str(face.taken)[:4])
        ]
        said = f"{len(dated):,} of {len(self.found):,} photos say when they were taken."
        return [Section("By date", [said], pictures=rows)] if dated else []

    def _grouped(self) -> list[Section]:
        if self.groups is None:
            return []
        several = [one for one in self.groups if one.faces > 1]
        alone = len(self.groups) - len(several)
        rows = [
            (
                f"Group {number}: {one.faces:,} faces",
                [self._picture(face) for face in one.shown],
            )
            for number, one in enumerate(several, 1)
        ]
        said = f"{len(several):,} groups of two faces or more; {alone:,} faces stand alone."
        return [Section("Everybody in the folder, in groups", [said, _GROUPS], pictures=rows)]


def _told(found: FoundFace) -> tuple[str, ...]:
    called = "cannot tell" if found.same_person is None else f"called {found.decision.words}"
    rate = found.decision.rate
    true = None if rate is None else rate.true_match_rate
    sure = () if true is None else (f"{true:.0%} of one person's pairs match at such ages",)
    return (f"{found.rank}. similarity {found.similarity:.3f}: {called}", *sure)


def _decade(face: SeenFace) -> str:
    decade = int(face.estimate.estimate_years // 10) * 10
    return f"{decade} to {decade + 9} years"


_BY_AGE: Final = ("All faces found, whatever they are called, the youngest first.",)
_GROUPS: Final = (
    "Groups are of faces that look alike, not of people: one person's childhood and old age are "
    "often apart, and young children of one age are often together."
)
