"""The pages of search and verify in a real browser: whole at 400 and 1,400 pixels, and local."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from agelens.recognition.embedding_table import EmbeddingModel
from agelens.recognition.face_index import IndexChanges
from agelens.recognition.face_pictures import face_jpeg
from agelens.recognition.found_faces import FaceGroup, FoundFace, Searched, SeenFace
from agelens.recognition.measured_rates import (
    AgeRates,
    Decision,
    MeasuredRate,
    MeasuredRates,
    decide,
)
from agelens.recognition.photo_pair import Verdict, VerifiedFace
from agelens.records import AgeEstimate

RATE = MeasuredRate(0.001, 0.9, 0.0005, 0.0002, 0.001, 0.8)
UNSURE = MeasuredRate(0.001, 0.95, 0.0005, 0.0, 0.004, 0.1, 0.05, 0.2)
RATES = MeasuredRates(
    "toys", 40, 80, 3120, 40, (RATE,), (AgeRates("0-5", "20+", "toys", 40, 900, 50, 20, (UNSURE,)),)
)
MODEL = EmbeddingModel("toy", "1", "0", 8)
LONG = "a_folder_whose_name_is_one_word_of_sixty_characters_and_more_/photo.jpg"


def estimate(years: float) -> AgeEstimate:
    return AgeEstimate(years, years, max(0, years - 6), years + 6, 0.9, 0.91, None)


def jpeg(shade: int) -> bytes:
    drawn = np.full((300, 200, 3), shade, dtype=np.uint8)
    return face_jpeg(drawn, np.array([50.0, 60.0, 150.0, 200.0]))


def seen(name: str, years: float, taken: str | None = None) -> SeenFace:
    return SeenFace(name, (50.0, 60.0, 150.0, 200.0), estimate(years), taken, jpeg(int(years)))


def called(alike: float, face: SeenFace) -> Decision:
    return decide(RATES, 0.001, alike, (40, face.estimate.estimate_years))


def searched(folder: Path) -> Searched:
    asked = seen("me.jpg", 40)
    faces = [seen(LONG, 36, "1999-05-01"), seen("b.jpg", 12, "1975-01-02"), seen("<i>.jpg", 4)]
    found = tuple(
        FoundFace(
            rank, face, alike, decide(RATES, 0.001, alike, (40, face.estimate.estimate_years))
        )
        for rank, (face, alike) in enumerate(zip(faces, (0.97, 0.6, 0.5), strict=True), 1)
    )
    return Searched(
        query="me.jpg",
        asked=asked,
        folder=folder,
        found=found,
        faces=3,
        statuses={},
        decided_by=RATE,
        expected_strangers=0.0015,
        changes=IndexChanges(4, 0, 0),
        model=MODEL,
        left_out=("me.jpg",),
        groups=(FaceGroup(2, (asked, faces[0]), ("me.jpg", LONG)), FaceGroup(1, (), ("b.jpg",))),
    )


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("recognition")
    first, second = (VerifiedFace(LONG, 1, estimate(years), jpeg(90)) for years in (4, 44))
    verdict = Verdict(first, second, 0.7, 0.001, RATES, MODEL, "agelens-1")
    adult = replace(verdict, first=second, similarity=0.95)
    assert (verdict.same_person, adult.same_person) == (None, True)
    return {
        "search": searched(folder).save(folder / "search"),
        "verify": verdict.save(folder / "verify"),
    }


@pytest.mark.parametrize("name", ["search", "verify"])
@pytest.mark.parametrize("width", [400, 1400])
def test_every_face_is_seen_and_nothing_is_wider_than_the_window(
    name: str, width: int, chromium: Browser, pages: dict[str, Path], look: Callable[..., Page]
) -> None:
    asked: list[str] = []
    page = look(chromium, pages[name].as_uri(), viewport={"width": width, "height": 900})
    page.on("request", lambda request: asked.append(request.url))
    assert page.evaluate("document.documentElement.scrollWidth") == width
    pictures = page.locator(".pictures img")
    assert pictures.count() == {"search": 1 + 3 + 3 + 2 + 2, "verify": 2}[name]
    sizes: list[Any] = pictures.evaluate_all("all => all.map(i => [i.naturalWidth, i.clientWidth])")
    assert all(natural == 224 and shown >= 100 for natural, shown in sizes)
    assert page.get_by_text("Do not use it to find, follow or name people").count() == 1
    assert not asked


def test_the_two_faces_stand_side_by_side_on_a_phone(
    chromium: Browser, pages: dict[str, Path], look: Callable[..., Page]
) -> None:
    page = look(chromium, pages["verify"].as_uri(), viewport={"width": 400, "height": 900})
    tops = page.locator(".pictures img").evaluate_all(
        "all => all.map(i => i.getBoundingClientRect().top)"
    )
    assert len(set(tops)) == 1
    assert page.locator("h1").inner_text() == "Two photos: cannot tell"


def test_faces_stand_by_age_by_date_and_in_groups(
    chromium: Browser, pages: dict[str, Path], look: Callable[..., Page]
) -> None:
    page = look(chromium, pages["search"].as_uri())
    assert page.locator("h3").all_inner_texts() == [
        "0 to 9 years", "10 to 19 years", "30 to 39 years", "1975", "1999", "Group 1: 2 faces",
    ]  # fmt: skip
    assert page.locator("section", has_text="By likeness").get_by_text("cannot tell").count() == 1
    links = page.locator(".pictures a").evaluate_all("all => all.map(a => a.protocol)")
    assert set(links) == {"file:"}
