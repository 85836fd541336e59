"""The estimator: the same answer however a face comes in, and errors as rows."""

from __future__ import annotations

import itertools
import json
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from agelens import __version__
from agelens.errors import CardError, PhotoError, UnknownNameError, UsageError
from agelens.imaging.align import TEMPLATES, SimilarityAligner
from agelens.imaging.detectors.retinaface import RetinaFace
from agelens.inference.cards import DEFAULT_MODEL, load_card
from agelens.inference.estimator import AgeEstimator
from agelens.inference.results import PhotoResult
from agelens.records import RGB, AgeEstimate, Floats, Photo

WriteCard = Callable[..., Path]
SIDE = load_card(DEFAULT_MODEL).input.size


def only(result: PhotoResult) -> AgeEstimate:
    assert result.status == "ok"
    assert len(result.faces) == 1
    return result.faces[0]


def same(ours: AgeEstimate, theirs: AgeEstimate, tolerance: float = 1e-4) -> None:
    assert ours.distribution is not None
    assert theirs.distribution is not None
    np.testing.assert_allclose(ours.distribution, theirs.distribution, rtol=0, atol=tolerance)
    assert ours.estimate_years == pytest.approx(theirs.estimate_years, abs=tolerance)
    assert ours.low_years == pytest.approx(theirs.low_years, abs=tolerance * 100)


@pytest.fixture(scope="module")
def expected(estimator: AgeEstimator, astronaut: RGB) -> AgeEstimate:
    return only(estimator.estimate(astronaut))


def median(distribution: Floats) -> float:
    """Of ages 0 to 100 in years, each of which lasts from half a year before to half after."""
    return float(np.interp(0.5, [0, *distribution.cumsum()], np.arange(102) - 0.5))


