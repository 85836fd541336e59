"""Which faces of a photo are embedded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeAlias

from agelens.data.store.choice import choose_face
from agelens.records import Face, Floats

FaceChoice: TypeAlias = Callable[[Sequence[Face], tuple[int, int]], Sequence[Face | None]]
"""Faces to embed out of those found, largest first, in a photo of this height and width; None
stands for one that was looked for and is not there."""


def every_face(faces: Sequence[Face], picture_hw: tuple[int, int]) -> Sequence[Face | None]:  # noqa: ARG001
    """All of them."""
    return faces


def largest_face(faces: Sequence[Face], picture_hw: tuple[int, int]) -> Sequence[Face | None]:  # noqa: ARG001
    """The largest alone."""
    return faces[:1]


def only_face(faces: Sequence[Face], picture_hw: tuple[int, int]) -> Sequence[Face | None]:  # noqa: ARG001
    """The face of a photo with one; none of a photo with several."""
    return faces if len(faces) == 1 else ()


FACE_CHOICES: Final[dict[str, FaceChoice]] = {"refuse": only_face, "largest": largest_face}


def labelled_faces(boxes: Sequence[Floats | None]) -> FaceChoice:
    """For each labelled box the face that `agelens.data.store.choice` takes for it."""
    return partial(_labelled, boxes)


def _labelled(
    boxes: Sequence[Floats | None], faces: Sequence[Face], picture_hw: tuple[int, int]
) -> Sequence[Face | None]:
    return [choose_face(faces, picture_hw, box) for box in boxes]
