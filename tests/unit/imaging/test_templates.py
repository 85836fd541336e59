"""Templates: where points lie when the chip grows or shows more."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agelens.errors import UnknownNameError
from agelens.imaging.align import TEMPLATES, template_named


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_is_a_face_in_picture_order(name: str) -> None:
    template = template_named(name)
    left_eye, right_eye, nose, left_mouth, right_mouth = template.points
    assert template.name == name
    assert template.points.shape == (5, 2)
    assert ((template.points > 0) & (template.points < template.size)).all()
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_mouth[0] < right_mouth[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])


@pytest.mark.parametrize("name", TEMPLATES)
def test_its_own_size_without_margin_is_itself(name: str) -> None:
    template = TEMPLATES[name]
    np.testing.assert_allclose(template.points_in(template.size), template.points, atol=1e-12)


def test_known_points_of_arcface_in_twice_its_size() -> None:
    eye = TEMPLATES["arcface-112"].points_in(224)[0]
    # Pixel 38.2946 of 112 begins 38.7946 pixels from the edge; 77.5892 in the larger chip.
    np.testing.assert_allclose(eye, [77.0892, 103.8926], atol=1e-9)


@given(st.sampled_from(sorted(TEMPLATES)), st.integers(8, 512), st.floats(0, 3))
def test_size_and_margin_scale_about_the_middle_of_the_chip(
    name: str, size: int, margin: float
) -> None:
    template = TEMPLATES[name]
    middle = (size - 1) / 2
    points = template.points_in(size, margin)
    own = template.points - (template.size - 1) / 2
    np.testing.assert_allclose(
        points - middle, own * size / template.size / (1 + margin), atol=1e-9
    )


def test_an_unknown_name_lists_those_that_exist() -> None:
    with pytest.raises(UnknownNameError, match=r"'dlib-46'.*'dlib-64'.*arcface-112, dlib-64"):
        template_named("dlib-46")
