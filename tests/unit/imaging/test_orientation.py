from __future__ import annotations

import io
import struct

import numpy as np
import pillow_heif
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps
from PIL.ExifTags import Base
from PIL.PngImagePlugin import PngInfo

from agelens.imaging.photos import exif_orientation, read_photo
from agelens.records import RGB

# How a camera held so stores an upright picture: the inverse of what each value asks for.
STORED = {
    1: lambda rgb: rgb,
    2: lambda rgb: rgb[:, ::-1],
    3: lambda rgb: rgb[::-1, ::-1],
    4: lambda rgb: rgb[::-1],
    5: lambda rgb: rgb.transpose(1, 0, 2),
    6: lambda rgb: np.rot90(rgb, 1),
    7: lambda rgb: rgb[::-1, ::-1].transpose(1, 0, 2),
    8: lambda rgb: np.rot90(rgb, -1),
}


def upright_picture() -> RGB:
    rgb = np.zeros((48, 64, 3), np.uint8)
    rgb[:16, :24] = (250, 30, 30)
    rgb[32:, :24] = (30, 250, 30)
    rgb[:16, 40:] = (30, 30, 250)
    return rgb


def exif(value: int) -> Image.Exif:
    block = Image.Exif()
    block[Base.ImageDescription] = "held askew"
    block[Base.Orientation] = value
    return block


def turned(value: int) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(STORED[value](upright_picture())))


def saved(file_format: str, value: int, **options: object) -> bytes:
    buffer = io.BytesIO()
    if file_format == "HEIF":
        heif = pillow_heif.from_pillow(turned(value))
        heif.save(buffer, exif=exif(value).tobytes(), **options)
    else:
        turned(value).save(buffer, file_format, exif=exif(value), **options)
    return buffer.getvalue()


@pytest.mark.parametrize("value", STORED)
@pytest.mark.parametrize(
    ("file_format", "options", "tolerance"),
    [
        ("PNG", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("JPEG", {"quality": 97, "subsampling": 0}, 3),
        ("AVIF", {"quality": 98, "subsampling": "4:4:4"}, 3),
        ("HEIF", {"quality": 98, "chroma": 444}, 3),
    ],
)
def test_every_turn_gives_the_same_pixels(
    file_format: str, options: dict[str, object], tolerance: int, value: int
) -> None:
    rgb = read_photo(saved(file_format, value, **options)).rgb
    assert rgb.flags.c_contiguous
    assert rgb.shape == (48, 64, 3)
    assert np.abs(rgb.astype(int) - upright_picture()).max() <= tolerance


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "TIFF"])
def test_a_pil_image_is_turned_once(file_format: str) -> None:
    content = saved(file_format, 6)
    with Image.open(io.BytesIO(content)) as image:
        first = read_photo(image).rgb
        second = read_photo(image).rgb
    np.testing.assert_array_equal(first, read_photo(content).rgb)
    np.testing.assert_array_equal(second, first)


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "I;16"])
def test_every_mode_turns(mode: str) -> None:
    grey = Image.new("L", (4, 6), 0)
    grey.putpixel((0, 0), 255)
    buffer = io.BytesIO()
    grey.convert(mode).save(buffer, "PNG", exif=exif(6))
    rgb = read_photo(buffer.getvalue()).rgb
    assert rgb.shape == (4, 6, 3)
    assert rgb[0, -1].min() == rgb.max()


@pytest.mark.parametrize("value", [3, 6])
def test_a_heic_that_says_its_turn_in_exif_alone(value: int) -> None:
    buffer = io.BytesIO()
    heif = pillow_heif.from_pillow(turned(value))
    heif.save(buffer, exif=exif(1).tobytes(), quality=98, chroma=444)
    content = buffer.getvalue()
    assert b"irot" not in content
    content = content.replace(exif(1).tobytes()[6:], exif(value).tobytes()[6:])
    rgb = read_photo(content).rgb
    assert rgb.shape == (48, 64, 3)
    assert np.abs(rgb.astype(int) - upright_picture()).max() <= 3


XMP = "<x:xmpmeta><rdf:Description {} /></x:xmpmeta>"


