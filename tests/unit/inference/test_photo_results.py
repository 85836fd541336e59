"""A result in a notebook: in words, as HTML, as a frame, drawn, and sent to another process."""

from __future__ import annotations

import base64
import copy
import gc
import io
import pickle
import re
import sys
from array import array
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from agelens import AgeEstimator, PhotoResult
from agelens.errors import (
    AgelensError,
    InputTypeError,
    MissingDependencyError,
    OutputError,
    PhotoError,
    UsageError,
)
from agelens.imaging.detectors import DETECTORS, detector_class
from agelens.inference.drawing import annotate
from agelens.inference.result_files import COLUMNS
from agelens.records import RGB, AgeEstimate, Chip, Face, Photo, TrackAge

MISSING = PhotoResult("gone.jpg", "missing", "gone.jpg: no such file", model="m", detector="d")


@pytest.fixture(scope="module")
def result(estimator: AgeEstimator, astronaut_png: Path) -> PhotoResult:
    return estimator.estimate(astronaut_png)


class TestWords:
    def test_a_result_is_one_short_line(self, result: PhotoResult) -> None:
        name = re.escape(repr(result.photo))
        assert re.fullmatch(
            rf"PhotoResult\({name}, 1 face: \d+\.\d years \(\d+\.\d to \d+\.\d\)\)", repr(result)
        )

    def test_many_faces_stay_short(self, result: PhotoResult) -> None:
        crowd = repr(replace(result, photo="a.jpg", faces=result.faces * 50))
        assert crowd.startswith("PhotoResult('a.jpg', 50 faces: ")
        assert crowd.endswith("; ...)")
        assert len(crowd) < 200

    def test_what_is_no_photo_says_why(self) -> None:
        assert repr(MISSING) == "PhotoResult('gone.jpg', missing: gone.jpg: no such file)"
        assert "'a.mp4 #7'" in repr(PhotoResult("a.mp4", "no_face", "no face found", frame=7))

    def test_a_face_says_all_that_was_found(self, result: PhotoResult) -> None:
        face = replace(
            result.faces[0],
            **{"estimate_years": 42.24, "low_years": 27.6, "high_years": 52.0, "refer": "dark"},
            gender="female",
            track=TrackAge(3, 9, 41.0, 30.0, 50.0),
        )
        assert repr(face) == (
            "AgeEstimate(42.2 years (27.6 to 52.0), female, track 3: 41.0 years, refer: dark)"
        )

    def test_records_print_no_pixels(self, astronaut: RGB) -> None:
        face = Face(np.array([1.0, 2, 30, 40]), np.zeros((5, 2)), 0.9)
        assert repr(face) == "Face(1, 2 to 30, 40, score 0.900)"
        assert repr(Photo(astronaut, "a.png", frame=3)) == "Photo('a.png', 512 x 512, frame 3)"
        assert repr(Chip(astronaut, "dlib-64", np.eye(2, 3))) == "Chip(dlib-64, 512 x 512)"

    def test_an_estimator_says_what_it_is_made_of(self, estimator: AgeEstimator) -> None:
        assert repr(estimator) == f"AgeEstimator({estimator.card.name!r}, 'retinaface')"


class TestHtml:
    def test_a_notebook_shows_the_drawn_photo_and_a_table(self, result: PhotoResult) -> None:
        html = result._repr_html_()
        encoded = re.search(r'src="data:image/jpeg;base64,([^"]+)"', html)
        assert encoded
        shown = Image.open(io.BytesIO(base64.b64decode(encoded[1])))
        assert shown.size == (512, 512)
        assert f"<td>{result.faces[0].estimate_years:.1f}</td>" in html

    def test_names_cannot_be_markup(self, result: PhotoResult) -> None:
        evil = "<script>alert(1)</script>"
        html = replace(result, photo=evil, message=evil, model=evil)._repr_html_()
        assert "<script" not in html
        assert html.count("&lt;script&gt;") == 4

    def test_without_faces_there_is_no_picture(self) -> None:
        assert "<img" not in MISSING._repr_html_()
        assert "no such file" in MISSING._repr_html_()