class TestOnePhoto:
    def test_the_numbers_fit_together(self, expected: AgeEstimate) -> None:
        assert expected.distribution is not None
        assert expected.distribution.shape == (101,)
        assert expected.distribution.sum() == pytest.approx(1, abs=1e-9)
        assert expected.estimate_years == pytest.approx(median(expected.distribution))
        assert expected.low_years < expected.median_years < expected.high_years
        assert 20 < expected.estimate_years < 50  # she was 41, and the network says less or more
        assert expected.coverage is not None
        assert expected.interval == "90 %, calibrated"
        assert expected.interval_level == 0.9

    def test_face_and_quality_are_those_of_the_photo(self, expected: AgeEstimate) -> None:
        assert expected.face is not None
        assert expected.quality is not None
        np.testing.assert_allclose(expected.face.box_xyxy, [178, 57, 273, 177], atol=6)
        assert expected.quality.inter_eye_px == expected.face.inter_eye_px
        assert expected.refer is None

    @pytest.mark.parametrize(
        "form", ["path", "text", "bytes", "bytearray", "memoryview", "pil", "photo", "bgr", "rgba"]
    )
    def test_every_form_of_the_photo_gives_the_same_answer(
        self,
        form: str,
        estimator: AgeEstimator,
        astronaut: RGB,
        astronaut_png: Path,
        expected: AgeEstimate,
    ) -> None:
        content = astronaut_png.read_bytes()
        forms: dict[str, Any] = {
            "path": astronaut_png,
            "text": str(astronaut_png),
            "bytes": content,
            "bytearray": bytearray(content),
            "memoryview": memoryview(content),
            "pil": Image.fromarray(astronaut),
            "photo": Photo(astronaut, "mine"),
            "bgr": astronaut[:, :, ::-1],
            "rgba": np.dstack([astronaut, np.full((512, 512), 255, np.uint8)]),
        }
        same(only(estimator.estimate(forms[form], bgr=form == "bgr")), expected)

    def test_the_order_of_channels_matters(
        self, estimator: AgeEstimator, astronaut: RGB, expected: AgeEstimate
    ) -> None:
        swapped = only(estimator.estimate(astronaut, bgr=True))
        assert abs(swapped.estimate_years - expected.estimate_years) > 1e-3

    def test_the_row_says_how_it_was_made(
        self, estimator: AgeEstimator, astronaut_png: Path
    ) -> None:
        result = estimator.estimate(astronaut_png)
        assert (result.photo, result.message) == (str(astronaut_png), "")
        made = (result.model, result.detector, result.agelens_version)
        assert made == ("agelens-1", "retinaface", __version__)
        assert estimator.settings == dict(
            zip(("model", "detector", "agelens_version"), made, strict=True)
        )
        json.dumps(result.to_json(distribution=True), allow_nan=False)

    @pytest.mark.parametrize("side", ["left", "top", "right", "bottom"])
    def test_a_face_that_the_photos_edge_cuts_is_referred(
        self, side: str, estimator: AgeEstimator, astronaut: RGB, expected: AgeEstimate
    ) -> None:
        assert expected.face is not None
        assert expected.quality is not None
        assert expected.quality.visible_share == pytest.approx(1)
        left, top, right, bottom = expected.face.box_xyxy.astype(int)
        third = (right - left) // 3
        cut = {
            "left": astronaut[:, left + third :],
            "top": astronaut[top + third :],
            "right": astronaut[:, : right - third],
            "bottom": astronaut[: bottom - third],
        }[side]
        face = only(estimator.estimate(cut))
        assert face.quality is not None
        assert face.face is not None
        assert face.quality.visible_share is not None
        assert 0.4 < face.quality.visible_share < 0.9
        assert (face.face.box_xyxy >= 0).all()
        assert (face.face.box_xyxy <= [cut.shape[1], cut.shape[0]] * 2).all()
        if estimator.card.limits.min_visible_share is not None:
            assert "share of the face in the photo" in str(face.refer)

    @pytest.mark.parametrize("part", ["eyes", "mouth"])
    def test_a_face_that_is_covered_is_referred(
        self,
        part: str,
        estimator: AgeEstimator,
        astronaut: RGB,
        expected: AgeEstimate,
    ) -> None:
        assert expected.face is not None
        assert "covered" not in str(expected.refer)
        eye = expected.face.inter_eye_px
        points = expected.face.landmarks[:2] if part == "eyes" else expected.face.landmarks[2:]
        left, top = points.min(axis=0) - 0.5 * eye
        right, bottom = points.max(axis=0) + 0.5 * eye
        covered = astronaut.copy()
        top += 0.5 * eye if part == "mouth" else 0.2 * eye
        bottom -= 0.2 * eye if part == "eyes" else 0
        rows, columns = slice(int(top), int(bottom)), slice(int(left), int(right))
        covered[rows, columns] = 0 if part == "eyes" else (150, 190, 215)
        face = only(estimator.estimate(covered))
        if estimator.card.limits.max_dark_eyes is not None:
            assert f"the {part} may be covered" in str(face.refer)

    def test_a_negative_is_referred(
        self, estimator: AgeEstimator, astronaut: RGB, expected: AgeEstimate
    ) -> None:
        assert "negative" not in str(expected.refer)
        face = only(estimator.estimate(255 - astronaut))
        if estimator.card.limits.max_bright_eyes is not None:
            assert "the photo may be a negative" in str(face.refer)

    def test_a_photo_without_a_face(self, estimator: AgeEstimator) -> None:
        result = estimator.estimate(np.zeros((90, 90, 3), np.uint8))
        assert (result.status, result.message, result.faces) == ("no_face", "no face found", ())

    def test_without_a_face_in_a_large_photo_the_copys_size_is_told(
        self, estimator: AgeEstimator
    ) -> None:
        result = estimator.estimate(np.zeros((300, 1280, 3), np.uint8))
        assert result.message == (
            "no face found in a copy of 640 of its 1280 pixels; --small-faces or a larger "
            "longest_side finds smaller ones"
        )

    def test_faces_come_largest_first(self, estimator: AgeEstimator, head: RGB) -> None:
        sheet = np.zeros((230, 300, 3), np.uint8)
        sheet[120:216, 10:106] = head
        sheet[20:212, 108:300] = np.asarray(Image.fromarray(head).resize((192, 192)))
        faces = estimator.estimate(sheet).faces
        assert len(faces) == 2
        widths = [f.face.box_xyxy[2] - f.face.box_xyxy[0] for f in faces if f.face]
        assert widths[0] > 1.5 * widths[1]


