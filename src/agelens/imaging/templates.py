"""Named templates: where the five landmarks of an aligned face belong in a chip.

A model sees only chips of the template that its card names, in training and in use.
Points are pixels of a chip of the template's own size, in the landmark order of
`agelens.records.Face`; pixel 0 is the centre of the first pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from agelens.errors import UnknownNameError
from agelens.records import Floats

TIGHTEST_MARGIN: Final = -0.5
WIDEST_MARGIN: Final = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """Five landmark positions [5, 2] in a square chip of `size` pixels."""

    name: str
    size: int
    points: Floats

    def points_in(self, size: int, margin: float = 0.0) -> Floats:
        """The points [5, 2] in a chip of `size` pixels that shows more of the surroundings.

        Args:
            size: side of the chip in pixels.
            margin: 0 shows the template's own frame; 0.4 a frame 1.4 times as wide, -0.16 one
                of 0.84 times.
        """
        centred = (self.points + 0.5) / self.size - 0.5
        return (centred / (1.0 + margin) + 0.5) * size - 0.5


def _template(name: str, size: int, *points: tuple[float, float]) -> Template:
    return Template(name, size, np.array(points, dtype=np.float64))


TEMPLATES: Final[dict[str, Template]] = {
    template.name: template
    for template in (
        # Where RetinaFace sees the five points in a chip that dlib cut with padding 0.2: the
        # frame that the CC0 networks were trained on.
        _template(
            "dlib-64", 64, (19.4, 18.4), (43.5, 18.6), (31.2, 33.8), (21.1, 42.9), (41.8, 43.0)
        ),
        # The frame of ArcFace (Deng et al., CVPR 2019), common to face recognition networks.
        _template(
            "arcface-112",
            112,
            (38.2946, 51.6963),
            (73.5318, 51.5014),
            (56.0252, 71.7366),
            (41.5493, 92.3655),
            (70.7299, 92.2041),
        ),
    )
}


def template_named(name: str) -> Template:
    """The template called `name`.

    Raises:
        UnknownNameError: no template has that name; the message lists those that exist.
    """
    if name not in TEMPLATES:
        raise UnknownNameError("template", name, TEMPLATES)
    return TEMPLATES[name]
