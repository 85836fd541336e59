from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agelens.data.store import choose_face
from agelens.records import Face

PICTURE = (200, 400)


def face(x1, y1, x2, y2):
    return Face(np.array([x1, y1, x2, y2], float), np.zeros((5, 2)), 0.9)


def by_size(faces):
    areas = [np.prod(f.box_xyxy[2:] - f.box_xyxy[:2]) for f in faces]
    return [faces[i] for i in np.argsort(-np.array(areas), kind="stable")]


def test_no_face_no_choice():
    assert choose_face([], PICTURE) is None
    assert choose_face([], PICTURE, np.array([0.0, 0, 10, 10])) is None


def test_largest_where_others_are_less_than_half_as_large():
    large, central = face(0, 0, 100, 100), face(170, 70, 230, 130)  # 3600 of 10000
    assert choose_face([large, central], PICTURE) is large


def test_most_central_among_large_ones():
    large, central = face(0, 0, 100, 100), face(160, 60, 240, 140)  # 6400 of 10000
    assert choose_face([large, central], PICTURE) is central


def test_larger_where_equally_central():
    outer, inner = face(150, 50, 250, 150), face(155, 55, 245, 145)
    assert choose_face([outer, inner], PICTURE) is outer


def test_labelled_box_decides_over_size():
    large, small = face(0, 0, 100, 100), face(300, 50, 340, 90)
    assert choose_face([large, small], PICTURE, np.array([295.0, 45, 345, 95])) is small


def test_overlap_comes_before_distance_of_centres():
    # The wide face shares more with the box, the thin one has the same centre.
    wide, thin = face(20, 0, 120, 100), face(48, 0, 52, 100)
    assert choose_face([wide, thin], PICTURE, np.array([0.0, 0, 100, 100])) is wide


def test_nearest_centre_where_none_overlaps():
    near, far = face(101, 0, 141, 50), face(0, 110, 60, 170)
    assert choose_face([far, near], PICTURE, np.array([50.0, 0, 100, 50])) is near


def test_somebody_far_from_the_label_is_nobody():
    label = np.array([0.0, 0, 50, 40])
    assert choose_face([face(76, 0, 126, 40)], PICTURE, label) is None  # 76 pixels away
    just = face(50, 0, 100, 40)  # 50 away, the label's longer side
    assert choose_face([just], PICTURE, label) is just


coordinates = st.floats(0, 300, allow_subnormal=False)
boxes = st.tuples(coordinates, coordinates, st.floats(5, 200), st.floats(5, 200)).map(
    lambda b: face(b[0], b[1], b[0] + b[2], b[1] + b[3])
)


@given(st.lists(boxes, min_size=1, max_size=6), boxes)
def test_choice_overlaps_most_by_plain_loops(faces, label):
    faces, box = by_size(faces), label.box_xyxy
    chosen = choose_face(faces, PICTURE, box)

    def overlap(f):
        x1, y1, x2, y2 = f.box_xyxy
        w = max(0.0, min(x2, box[2]) - max(x1, box[0]))
        h = max(0.0, min(y2, box[3]) - max(y1, box[1]))
        union = (x2 - x1) * (y2 - y1) + (box[2] - box[0]) * (box[3] - box[1]) - w * h
        return w * h / union

    best = max(map(overlap, faces))
    if best > 0:
        assert np.isclose(overlap(chosen), best)


@given(st.lists(boxes, min_size=1, max_size=6))
def test_without_a_label_somebody_large_is_chosen(faces):
    faces = by_size(faces)
    chosen = choose_face(faces, PICTURE)

    def area(f):
        return np.prod(f.box_xyxy[2:] - f.box_xyxy[:2])

    assert area(chosen) >= 0.5 * area(faces[0])
