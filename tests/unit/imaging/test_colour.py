from __future__ import annotations

import io
import struct
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from agelens.imaging.photos import read_photo
from agelens.records import RGB


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def swapped_profile() -> bytes:
    """sRGB with its red and green primaries exchanged, so that conversion swaps channels."""
    content = srgb_profile()
    spare = content.replace(b"rXYZ", b"????", 1).replace(b"gXYZ", b"rXYZ", 1)
    return spare.replace(b"????", b"gXYZ", 1)


def profile(space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    """A version 2 ICC profile that holds `tags` (ICC.1:2001-04, clause 6)."""
    table, body = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    header = struct.pack(
        ">I4sI4s4s4s", start + len(body), b"none", 0x02400000, b"prtr", space, connection
    )
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">iii", 0xF6D6, 0x10000, 0xD32D)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def grey_profile(gamma: float) -> bytes:
    white = b"XYZ " + bytes(4) + struct.pack(">iii", 0xF6D6, 0x10000, 0xD32D)
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256))
    return profile(b"GRAY", b"XYZ ", {b"wtpt": white, b"kTRC": curve})


def cmyk_profile() -> bytes:
    """Ink that darkens only by black: L* = 100 - K, with neutral a* and b*."""
    ramp = bytes(range(256))
    grid = b"".join(
        bytes([0 if corner & 1 else 255, 128, 128])
        for corner in range(16)  # black varies fastest
    )
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0])
    lut += struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x10000)
    lut += ramp * 4 + grid + ramp * 3
    white = b"XYZ " + bytes(4) + struct.pack(">iii", 0xF6D6, 0x10000, 0xD32D)
    return profile(b"CMYK", b"Lab ", {b"wtpt": white, b"A2B0": lut})


def saved(image: Image.Image, file_format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def pixel(content: bytes) -> list[int]:
    rgb = read_photo(content).rgb
    assert rgb.flags.c_contiguous
    return [int(value) for value in rgb[0, 0]]


def ramp() -> RGB:
    return np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, axis=2)


class TestModes:
    @pytest.mark.parametrize("mode", ["L", "RGB", "P"])
    def test_grey_ramp_survives(self, mode: str) -> None:
        content = saved(Image.fromarray(ramp()).convert("L").convert(mode))
        np.testing.assert_array_equal(read_photo(content).rgb, ramp())

    def test_bilevel(self) -> None:
        image = Image.new("1", (9, 2), 1)
        image.putpixel((0, 0), 0)
        rgb = read_photo(saved(image)).rgb
        assert rgb[0, 0].tolist() == [0, 0, 0]
        assert rgb[1:].min() == 255

    @pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
    def test_sixteen_bit_grey_is_divided_by_257(self, file_format: str) -> None:
        levels = np.array([[0, 128, 129, 257, 32_768, 65_278, 65_406, 65_407, 65_535]], np.uint16)
        rgb = read_photo(saved(Image.fromarray(levels), file_format)).rgb
        assert rgb[0, :, 0].tolist() == [0, 0, 1, 1, 128, 254, 254, 255, 255]
        np.testing.assert_array_equal(rgb[..., 0], np.round(levels / 257))

    @pytest.mark.parametrize("byteorder", ["<", ">"])
    @pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.int32])
    def test_tiffs_of_either_byte_order(self, byteorder: str, dtype: type[np.integer]) -> None:
        buffer = io.BytesIO()
        levels = np.array([[0, 257, 25_700, 32_639]], dtype)
        tifffile.imwrite(buffer, levels, byteorder=byteorder, photometric="minisblack")
        assert read_photo(buffer.getvalue()).rgb[0, :, 1].tolist() == [0, 1, 100, 127]

    def test_sixteen_bit_colour_keeps_its_high_bytes(self) -> None:
        buffer = io.BytesIO()
        wide = np.repeat(ramp().astype(np.uint16) * 257, 2, axis=0)
        tifffile.imwrite(buffer, wide, photometric="rgb")
        np.testing.assert_array_equal(read_photo(buffer.getvalue()).rgb[:1], ramp())

    def test_cmyk(self) -> None:
        inks = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
        assert pixel(saved(inks, "TIFF")) == [255, 0, 0]
        red = pixel(saved(inks, "JPEG", quality=97))  # Pillow writes it inverted, as Adobe does
        assert np.abs(np.subtract(red, [255, 0, 0])).max() <= 3

    @pytest.mark.parametrize("mode", ["HSV", "YCbCr", "RGBX", "LAB"])
    def test_other_modes_of_pil_images(self, mode: str) -> None:
        image = Image.new("RGB", (3, 2), (200, 100, 50)).convert(mode)
        expected = np.asarray(image.convert("RGB"))
        np.testing.assert_array_equal(read_photo(image).rgb, expected)