class TestBadInput:
    @pytest.mark.parametrize(
        ("array", "words"),
        [
            (np.full((64, 64, 3), np.nan), "got float64"),
            (np.zeros((64, 64, 3), np.float32), "got float32"),
            (np.zeros((64, 64, 2), np.uint8), "[64, 64, 2]"),
            (np.zeros((3, 64, 64), np.uint8), "transpose(1, 2, 0)"),
            (np.zeros((2, 64, 64, 3), np.uint8), "one picture at a time"),
            (np.zeros((0, 64, 3), np.uint8), "no pixels"),
            (np.zeros(64, np.uint8), "[64]"),
            (np.zeros((64, 64, 3), np.int64), "got int64"),
        ],
    )
    def test_arrays_of_other_kinds_become_rows(
        self, array: np.ndarray, words: str, estimator: AgeEstimator, head: RGB
    ) -> None:
        bad, good = estimator.estimate([array, head])
        assert (bad.status, bad.photo, bad.faces) == ("unreadable", "<array>", ())
        assert words in bad.message
        assert good.status == "ok"

    def test_what_is_no_photo_at_all_becomes_a_row(self, estimator: AgeEstimator) -> None:
        nothing, number = estimator.estimate([None, 7])  # type: ignore[list-item]
        assert nothing.status == number.status == "unreadable"
        assert "got NoneType" in nothing.message

    def test_an_error_handed_in_keeps_its_name_and_status(self, estimator: AgeEstimator) -> None:
        result = estimator.estimate(PhotoError("gone", status="missing", source="a.jpg"))
        assert (result.photo, result.status, result.message) == ("a.jpg", "missing", "gone")

    def test_the_cap_on_pixels_is_the_callers(self, astronaut_png: Path) -> None:
        result = AgeEstimator(max_pixels=512 * 512 - 1).estimate(astronaut_png)
        assert result.status == "too_large"

    def test_unknown_names_list_the_known_ones(self) -> None:
        with pytest.raises(UnknownNameError, match="agelens-1, cc0-gender, cc0-resnet10"):
            AgeEstimator("resnet")
        with pytest.raises(UnknownNameError, match="dlib, mtcnn, retinaface"):
            AgeEstimator(detector="haar")
        with pytest.raises(UsageError, match="cpu, cuda"):
            AgeEstimator(device="gpu")

    def test_a_model_of_the_other_task_is_refused(self) -> None:
        with pytest.raises(CardError, match="cc0-gender answers gender, not age"):
            AgeEstimator("cc0-gender")
        with pytest.raises(CardError, match="cc0-resnet10 answers age, not gender"):
            AgeEstimator(gender="cc0-resnet10")


