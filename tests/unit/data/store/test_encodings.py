from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from agelens.data.store.card import ChipEncoding, decode_chip
from agelens.errors import UnknownNameError, UsageError


@pytest.fixture
def chip(portrait):
    return cv2.resize(portrait, (64, 64), interpolation=cv2.INTER_AREA)


def test_png_keeps_every_pixel(chip):
    encoded = ChipEncoding("png").encode(chip)
    assert np.array_equal(decode_chip(encoded), chip)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(encoded))), chip)  # red stays red


@pytest.mark.parametrize("name", ["jpeg", "webp"])
def test_lossy_stays_near(chip, name):
    decoded = decode_chip(ChipEncoding(name).encode(chip)).astype(int)
    assert np.abs(decoded - chip).mean() < 2.5


def test_jpeg_keeps_full_colour_resolution(chip):
    red = np.zeros_like(chip)
    red[:, ::2, 0] = 255  # stripes one pixel wide would blur to pink where chroma is halved
    decoded = decode_chip(ChipEncoding("jpeg", 100).encode(red)).astype(int)
    assert np.abs(decoded - red).max() < 8


def test_lower_quality_is_smaller(chip):
    small, large = (len(ChipEncoding("jpeg", quality).encode(chip)) for quality in (40, 95))
    assert small < large


def test_default_quality_is_said():
    assert ChipEncoding().quality == 95
    assert ChipEncoding("png").quality is None


def test_decodes_into_what_is_given(chip):
    out = np.empty_like(chip)
    assert decode_chip(ChipEncoding("png").encode(chip), out) is not None
    assert np.array_equal(out, chip)


def test_damage_and_other_sizes_are_none(chip):
    assert decode_chip(b"no picture") is None
    encoded = ChipEncoding("png").encode(chip)
    assert decode_chip(encoded, np.empty((32, 32, 3), np.uint8)) is None


def test_wrong_options():
    with pytest.raises(UnknownNameError, match="jpeg, png, webp"):
        ChipEncoding("tiff")
    with pytest.raises(UsageError, match="PNG has no quality"):
        ChipEncoding("png", 90)
    with pytest.raises(UsageError, match="1 to 100"):
        ChipEncoding("jpeg", 101)