class TestTransparency:
    @pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
    def test_alpha_lies_over_white(self, file_format: str) -> None:
        for alpha, expected in ((0, [255, 255, 255]), (255, [100, 50, 0]), (51, [224, 214, 204])):
            image = Image.new("RGBA", (4, 4), (100, 50, 0, alpha))
            assert pixel(saved(image, file_format)) == expected

    def test_grey_with_alpha(self) -> None:
        assert pixel(saved(Image.new("LA", (4, 4), (100, 0)))) == [255] * 3
        assert pixel(saved(Image.new("LA", (4, 4), (100, 255)))) == [100] * 3

    def test_premultiplied_alpha(self) -> None:
        image = Image.new("RGBA", (2, 2), (100, 50, 0, 51)).convert("RGBa")
        assert np.abs(read_photo(image).rgb[0, 0] - np.array([224, 214, 204])).max() <= 2

    @pytest.mark.parametrize(("alpha", "expected"), [(0, 255), (255, 100)])
    def test_palette_with_alpha_channel(self, alpha: int, expected: int) -> None:
        palette = Image.new("L", (2, 2), 100).convert("P")
        image = Image.merge("PA", (palette, Image.new("L", (2, 2), alpha)))
        image.putpalette([level for level in range(256) for _ in range(3)])
        assert read_photo(image).rgb.tolist() == [[[expected] * 3] * 2] * 2

    @pytest.mark.parametrize("transparency", [1, b"\xff\x00"])
    def test_palette(self, transparency: int | bytes) -> None:
        image = Image.new("P", (2, 1))
        image.putpalette([10, 20, 30, 40, 50, 60])
        image.putpixel((1, 0), 1)
        rgb = read_photo(saved(image, transparency=transparency)).rgb
        assert rgb.tolist() == [[[10, 20, 30], [255, 255, 255]]]
        assert read_photo(saved(image)).rgb.tolist() == [[[10, 20, 30], [40, 50, 60]]]

    def test_colour_key(self) -> None:
        image = Image.new("RGB", (2, 1), (1, 2, 3))
        image.putpixel((1, 0), (9, 9, 9))
        rgb = read_photo(saved(image, transparency=(1, 2, 3))).rgb
        assert rgb.tolist() == [[[255, 255, 255], [9, 9, 9]]]

    def test_grey_key(self) -> None:
        image = Image.fromarray(np.array([[5, 6]], np.uint8))
        assert read_photo(saved(image, transparency=5)).rgb[..., 0].tolist() == [[255, 6]]

    @pytest.mark.parametrize("file_format", ["GIF", "WEBP"])
    def test_other_formats(self, file_format: str) -> None:
        options = {"lossless": True} if file_format == "WEBP" else {}
        clear = Image.new("RGBA", (4, 4), (100, 50, 0, 0))
        assert pixel(saved(clear, file_format, **options)) == [255, 255, 255]


class TestProfiles:
    def test_srgb_leaves_pixels_untouched(self) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
        content = saved(Image.fromarray(noise), icc_profile=srgb_profile())
        np.testing.assert_array_equal(read_photo(content).rgb, noise)

    @pytest.mark.parametrize(
        ("file_format", "options"),
        [("PNG", {}), ("JPEG", {"quality": 100}), ("TIFF", {}), ("WEBP", {"lossless": True})],
    )
    def test_other_profiles_are_converted(
        self, file_format: str, options: dict[str, object]
    ) -> None:
        content = saved(
            Image.new("RGB", (8, 8), (250, 40, 40)),
            file_format,
            icc_profile=swapped_profile(),
            **options,
        )
        assert np.abs(np.subtract(pixel(content), [40, 250, 40])).max() <= 3

    def test_profile_holds_for_palettes_and_under_transparency(self) -> None:
        icc = swapped_profile()
        rgba = Image.new("RGBA", (2, 1), (250, 40, 40, 255))
        rgba.putpixel((1, 0), (0, 0, 0, 0))
        rgb = read_photo(saved(rgba, icc_profile=icc)).rgb.astype(int)
        assert np.abs(rgb - [[[40, 250, 40], [255, 255, 255]]]).max() <= 3
        flat = Image.new("RGB", (2, 1), (250, 40, 40)).quantize(4)
        assert np.abs(np.subtract(pixel(saved(flat, icc_profile=icc)), [40, 250, 40])).max() <= 3

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_grey_profile(self, dtype: type[np.integer]) -> None:
        level = 128 if dtype == np.uint8 else 128 * 257
        image = Image.fromarray(np.full((2, 2), level, dtype))
        linear = 128 / 255
        srgb = 255 * (1.055 * linear ** (1 / 2.4) - 0.055)
        got = pixel(saved(image, icc_profile=grey_profile(1.0)))
        assert np.abs(np.subtract(got, srgb)).max() <= 1

    def test_grey_photo_with_a_colour_profile(self) -> None:
        image = Image.new("L", (2, 2), 77)
        assert pixel(saved(image, icc_profile=srgb_profile())) == [77, 77, 77]

    @pytest.mark.parametrize("file_format", ["TIFF", "JPEG"])
    def test_cmyk_profile(self, file_format: str) -> None:
        icc = cmyk_profile()
        for inks, grey in (((200, 200, 200, 0), 255), ((0, 0, 0, 255), 0), ((0, 0, 0, 128), 118)):
            content = saved(Image.new("CMYK", (8, 8), inks), file_format, icc_profile=icc)
            assert np.abs(np.subtract(pixel(content), grey)).max() <= 2

    @pytest.mark.parametrize(
        "icc",
        [b"not a profile", srgb_profile()[:200], grey_profile(1.0), cmyk_profile(), bytes(128)],
        ids=["text", "cut short", "grey", "cmyk", "zeros"],
    )
    def test_a_profile_that_does_not_fit_is_passed_over(self, icc: bytes) -> None:
        content = saved(Image.new("RGB", (2, 2), (200, 100, 50)), icc_profile=icc)
        assert pixel(content) == [200, 100, 50]

    def test_threads_share_one_profile(self) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (16, 50, 50, 3), dtype=np.uint8)
        icc = swapped_profile()
        contents = [saved(Image.fromarray(rgb), icc_profile=icc) for rgb in noise]
        alone = [read_photo(content).rgb for content in contents]
        with ThreadPoolExecutor(8) as pool:
            together = list(pool.map(lambda content: read_photo(content).rgb, contents))
        np.testing.assert_array_equal(alone, together)
        assert (np.asarray(alone) != noise).any()