@pytest.mark.parametrize("said", ['tiff:Orientation="6"', "><tiff:Orientation>6</tiff:Orientation"])
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_a_turn_that_stands_in_xmp_alone(file_format: str, said: str) -> None:
    buffer = io.BytesIO()
    xmp = XMP.format(said)
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", xmp)
    options = {"pnginfo": info} if file_format == "PNG" else {"xmp": xmp.encode(), "quality": 97}
    turned(6).save(buffer, file_format, **options)
    rgb = read_photo(buffer.getvalue()).rgb
    assert rgb.shape == (48, 64, 3)
    assert np.abs(rgb.astype(int) - upright_picture())[2:14, 2:22].max() <= 9
    with Image.open(buffer) as image:
        assert ImageOps.exif_transpose(image).size == (64, 48)  # Pillow does so too


@pytest.mark.parametrize("said", ["tiff:Orientation='6'", 'tiff:Orientation = "6"'])
def test_xmp_as_xml_may_also_be_written(said: str) -> None:
    buffer = io.BytesIO()
    turned(6).save(buffer, "JPEG", xmp=XMP.format(said).encode())
    assert read_photo(buffer.getvalue()).rgb.shape == (48, 64, 3)


def test_exif_counts_more_than_xmp() -> None:
    buffer = io.BytesIO()
    xmp = XMP.format('tiff:Orientation="6"').encode()
    turned(1).save(buffer, "JPEG", exif=exif(1), xmp=xmp)
    assert read_photo(buffer.getvalue()).rgb.shape == (48, 64, 3)


def test_exif_that_imagemagick_wrote_as_text_into_png() -> None:
    info = PngInfo()
    info.add_text("Raw profile type exif", f"\nexif\n{8}\n{exif(6).tobytes().hex()}\n")
    buffer = io.BytesIO()
    turned(6).save(buffer, "PNG", pnginfo=info)
    np.testing.assert_array_equal(read_photo(buffer.getvalue()).rgb, upright_picture())


@pytest.mark.parametrize("text", ["", "\nexif\n8\nnot hex\n"])
def test_text_that_is_no_exif_is_passed_over(text: str) -> None:
    info = PngInfo()
    info.add_text("Raw profile type exif", text)
    buffer = io.BytesIO()
    turned(1).save(buffer, "PNG", pnginfo=info)
    np.testing.assert_array_equal(read_photo(buffer.getvalue()).rgb, upright_picture())


def test_damaged_entries_neither_warn_nor_hide_the_orientation() -> None:
    entry = struct.pack("<HHII", Base.ImageDescription, 2, 9_999, 60_000)  # points past the end
    orientation = struct.pack("<HHIHH", Base.Orientation, 3, 1, 6, 0)
    block = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + entry + orientation
    buffer = io.BytesIO()
    turned(6).save(buffer, "JPEG", quality=97, subsampling=0, exif=block)
    rgb = read_photo(buffer.getvalue()).rgb  # a warning would be an error here
    assert np.abs(rgb.astype(int) - upright_picture()).max() <= 3


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("kind", "layout"), [(1, "Bxxx"), (3, "Hxx"), (4, "I")])
def test_both_byte_orders_and_all_integer_types(order: str, kind: int, layout: str) -> None:
    mark = {"<": b"II*\0", ">": b"MM\0*"}[order]
    head = struct.pack(f"{order}IHHHI", 8, 1, Base.Orientation, kind, 1)
    assert exif_orientation(mark + head + struct.pack(order + layout, 8)) == 8


def test_a_mark_that_was_written_twice() -> None:
    entry = struct.pack("<IHHHIHH", 8, 1, Base.Orientation, 3, 1, 6, 0)
    assert exif_orientation(b"Exif\0\0" * 2 + b"II*\0" + entry) == 6


@pytest.mark.parametrize("value", [0, 9, 255])
def test_values_without_meaning_turn_nothing(value: int) -> None:
    buffer = io.BytesIO()
    turned(1).save(buffer, "PNG", exif=exif(value))
    np.testing.assert_array_equal(read_photo(buffer.getvalue()).rgb, upright_picture())


@given(st.sampled_from([b"", b"Exif\0\0", b"II*\0", b"MM\0*\0\0\0\x08"]), st.binary())
def test_any_block_gives_a_number(head: bytes, tail: bytes) -> None:
    assert exif_orientation(head + tail) >= 0
