"""Copies of a photo stay near, other photos do not."""

import io

import numpy as np
import pytest
import skimage.data
from PIL import Image, ImageEnhance, ImageOps

from agelens.data.auditing.duplicates import near_duplicate_groups
from agelens.data.auditing.pictures import WORDS, perceptual_hash


def jpeg(image: Image.Image) -> Image.Image:
    stored = io.BytesIO()
    image.save(stored, "JPEG", quality=50)
    return Image.open(stored).convert("RGB")


COPIES = {
    "same": lambda image: image,
    "jpeg": jpeg,
    "half": lambda image: image.resize((image.width // 2, image.height // 2)),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.8),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    "cropped": lambda image: ImageOps.crop(image, round(image.width * 0.01)),
}


def grouped(one: Image.Image, other: Image.Image) -> bool:
    hashes = np.stack([perceptual_hash(np.asarray(image)) for image in (one, other)])
    return len(set(near_duplicate_groups(hashes))) == 1


@pytest.mark.parametrize("change", COPIES.values(), ids=COPIES)
def test_copies_are_found(astronaut, change):
    image = Image.fromarray(astronaut)
    assert grouped(image, change(image))


def test_other_pictures_and_mirror_images_are_not(astronaut):
    image = Image.fromarray(astronaut)
    assert not grouped(image, Image.fromarray(skimage.data.chelsea()))
    assert not grouped(image, ImageOps.mirror(image))


def test_the_mirrored_hash_is_that_of_the_mirror_image(astronaut):
    mirrored = perceptual_hash(astronaut, mirrored=True)
    both = np.stack([perceptual_hash(astronaut[:, ::-1].copy()), mirrored])
    assert mirrored.shape == (WORDS,)
    assert len(set(near_duplicate_groups(both))) == 1


def test_a_flat_picture_has_no_hash():
    assert perceptual_hash(np.full((50, 50, 3), 90, np.uint8)) is None