class TestMany:
    def test_a_list_is_answered_in_order_as_one_by_one(
        self, estimator: AgeEstimator, astronaut: RGB, head: RGB
    ) -> None:
        blank = np.zeros((60, 60, 3), np.uint8)
        photos: list[Any] = [head, blank, "none.jpg", astronaut, head[:, ::-1], b""]
        together = estimator.estimate(photos)
        assert [r.status for r in together] == [
            *("ok", "no_face", "missing", "ok", "ok", "unreadable"),
        ]
        for photo, result in zip(photos, together, strict=True):
            alone = estimator.estimate(photo)
            assert alone.status == result.status
            for ours, theirs in zip(result.faces, alone.faces, strict=True):
                same(ours, theirs)

    def test_sixty_four_photos_at_once_or_one_at_a_time(
        self, estimator: AgeEstimator, head: RGB
    ) -> None:
        photos = [np.roll(head, (n % 7 - 3, n // 7 - 4), axis=(0, 1)) for n in range(64)]
        together = estimator.estimate(photos)
        for photo, result in zip(photos[::9], together[::9], strict=True):
            same(only(result), only(estimator.estimate(photo)))
        assert len({only(result).estimate_years for result in together}) > 32

    def test_no_photos_give_no_results(self, estimator: AgeEstimator) -> None:
        assert estimator.estimate([]) == []

    def test_an_endless_source_streams(self, estimator: AgeEstimator, head: RGB) -> None:
        drawn = 0

        def endless() -> Iterator[RGB]:
            nonlocal drawn
            for drawn in itertools.count(1):  # noqa: B007 - counts what is drawn
                yield head

        results = estimator.stream(endless())
        assert [next(results).status for _ in range(3)] == ["ok"] * 3
        results.close()
        assert drawn < 200

    def test_drawing_sees_each_readable_photo_once(
        self, estimator: AgeEstimator, head: RGB
    ) -> None:
        seen: list[tuple[int, str]] = []
        photos: list[Any] = [head, "none.jpg", np.zeros((60, 60, 3), np.uint8)]

        def on_photo(photo: Photo, result: PhotoResult) -> None:
            seen.append((photo.rgb.shape[0], result.status))

        results = list(estimator.stream(photos, on_photo=on_photo))
        assert [r.status for r in results] == ["ok", "missing", "no_face"]
        assert seen == [(96, "ok"), (60, "no_face")]

    def test_a_failure_while_drawing_is_not_swallowed(
        self, estimator: AgeEstimator, head: RGB
    ) -> None:
        def on_photo(photo: Photo, result: PhotoResult) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            list(estimator.stream([head] * 3, on_photo=on_photo))

    def test_eight_threads_share_one_estimator(
        self, estimator: AgeEstimator, astronaut: RGB, head: RGB
    ) -> None:
        photos = [head, astronaut, head[:, ::-1], astronaut[:, ::-1]] * 4
        one_by_one = [estimator.estimate(photo).to_json(distribution=True) for photo in photos[:4]]
        with ThreadPoolExecutor(8) as pool:
            shared = list(pool.map(estimator.estimate, photos))
        assert [r.to_json(distribution=True) for r in shared] == one_by_one * 4


class TestChips:
    def chip(self, astronaut: RGB, estimator: AgeEstimator) -> Any:
        face = estimator.detector.detect(astronaut)[0]
        return SimilarityAligner(TEMPLATES["arcface-112"], SIDE, 0.08, "mirror").align(
            astronaut, face
        )

    def test_the_same_chip_gets_the_same_answer(
        self, estimator: AgeEstimator, astronaut: RGB, expected: AgeEstimate
    ) -> None:
        chip = self.chip(astronaut, estimator)
        forms = [[chip], [chip.rgb], chip.rgb[None], (chip, chip.rgb)]
        for estimate in itertools.chain(*map(estimator.estimate_chips, forms)):
            same(estimate, expected, tolerance=1e-9)
            assert estimate.face is None
            assert estimate.quality is None

    def test_many_chips_keep_their_order(self, estimator: AgeEstimator, astronaut: RGB) -> None:
        chip = self.chip(astronaut, estimator).rgb
        chips = np.stack([np.roll(chip, n, axis=0) for n in range(70)])
        together = estimator.estimate_chips(chips)
        assert len(together) == 70
        for n in (0, 31, 32, 69):
            same(together[n], estimator.estimate_chips(chips[n : n + 1])[0])

    def test_no_chips(self, estimator: AgeEstimator) -> None:
        assert estimator.estimate_chips([]) == []

    @pytest.mark.parametrize(
        "chips",
        [
            np.zeros((1, SIDE - 1, SIDE, 3), np.uint8),
            np.zeros((1, 112, 112, 3), np.uint8),
            np.zeros((1, SIDE, SIDE), np.uint8),
            np.zeros((1, SIDE, SIDE, 4), np.uint8),
            np.zeros((SIDE, SIDE, 3), np.uint8),
            np.zeros((1, SIDE, SIDE, 3), np.float32),
        ],
        ids=lambda chips: f"{chips.dtype}{chips.shape}",
    )
    def test_chips_of_another_kind_are_refused(
        self, chips: np.ndarray, estimator: AgeEstimator
    ) -> None:
        with pytest.raises(
            PhotoError, match=rf"uint8 chips of shape \({SIDE}, {SIDE}, 3\).*'arcface-112'"
        ):
            estimator.estimate_chips(chips)


class TestOptions:
    def test_mirror_averages_both_posteriors(self, estimator: AgeEstimator, astronaut: RGB) -> None:
        chip = TestChips().chip(astronaut, estimator).rgb
        plain, flipped = estimator.estimate_chips([chip, chip[:, ::-1]])
        both = AgeEstimator(mirror=True).estimate_chips([chip])[0]
        assert plain.distribution is not None
        assert both.distribution is not None
        assert flipped.distribution is not None
        mean = (plain.distribution + flipped.distribution) / 2
        np.testing.assert_allclose(both.distribution, mean, atol=1e-9)
        assert both.estimate_years == pytest.approx(median(mean))

    def test_gender_is_a_word_with_a_score(self, astronaut: RGB, expected: AgeEstimate) -> None:
        face = only(AgeEstimator(gender=True).estimate(astronaut))
        assert face.gender in ("female", "male")  # the default is in doubt here
        assert face.gender_score is not None
        assert 0.5 < face.gender_score <= 1
        same(face, expected, tolerance=1e-9)
        sure = only(AgeEstimator("cc0-resnet10", gender=True).estimate(astronaut))
        assert sure.gender == "female"
        assert sure.gender_score is not None
        assert 0.9 < sure.gender_score <= 1

    def test_gender_stays_with_its_face(self, astronaut: RGB, head: RGB) -> None:
        gendered = AgeEstimator(gender=True)
        blank = np.zeros((60, 60, 3), np.uint8)
        pair = np.hstack([head, head[:, ::-1]])
        results = gendered.estimate([pair, blank, astronaut])
        scores = [face.gender_score for result in results for face in result.faces]
        alone = [f.gender_score for p in (pair, astronaut) for f in gendered.estimate(p).faces]
        assert len(scores) == 3
        assert scores == pytest.approx(alone, abs=1e-5)

    def test_the_interval_has_the_asked_level(self, astronaut: RGB, expected: AgeEstimate) -> None:
        half = only(AgeEstimator(interval_level=0.5).estimate(astronaut))
        assert half.interval_level == 0.5
        assert expected.low_years < half.low_years < half.high_years < expected.high_years

    def test_a_detector_of_your_own(self, astronaut: RGB) -> None:
        strict = RetinaFace(score_threshold=0.99999)
        mine = AgeEstimator(detector=strict)
        assert mine.detector is strict
        assert mine.estimate(astronaut).status == "no_face"

    def test_longest_side_reaches_the_detector(self) -> None:
        assert AgeEstimator(longest_side=1920).detector.longest_side == 1920  # type: ignore[attr-defined]

    def test_small_faces_need_a_larger_search(self, head: RGB) -> None:
        large = np.full((960, 1280, 3), 128, np.uint8)
        large[400:464, 300:364] = np.asarray(Image.fromarray(head).resize((64, 64)))
        assert AgeEstimator().estimate(large).status == "no_face"
        assert AgeEstimator(longest_side=1920).estimate(large).status == "ok"

    def test_a_card_of_ones_own_with_limits_refers_beside_the_age(
        self, astronaut: RGB, tmp_path: Path, write_card: WriteCard
    ) -> None:
        def limit(document: dict[str, Any]) -> None:
            document["limits"] = {"min_inter_eye_px": 60, "max_yaw_proxy": 0.4}

        mine = AgeEstimator(write_card(tmp_path, change=limit).parent)
        face = only(mine.estimate(astronaut))
        assert face.refer == "inter-eye distance 43.5 px is below 60 px"
        assert 0 <= face.estimate_years <= 80
        assert mine.settings["model"] == "toy"

    def test_a_card_that_asks_for_rotate_and_crop(
        self, astronaut: RGB, tmp_path: Path, write_card: WriteCard
    ) -> None:
        def crop(document: dict[str, Any]) -> None:
            document["input"] |= {"alignment": "rotate-crop", "margin": 0.4}

        mine = AgeEstimator(write_card(tmp_path, change=crop).parent)
        turned = np.asarray(Image.fromarray(astronaut).rotate(20, expand=True))
        ages = [only(mine.estimate(photo)).estimate_years for photo in (astronaut, turned)]
        assert ages[0] == pytest.approx(ages[1], abs=1)


class TestOtherAnswers:
    """Networks that answer with something else than probabilities."""

    @pytest.fixture
    def spread(self, tmp_path: Path, write_card: WriteCard, toy_network: Any) -> AgeEstimator:
        card = write_card(
            tmp_path / "spread",
            toy_network(classes=2, last="Relu"),
            lambda document: document["output"].update(kind="mean-spread"),
        )
        return AgeEstimator(card)

    @pytest.fixture
    def ordinal(self, tmp_path: Path, write_card: WriteCard, toy_network: Any) -> AgeEstimator:
        card = write_card(
            tmp_path / "ordinal",
            toy_network(classes=80, last="Identity"),
            lambda document: document["output"].update(
                kind="ordinal-logits", point="rank", threshold=0.8
            ),
        )
        return AgeEstimator(card)

    def test_an_age_with_its_spread_has_no_distribution(
        self, spread: AgeEstimator, astronaut: RGB
    ) -> None:
        result = spread.estimate(astronaut)
        face = only(result)
        assert face.distribution is None
        assert face.answer is not None
        age, deviation = face.answer
        assert (face.estimate_years, face.median_years) == (age, age)
        assert face.high_years == pytest.approx(age + 1.6449 * deviation, abs=1e-3)
        assert face.low_years == pytest.approx(max(0, age - 1.6449 * deviation), abs=1e-3)
        row = result.to_json(distribution=True)
        assert "distribution" not in row["faces"][0]
        json.dumps(row, allow_nan=False)

    def test_ordinal_logits_count_ages(self, ordinal: AgeEstimator, astronaut: RGB) -> None:
        face = only(ordinal.estimate(astronaut))
        assert face.answer is not None
        assert face.distribution is not None
        assert face.answer.shape == (80,)
        assert face.distribution.shape == (81,)
        assert face.estimate_years == (1 / (1 + np.exp(-face.answer)) > 0.8).sum()
        assert face.low_years < face.median_years < face.high_years

    @pytest.mark.parametrize("kind", ["spread", "ordinal"])
    def test_videos_are_tracked(self, kind: str, head: RGB, request: pytest.FixtureRequest) -> None:
        mine: AgeEstimator = request.getfixturevalue(kind)
        tracked = list(mine.track([Photo(head, "clip", n, n / 10) for n in range(3)], bgr=False))
        for _, result in tracked:
            face = only(result)
            assert face.track is not None
            assert face.track.estimate_years == pytest.approx(face.estimate_years, abs=1e-6)

    def test_chips_as_shipped_are_estimated_and_photos_are_not(
        self, tmp_path: Path, astronaut: RGB, write_card: WriteCard
    ) -> None:
        card = write_card(
            tmp_path, change=lambda document: document["input"].update(alignment="as-shipped")
        )
        mine = AgeEstimator(card)
        assert len(mine.estimate_chips(np.zeros((2, 16, 16, 3), np.uint8))) == 2
        with pytest.raises(UsageError, match="that their owner had aligned"):
            mine.estimate(astronaut)
        with pytest.raises(UsageError, match="aligned=True"):
            next(mine.stream([astronaut]))
        with pytest.raises(UsageError, match="aligned=True"):
            next(mine.track([Photo(astronaut, "clip", 0, 0.0)], bgr=False))

    def test_aligned_pictures_are_taken_whole(
        self, tmp_path: Path, astronaut: RGB, write_card: WriteCard
    ) -> None:
        card = write_card(
            tmp_path, change=lambda document: document["input"].update(alignment="as-shipped")
        )
        mine = pickle.loads(pickle.dumps(AgeEstimator(card, aligned=True)))
        chip = cv2.resize(astronaut, (16, 16), interpolation=cv2.INTER_AREA)
        (face,) = mine.estimate(astronaut).faces
        (known,) = mine.estimate_chips([chip])
        assert face.estimate_years == known.estimate_years
        row = face.to_json()
        assert row["box_xyxy"] == [0, 0, *astronaut.shape[1::-1]]
        assert row["landmarks"] is row["detection_score"] is row["quality"]["yaw_proxy"] is None
        json.dumps(row, allow_nan=False)
        with pytest.raises(UsageError, match="tells no gender"):
            AgeEstimator(card, aligned=True, gender=True)


class TestTrack:
    def test_frames_keep_their_number_and_get_tracks(
        self, estimator: AgeEstimator, head: RGB
    ) -> None:
        frames: list[Photo | PhotoError] = [
            Photo(np.roll(head, n, axis=1), "clip.mp4", n, n / 10) for n in range(3)
        ]
        frames.append(PhotoError("cut", source="clip.mp4"))
        for live in (False, True):
            tracked = list(estimator.track(frames, bgr=False, live=live))
            assert [r.frame for _, r in tracked] == [0, 1, 2, None]
            assert [r.status for _, r in tracked] == ["ok", "ok", "ok", "unreadable"]
            assert [None if p is None else p.frame for p, _ in tracked] == [0, 1, 2, None]
            tracks = [only(r).track for _, r in tracked[:3]]
            assert [t.frames for t in tracks if t] == [1, 2, 3]

    def test_live_answers_each_frame_before_the_next_is_read(
        self, estimator: AgeEstimator, head: RGB
    ) -> None:
        read: list[int] = []

        def camera() -> Iterator[Photo]:
            for n in itertools.count():
                read.append(n)
                yield Photo(head, "camera:0", n, n / 10)

        results = estimator.track(camera(), bgr=False, live=True)
        for n in range(3):
            assert next(results)[1].frame == n
            assert read == list(range(n + 1))
        results.close()
