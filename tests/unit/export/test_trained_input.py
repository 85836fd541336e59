"""The card's section on chips, from a store's settings and the network's transform."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agelens.export.export_network import TrainedInput

Seen = Callable[..., TrainedInput]


def test_numbers_are_of_bytes_and_of_the_stores_chips(seen: Seen) -> None:
    section = seen(24, enlarge=1.25).to_json()
    assert section["size"] == 24
    assert section["mean"] == pytest.approx([127.5, 102, 76.5])
    assert section["std"] == pytest.approx([51, 76.5, 102])
    assert section["color_order"] == "RGB"
    assert (section["alignment"], section["template"]) == ("similarity", "dlib-64")
    assert (section["margin"], section["detector"]) == (0.25, "retinaface")
    assert (section["resized_inside_to"], section["cropped_inside_to"]) == (20, 16)


@pytest.mark.parametrize("alignment", ["rotate-crop", "as-shipped"])
def test_ways_without_a_template_are_named_in_its_place(alignment: str, seen: Seen) -> None:
    chips = seen(alignment=alignment, template=None).chip_input
    assert (chips.alignment, chips.template) == (alignment, alignment)