class TestFrames:
    def test_one_row_a_face_with_the_columns_of_the_files(self, result: PhotoResult) -> None:
        frame = replace(result, faces=result.faces * 2).to_frame()
        assert list(frame.columns) == list(COLUMNS)
        assert frame["face"].tolist() == [0, 1]
        assert frame["estimate_years"].tolist() == pytest.approx(
            [result.faces[0].estimate_years] * 2, abs=1e-3
        )
        assert frame["frame"].isna().all()

    def test_a_photo_without_a_face_is_a_row(self) -> None:
        frame = MISSING.to_frame()
        assert frame[["photo", "status", "faces"]].values.tolist() == [["gone.jpg", "missing", 0]]
        assert frame["estimate_years"].isna().all()

    def test_types_do_not_depend_on_what_was_found(self, result: PhotoResult) -> None:
        assert result.to_frame().dtypes.equals(MISSING.to_frame().dtypes)

    def test_distributions_where_they_are_asked_for(self, result: PhotoResult) -> None:
        frame = result.to_frame(distribution=True)
        ages = [name for name in frame.columns if name.startswith("p_")]
        assert (ages[0], len(ages)) == ("p_000", 101)
        assert frame[ages].to_numpy().sum() == pytest.approx(1, abs=1e-4)

    def test_a_folder_is_one_frame(
        self, estimator: AgeEstimator, astronaut_png: Path, head: RGB
    ) -> None:
        frame = estimator.frame([astronaut_png, "none.jpg", head])
        assert frame["status"].tolist() == ["ok", "missing", "ok"]
        assert frame["photo"].tolist() == [str(astronaut_png), "none.jpg", "<array>"]
        one = estimator.frame(astronaut_png)
        pd.testing.assert_frame_equal(one, frame[:1])

    def test_without_pandas_the_way_out_is_named(
        self, result: PhotoResult, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "pandas", None)
        with pytest.raises(MissingDependencyError, match=r"pip install pandas, or 'agelens\[train"):
            result.to_frame()


class TestDrawing:
    def forms(self, rgb: RGB, path: Path) -> dict[str, Any]:
        content = path.read_bytes()
        return {
            "path": str(path),
            "bytes": content,
            "file": io.BytesIO(content),
            "array": rgb,
            "image": Image.fromarray(rgb),
            "photo": Photo(rgb, "mine"),
        }

    @pytest.mark.parametrize("form", ["path", "bytes", "file", "array", "image", "photo"])
    def test_whatever_was_estimated_can_be_drawn(
        self, form: str, estimator: AgeEstimator, astronaut: RGB, astronaut_png: Path
    ) -> None:
        given = self.forms(astronaut, astronaut_png)[form]
        (many,) = estimator.estimate([given])
        for one in (estimator.estimate(given), many):
            drawn = one.draw()
            np.testing.assert_array_equal(np.asarray(drawn), annotate(astronaut, one))
            assert (np.asarray(drawn) != astronaut).any()

    def test_opencvs_colours_come_back_right(
        self, estimator: AgeEstimator, astronaut: RGB, result: PhotoResult
    ) -> None:
        one = estimator.estimate(astronaut[:, :, ::-1], bgr=True)
        np.testing.assert_array_equal(one.draw(), annotate(astronaut, one))
        np.testing.assert_array_equal(
            result.draw(photo=astronaut[:, :, ::-1], bgr=True), annotate(astronaut, result)
        )

    @pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".png", ".webp"])
    def test_a_path_is_written(self, suffix: str, result: PhotoResult, tmp_path: Path) -> None:
        path = tmp_path / f"drawn{suffix}"
        drawn = result.draw(path)
        with Image.open(path) as written:
            assert written.size == drawn.size
        if suffix == ".png":
            np.testing.assert_array_equal(Image.open(path), drawn)

    def test_a_path_that_cannot_be_written(self, result: PhotoResult, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"written as \.jpg, \.jpeg, \.png, \.webp"):
            result.draw(tmp_path / "a.gif")
        with pytest.raises(OutputError, match="cannot write"):
            result.draw(tmp_path / "none" / "a.png")
        assert list(tmp_path.iterdir()) == []

    def test_a_stream_keeps_no_pixels(self, estimator: AgeEstimator, head: RGB) -> None:
        results = list(estimator.stream(head.copy() for _ in range(2)))
        gc.collect()
        with pytest.raises(UsageError, match=r"the pixels are gone.*draw\(photo=...\)"):
            results[0].draw()
        assert results[0].draw(photo=head).size == (96, 96)

    def test_a_photo_that_went_away_is_told(
        self, estimator: AgeEstimator, astronaut_png: Path, tmp_path: Path
    ) -> None:
        path = tmp_path / "a.png"
        path.write_bytes(astronaut_png.read_bytes())
        result = estimator.estimate(path)
        path.unlink()
        with pytest.raises(PhotoError, match="no such file"):
            result.draw()

    def test_what_was_no_photo_cannot_be_drawn(self, estimator: AgeEstimator) -> None:
        with pytest.raises(UsageError, match="the pixels are gone"):
            estimator.estimate("none.jpg").draw()


