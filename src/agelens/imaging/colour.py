"""Pixels of any kind to sRGB: what a profile, an alpha channel or 16 bits mean for a face.

Embedded ICC profiles are followed (phones write Display P3), transparency lies over
white, 16-bit grey is scaled and not cut off.
"""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO
from typing import Final

import numpy as np
from PIL import Image, ImageCms

from agelens.errors import PhotoError
from agelens.records import RGB

_SIXTEEN_BIT_MODES: Final = {"I", "I;16", "I;16L", "I;16B", "I;16N"}
_WHITE_16_BIT: Final = 65535
_MODE_OF_PROFILE: Final = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
_SAME_COLOUR: Final = 2


def srgb_pixels(image: Image.Image, name: str) -> RGB:
    """The pixels of a loaded `image` as uint8 sRGB [H, W, 3], C-contiguous, perhaps read-only.

    Raises:
        PhotoError: the pixels have no defined white: floats, or integers beyond 16 bits.
            The message calls the photo `name`.
    """
    if image.mode in _SIXTEEN_BIT_MODES:
        image = _eight_bits(image, name)
    if image.mode == "F":
        raise PhotoError(
            f"{name}: its pixels are 32-bit floats, which say nowhere how bright white is; "
            "save it with 8 or 16 bits a channel"
        )
    if image.has_transparency_data:
        image = _over_white(image)
    profile = image.info.get("icc_profile")
    if profile:
        image = _converted(image, profile)
    if image.mode != "RGB":
        image = image.convert("RGB")
    return np.asarray(image, dtype=np.uint8)


def _eight_bits(image: Image.Image, name: str) -> Image.Image:
    """16-bit grey divided by 257, rounded: 65535 / 257 = 255. A profile stays with it."""
    levels = np.asarray(image)
    if levels.min() < 0 or levels.max() > _WHITE_16_BIT:
        raise PhotoError(
            f"{name}: its grey levels leave 0..{_WHITE_16_BIT}, so white is unknown; "
            "save it with 8 or 16 bits a channel"
        )
    grey = Image.fromarray(((levels.astype(np.uint32) + 128) // 257).astype(np.uint8))
    if "icc_profile" in image.info:
        grey.info["icc_profile"] = image.info["icc_profile"]
    return grey


def _over_white(image: Image.Image) -> Image.Image:
    """RGB of `image` on a white ground, for alpha channels, colour keys and clear palettes."""
    rgba = image.convert("RGBA")
    ground = Image.new("RGB", rgba.size, "white")
    ground.paste(rgba, mask=rgba)
    if "icc_profile" in image.info:
        ground.info["icc_profile"] = image.info["icc_profile"]
    return ground


def _converted(image: Image.Image, profile: bytes) -> Image.Image:
    """`image` in sRGB; itself where its profile is sRGB, damaged, or for other channels."""
    transform = _to_srgb(profile)
    if transform is None:
        return image
    if image.mode == transform.input_mode:
        return transform.apply(image)
    if transform.input_mode == "RGB" and image.mode != "CMYK":  # grey and palettes
        return transform.apply(image.convert("RGB"))
    return image


@lru_cache(maxsize=16)
def _to_srgb(profile: bytes) -> ImageCms.ImageCmsTransform | None:
    """How to bring pixels from `profile` to sRGB; None where there is nothing, or no way, to do.

    littlecms is safe to share: a transform is only read while it is applied.
    """
    try:
        source = ImageCms.getOpenProfile(BytesIO(profile))
        mode = _MODE_OF_PROFILE.get(source.profile.xcolor_space.strip())
        if mode is None:
            return None
        srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        transform = ImageCms.ImageCmsTransform(source, srgb, mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):  # damaged: colours stay as they are written
        return None
    return None if _changes_nothing(transform) else transform


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether no colour of a coarse grid moves by more than 2 of 255: sRGB under another name.

    Names don't tell: files call the same sRGB "sRGB IEC61966-2.1", "c2" or nothing.
    """
    if transform.input_mode == "CMYK":
        return False
    steps = np.linspace(0, 255, 9).astype(np.uint8)
    grid = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
    if transform.input_mode == "L":
        grid = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    asked = Image.fromarray(grid)
    answered = np.asarray(transform.apply(asked.convert(transform.input_mode)), dtype=np.int16)
    return int(np.abs(answered - grid).max()) <= _SAME_COLOUR
