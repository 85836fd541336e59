"""Mean maps by age, and the pages that show them."""

from __future__ import annotations

import json
from dataclasses import replace
from html import escape
from pathlib import Path

import numpy as np
import pytest

from agelens.evaluation.heat_maps.by_age import ByAgeReport, LabelledChip, cells, mean_maps
from agelens.evaluation.heat_maps.explained_faces import (
    NOT_TOLD,
    FacesReport,
    MappedFace,
    RandomizationResult,
)
from agelens.evaluation.heat_maps.heat_map import HeatMap
from agelens.evaluation.reports.heat_map_page import bands_figure, face_figure, head_of
from agelens.records import RGB, Chip

SIDE = 16


class Brightness:
    """Explains each place by how bright it is."""

    def __call__(self, chip: RGB) -> HeatMap:
        grey = chip.mean(axis=2)
        return HeatMap(grey / 100 - 1, "years", "brightness", 2, float(grey.mean()))

    def with_shuffled_weights(self, share: float, seed: int) -> Brightness:
        return self


def labelled(band: str, count: int, seed: int, people: int = 1000) -> list[LabelledChip]:
    random = np.random.default_rng(seed)
    shown = random.integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)
    return [LabelledChip(band, 20.0 + n, chip, n % people) for n, chip in enumerate(shown)]


def test_means_and_standard_errors_as_numpy_has_them() -> None:
    old, young = labelled("20-29", 5, 0), labelled("0-9", 1, 1)
    mixed = [old[0], young[0], *old[1:]]
    first, second = mean_maps(Brightness(), mixed)
    maps = np.stack([Brightness()(chip.rgb).values for chip in old])
    assert (first.band, first.samples, first.few) == ("20-29", 5, True)
    np.testing.assert_allclose(first.values, maps.mean(axis=0))
    np.testing.assert_allclose(first.standard_error, maps.std(axis=0, ddof=1) / np.sqrt(5))
    assert first.age_years == 22
    expected_face = np.round(np.mean([chip.rgb for chip in old], axis=0))
    np.testing.assert_array_equal(first.face, expected_face)
    assert second.samples == 1
    assert np.isnan(second.standard_error).all()
    assert second.to_json(np.full((5, 2), 3.0))["at"]["nose"]["standard_error"] is None


def test_cells_are_means_of_their_pixels() -> None:
    values = np.arange(256.0).reshape(SIDE, SIDE)
    expected = values.reshape(8, 2, 8, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(cells(values), expected)


@pytest.mark.parametrize(("count", "people", "shown"), [(3, 3, 0), (40, 29, 0), (30, 30, 1)])
def test_no_face_of_few_people_is_drawn(count: int, people: int, shown: int) -> None:
    (band,) = mean_maps(Brightness(), labelled("20-29", count, 0, people))
    assert band.people == people
    panel = bands_figure([band]).figure.axes[0]
    assert (np.ptp(np.asarray(panel.images[0].get_array())) > 0) == bool(shown)


def test_the_page_by_age(tmp_path: Path) -> None:
    bands = mean_maps(Brightness(), labelled("20-29", 31, 0) + labelled("70+", 2, 1))
    points = np.full((5, 2), 4.0)
    ByAgeReport({"model": "<toy>", "part": None}, bands, points).write(tmp_path)
    document = json.loads((tmp_path / "explain.json").read_text())
    assert [(b["band"], b["samples"], b["few"]) for b in document["bands"]] == [
        ("20-29", 31, False),
        ("70+", 2, True),
    ]
    assert np.shape(document["bands"][0]["cells"]) == (8, 8)
    assert document["bands"][0]["at"]["nose"]["value"] == pytest.approx(
        bands[0].values[4, 4], abs=1e-3
    )
    page = (tmp_path / "index.html").read_text()
    assert escape(NOT_TOLD[0]) in page
    assert "&lt;toy&gt;" in page
    assert "patch of 2 x 2 chip pixels" in page
    assert (tmp_path / "by_age.png").read_bytes().startswith(b"\x89PNG")


def test_the_page_of_faces(tmp_path: Path) -> None:
    row = {"photo": "a.jpg", "status": "ok", "face": 0, "estimate_years": 31.2, "message": ""}
    checked = [RandomizationResult(1.0, 1, 0.9, 0.9, 0.8)]
    chip = np.zeros((4, 4, 3), np.uint8)
    found = HeatMap(np.zeros((4, 4)), "relative", "toy", 2, 31.2)
    face = MappedFace(chip, np.eye(2, 3), chip, found)
    faces = {"face_0001.png": face}
    row["picture"] = "face_0001.png"
    FacesReport({"model": "toy"}, [row], faces, checked).write(tmp_path)
    assert (tmp_path / "face_0001.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "index.html").read_text()
    assert "own eyes" in page
    assert "FAILED" in page
    assert "strongest place = 1" in page
    assert (tmp_path / ".gitignore").read_text() == "*\n"
    document = json.loads((tmp_path / "explain.json").read_text())
    assert document["sanity_check"]["steps"][0]["rank_correlation"] == 0.9
    assert document["not_told"] == list(NOT_TOLD)


def test_a_large_photo_is_shrunk_with_its_map_in_place() -> None:
    photo = np.zeros((1800, 2400, 3), np.uint8)
    matrix = np.array([[0.01, 0, -8.0], [0, 0.01, -4.0]])  # the chip begins at 800, 400
    values = np.ones((8, 8))
    values[:, 4:] = -1
    chip = np.zeros((8, 8, 3), np.uint8)
    found = HeatMap(values, "years", "toy", 1, 3.0)
    face = MappedFace.of(photo, Chip(chip, "toy", matrix), found)
    rows, shown = head_of(face)
    assert face.photo.shape == (675, 900, 3)
    # The chip spans 800 to 1600 and 400 to 1200 of the photo; a third of that is around it.
    assert abs(shown.start - (800 - 280) * 0.375) < 2
    assert abs(shown.stop - (1600 + 280) * 0.375) < 2
    assert abs(rows.start - (400 - 280) * 0.375) < 2
    figure = face_figure(face, "a $x$.jpg").figure
    drawn = np.asarray(figure.axes[2].images[1].get_array())
    alpha = np.asarray(figure.axes[2].images[1].get_alpha())
    assert drawn.shape == (rows.stop - rows.start, shown.stop - shown.start)
    columns = np.flatnonzero(alpha.max(axis=0))
    first = columns + shown.start
    assert abs(first[0] - 750 * 0.375) < 2  # from half a chip pixel before the first centre
    edge = np.flatnonzero(np.diff(np.sign(drawn[len(drawn) // 2, columns])))
    assert abs(first[edge[0]] - 1150 * 0.375) < 2


def test_bands_of_very_few_faces_are_grey_and_set_no_scale() -> None:
    many, few = mean_maps(Brightness(), labelled("20-29", 31, 0) + labelled("70+", 9, 1))
    extreme = replace(few, values=few.values * 100)
    figure = bands_figure([many, extreme]).figure
    first, second = (figure.axes[place].images[1] for place in (0, 1))
    assert first.norm.vmax == pytest.approx(np.abs(many.values).max())
    assert first.get_cmap().name != "Greys"
    assert second.get_cmap().name == "Greys"