class TestCopies:
    @pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps])
    def test_results_travel(self, copied: Any, result: PhotoResult) -> None:
        other = copied(result)
        other = pickle.loads(other) if isinstance(other, bytes) else other
        assert other.to_json(distribution=True) == result.to_json(distribution=True)
        np.testing.assert_array_equal(other.draw(), result.draw())

    def test_pixels_of_a_stream_stay_behind(self, estimator: AgeEstimator, head: RGB) -> None:
        (one,) = estimator.stream([head])
        other = pickle.loads(pickle.dumps(one))
        assert one.draw().size == (96, 96)
        with pytest.raises(UsageError, match="the pixels are gone"):
            other.draw()

    @pytest.mark.parametrize("copied", [copy.deepcopy, pickle.dumps])
    def test_an_estimator_is_made_anew(
        self, copied: Any, astronaut: RGB, tmp_path: Path, write_card: Any
    ) -> None:
        def level(document: dict[str, Any]) -> None:
            document["name"] = "toy"

        ours = AgeEstimator(
            write_card(tmp_path, change=level),
            detector_class("retinaface")(longest_side=512, score_threshold=0.7),  # type: ignore[call-arg]
            gender=True,
            mirror=True,
            interval_level=0.5,
            calibrated=False,
            workers=3,
            max_pixels=10**6,
        )
        other = copied(ours)
        other = pickle.loads(other) if isinstance(other, bytes) else other
        one, two = (e.estimate(astronaut) for e in (ours, other))
        assert one.to_json(distribution=True) == two.to_json(distribution=True)
        assert one.faces[0].gender is not None
        assert (other.card, other.workers, other.max_pixels) == (ours.card, 3, 10**6)
        assert other.detector is not ours.detector
        assert (other.detector.longest_side, other.detector.score_threshold) == (512, 0.7)
        assert pickle.dumps(other) == pickle.dumps(ours)

    @pytest.mark.parametrize("name", list(DETECTORS))
    def test_every_detector_is_made_anew(self, name: str, astronaut: RGB) -> None:
        ours = detector_class(name)(longest_side=500)
        other = pickle.loads(pickle.dumps(ours))
        assert type(other) is type(ours)
        one, two = (detector.detect(astronaut) for detector in (ours, other))
        assert [f.box_xyxy.tolist() for f in one] == [f.box_xyxy.tolist() for f in two] != []


