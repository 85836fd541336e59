"""JPEG that was overwritten in its middle, and many that were not."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
from PIL import Image

from agelens.errors import PhotoError
from agelens.imaging.photos import read_photo
from agelens.records import RGB


def jpeg(rgb: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "JPEG", **options)
    return file.getvalue()


def overwritten(content: bytes, count: int) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes(count) + content[middle + count :]


@pytest.mark.parametrize("quality", [10, 75, 100])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_zeros_in_the_middle_are_refused(quality: int, subsampling: int, astronaut: RGB) -> None:
    content = jpeg(astronaut, quality=quality, subsampling=subsampling)
    assert read_photo(io.BytesIO(content)).rgb.shape == astronaut.shape
    for count in (80, len(content) // 3):
        broken = overwritten(content, count)
        with pytest.raises(PhotoError, match="overwritten with zeros") as refusal:
            read_photo(io.BytesIO(broken), name="photo.jpg")
        assert refusal.value.status == "unreadable"
        at = int(str(refusal.value).split("bytes ")[1].split(" and")[0].replace(",", ""))
        assert abs(at - len(content) // 2) < 3


def test_grey_is_looked_at_too(astronaut: RGB) -> None:
    content = jpeg(astronaut[:, :, 0])
    with pytest.raises(PhotoError, match="overwritten with zeros"):
        read_photo(io.BytesIO(overwritten(content, 100)))


def test_no_picture_is_taken_for_an_overwritten_one(astronaut: RGB) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    flat = [np.full((600, 800, 3), level, np.uint8) for level in (0, 128, 255)]
    pictures = [astronaut, astronaut[:, :, 1], noise, np.zeros((600, 800), np.uint8), *flat]
    ways = itertools.product((1, 50, 95, 100), (False, True), (False, True))
    for quality, optimize, progressive in ways:
        for picture in pictures:
            content = jpeg(picture, quality=quality, optimize=optimize, progressive=progressive)
            trailing = content + bytes(500)  # as some cameras leave it behind the picture
            whole = read_photo(io.BytesIO(trailing)).rgb
            np.testing.assert_array_equal(whole, Image.open(io.BytesIO(content)).convert("RGB"))


def test_headers_that_end_anywhere_say_nothing_new(astronaut: RGB) -> None:
    content = jpeg(astronaut[:64, :64])
    for end in range(2, 700, 7):
        with pytest.raises(PhotoError) as refusal:
            read_photo(io.BytesIO(content[:end]), name="photo.jpg")
        assert "zeros" not in str(refusal.value)