class TestVideos:
    @pytest.fixture
    def clip(self, head: RGB, tmp_path: Path) -> Path:
        path = tmp_path / "clip.avi"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (96, 96))
        for _ in range(6):
            writer.write(head[:, :, ::-1])
        writer.release()
        return path

    def test_a_video_is_a_result_a_frame(self, estimator: AgeEstimator, clip: Path) -> None:
        results = list(estimator.video(clip, every=2))
        assert [r.frame for r in results] == [0, 2, 4]
        assert {r.photo for r in results} == {str(clip)}
        tracks = [face.track for r in results for face in r.faces]
        assert [(t.track, t.frames) for t in tracks if t] == [(1, 1), (1, 2), (1, 3)]

    def test_a_frame_can_be_drawn_until_the_next(self, estimator: AgeEstimator, clip: Path) -> None:
        sizes = [result.draw().size for result in estimator.video(clip)]
        assert sizes == [(96, 96)] * 6

    def test_frames_do_not_pile_up(self, estimator: AgeEstimator, clip: Path) -> None:
        results = list(estimator.video(clip))
        gc.collect()
        with pytest.raises(UsageError, match="draw while you go through the results"):
            results[0].draw()

    def test_no_video_is_a_row(self, estimator: AgeEstimator, tmp_path: Path) -> None:
        path = tmp_path / "none.mp4"
        (row,) = estimator.video(path)
        assert (row.photo, row.status, row.faces) == (str(path), "missing", ())
        with pytest.raises(UsageError, match="every must be at least 1"):
            next(estimator.video(path, every=0))

    def test_a_camera_answers_frame_by_frame(
        self, estimator: AgeEstimator, head: RGB, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read: list[int] = []

        def frames(camera: int | str, *, every: int) -> Iterator[Photo]:
            for number in range(0, 100, every):
                read.append(number)
                yield Photo(head, f"camera:{camera}", number, number / 10)

        monkeypatch.setattr("agelens.imaging.video.camera_frames", frames)
        results = estimator.camera("rtsp://host/live", every=5)
        for expected in ([0], [0, 5]):
            result = next(results)
            assert read == expected
            assert result.photo == "camera:rtsp://host/live"
            assert result.draw().size == (96, 96)
        results.close()

    def test_a_camera_that_is_not_there_is_a_row(self, estimator: AgeEstimator) -> None:
        (row,) = estimator.camera(97)
        assert (row.photo, row.status) == ("camera:97", "missing")
        with pytest.raises(UsageError, match="0 to 99"):
            next(estimator.camera(-1))

    def test_own_frames_must_say_the_order_of_their_channels(
        self, estimator: AgeEstimator, head: RGB
    ) -> None:
        with pytest.raises(TypeError, match="bgr"):
            estimator.track([head])  # type: ignore[call-arg]
        (_, right), (_, other) = (
            next(estimator.track([frame], bgr=bgr))
            for frame, bgr in ((head, False), (head[:, :, ::-1], True))
        )
        assert right.faces[0].estimate_years == other.faces[0].estimate_years
        (_, wrong) = next(estimator.track([head], bgr=True))
        assert abs(wrong.faces[0].estimate_years - right.faces[0].estimate_years) > 1e-3

    def test_own_frames_are_numbered_and_bad_ones_are_rows(
        self, estimator: AgeEstimator, head: RGB
    ) -> None:
        frames = [head, head.astype(float), head]
        tracked = list(estimator.track(frames, bgr=False))  # type: ignore[arg-type]
        assert [(r.photo, r.frame, r.status) for _, r in tracked] == [
            *(("<frame>", 0, "ok"), ("<frame>", None, "unreadable"), ("<frame>", 2, "ok")),
        ]


class Tensor:
    """Stands for a tensor of torch."""

    def __iter__(self) -> Iterator[int]:
        return iter(range(360))


class OtherArray(Tensor):
    """Stands for an array of a package that is not known here."""

    shape = (9, 9, 3)


class Stream:
    """Reads like a file, and does nothing else."""

    def __init__(self, content: Any) -> None:
        self._content = content

    def read(self) -> Any:
        if isinstance(self._content, Exception):
            raise self._content
        return self._content


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (RuntimeError("the connection is lost"), "cannot be read: the connection is lost"),
        (None, "reading it gives a NoneType, expected bytes"),
        ("text", "open for text"),
        (bytearray(b"no picture"), "is not a photo"),
    ],
)
def test_what_reads_like_a_file(content: Any, words: str, estimator: AgeEstimator) -> None:
    result = estimator.estimate(Stream(content))  # type: ignore[call-overload]
    assert result.status == "unreadable"
    assert words in result.message


def test_an_empty_name_is_no_folder(estimator: AgeEstimator) -> None:
    result = estimator.estimate("")
    assert (result.status, result.message[:30]) == ("missing", "the name of the photo is empty")


class TestWrongInput:
    @pytest.mark.parametrize(
        ("given", "words"),
        [
            (None, "got NoneType: OpenCV's imread gives it for a file that it cannot read"),
            (5, "got int: a camera is opened by .camera"),
            (2.5, "got float"),
            (np.float32(1), "got float32"),
            (True, "got bool"),
            ({"a": "a.jpg"}, r"got dict: give its values, list\(photos.values\(\)\)"),
            (pd.DataFrame({"path": ["a"]}), "got DataFrame: give the column of paths"),
            (np.array(["a.jpg", "b.jpg"]), r"an array of names: give it as names.tolist\(\)"),
            (np.array([Path("a.jpg")]), "an array of names"),
            (object(), "got object"),
            (array("B", b"content"), r"got array: give a file's content as bytes"),
            (range(360), "got range"),
            ([[[0, 0, 0]] * 9] * 9, "got list of numbers: give pixels .* as a numpy array"),
            ((0, 255), "got tuple of numbers"),
            (OtherArray(), r"got OtherArray: .* numpy.asarray\(pixels\)"),
        ],
        ids=lambda given: type(given).__name__,
    )
    def test_what_is_no_photo_is_one_clear_sentence(
        self, given: Any, words: str, estimator: AgeEstimator
    ) -> None:
        for call in (estimator.estimate, estimator.frame):
            with pytest.raises(InputTypeError, match=words) as caught:
                call(given)
            assert isinstance(caught.value, AgelensError)
            assert isinstance(caught.value, TypeError)
            assert "\n" not in str(caught.value)

    def test_a_tensor_is_told_how_to_become_pixels(
        self, estimator: AgeEstimator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        torch = type(sys)("torch")
        torch.Tensor = Tensor  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "torch", torch)
        with pytest.raises(InputTypeError, match=r"tensor.permute\(1, 2, 0\)"):
            estimator.estimate(Tensor())  # type: ignore[call-overload]

    @pytest.mark.parametrize("given", ["a.jpg", b"x", np.zeros((9, 9, 3), np.uint8)])
    def test_a_stream_is_of_many(self, given: Any, estimator: AgeEstimator) -> None:
        with pytest.raises(InputTypeError, match="stream takes many photos, got one"):
            next(estimator.stream(given))

    def test_a_batch_of_pictures_streams(self, estimator: AgeEstimator, head: RGB) -> None:
        assert [r.status for r in estimator.stream(np.stack([head] * 2))] == ["ok", "ok"]

    def test_a_column_of_paths_is_many_photos(
        self, estimator: AgeEstimator, astronaut_png: Path
    ) -> None:
        paths = pd.Series([str(astronaut_png), "none.jpg"])
        assert [r.status for r in estimator.estimate(paths)] == ["ok", "missing"]

    def test_a_grey_picture_with_a_third_axis_is_told_how_to_lose_it(
        self, estimator: AgeEstimator
    ) -> None:
        result = estimator.estimate(np.zeros((64, 48, 1), np.uint8))
        assert result.status == "unreadable"
        assert "leave out the last axis of a grey picture: array[:, :, 0]" in result.message

    def test_what_imread_could_not_read_is_a_row_among_others(
        self, estimator: AgeEstimator, head: RGB
    ) -> None:
        none, good = estimator.estimate([None, head])  # type: ignore[list-item]
        assert (none.status, good.status) == ("unreadable", "ok")


def test_an_estimate_is_equal_only_to_itself(result: PhotoResult) -> None:
    face: AgeEstimate = result.faces[0]
    assert face == face  # noqa: PLR0124 - arrays inside must not be compared
    assert face != replace(face)
