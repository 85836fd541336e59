from __future__ import annotations

import base64
import io
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import tracemalloc
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from agelens.errors import PhotoError
from agelens.imaging.photos import DEFAULT_MAX_PIXELS, display_name, read_photo, source_name
from agelens.records import RGB, Photo

HEIGHT, WIDTH = 48, 64
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "HEIF", "AVIF")
NOBODY = 65534


def picture() -> RGB:
    """Flat patches, no two corners alike, so that lossy formats keep them."""
    rgb = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    rgb[:16, :20] = (250, 30, 30)
    rgb[32:, :20] = (30, 250, 30)
    rgb[:16, 40:] = (30, 30, 250)
    rgb[20:28, 25:35] = 255
    return rgb


def encoded(file_format: str, image: Image.Image | None = None) -> bytes:
    image = Image.fromarray(picture()) if image is None else image
    buffer = io.BytesIO()
    if file_format == "HEIF":
        pillow_heif.from_pillow(image).save(buffer, quality=98, chroma=444)
    else:
        image.save(
            buffer, file_format, **{"quality": 97} if file_format in {"JPEG", "AVIF"} else {}
        )
    return buffer.getvalue()


def noisy(file_format: str) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    return encoded(file_format, Image.fromarray(noise))


def blank_png(width: int, height: int) -> bytes:
    """A valid 1-bit PNG of zeros: a few kilobytes for any number of pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    squeeze = zlib.compressobj(1)
    row = bytes(1 + (width + 7) // 8)
    data = b"".join(squeeze.compress(row) for _ in range(height)) + squeeze.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


def refusal(source: object, **options: object) -> PhotoError:
    with pytest.raises(PhotoError) as caught:
        read_photo(source, **options)  # type: ignore[arg-type]
    return caught.value


class TestFormats:
    @pytest.mark.parametrize("file_format", FORMATS)
    def test_path_bytes_and_views_give_the_same_upright_rgb(
        self, file_format: str, tmp_path: Path
    ) -> None:
        content = encoded(file_format)
        path = tmp_path / "photo.anything"
        path.write_bytes(content)
        photo = read_photo(path)
        assert photo.rgb.dtype == np.uint8
        assert photo.rgb.flags.c_contiguous
        assert np.abs(photo.rgb.astype(int)[4:12, 4:16] - picture()[4:12, 4:16]).max() <= 5
        assert photo.source == str(path)
        for source in (str(path), content, bytearray(content), memoryview(content)):
            np.testing.assert_array_equal(read_photo(source).rgb, photo.rgb)

    @pytest.mark.parametrize("file_format", FORMATS)
    def test_cap_is_exact_and_refuses_too_large(self, file_format: str) -> None:
        content = encoded(file_format)
        assert read_photo(content, max_pixels=HEIGHT * WIDTH).rgb.shape == (HEIGHT, WIDTH, 3)
        error = refusal(content, max_pixels=HEIGHT * WIDTH - 1)
        assert error.status == "too_large"
        assert "64 x 48" in str(error)

    @pytest.mark.parametrize("file_format", FORMATS)
    @pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
    def test_file_cut_short_is_refused(self, file_format: str, share: float) -> None:
        content = noisy(file_format)
        assert refusal(content[: int(len(content) * share)]).status == "unreadable"

    @pytest.mark.parametrize("progressive", [False, True])
    def test_a_jpeg_that_lacks_nothing_but_its_end_is_read(self, *, progressive: bool) -> None:
        buffer = io.BytesIO()
        noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).save(buffer, "JPEG", progressive=progressive)
        whole = buffer.getvalue()
        for lacking in (1, 2):
            np.testing.assert_array_equal(read_photo(whole[:-lacking]).rgb, read_photo(whole).rgb)
        for lacking in (4, 6, 20, 200, 1000):
            assert "truncated" in str(refusal(whole[:-lacking]))

    @pytest.mark.parametrize("file_format", ["GIF", "WEBP", "TIFF", "PNG"])
    def test_first_of_many_frames_is_read(self, file_format: str) -> None:
        frames = [Image.fromarray(picture()), Image.new("RGB", (WIDTH, HEIGHT), "white")]
        buffer = io.BytesIO()
        options = {"lossless": True} if file_format == "WEBP" else {}
        frames[0].save(buffer, file_format, save_all=True, append_images=frames[1:], **options)
        np.testing.assert_array_equal(read_photo(buffer.getvalue()).rgb, picture())

    def test_plain_jpeg_equals_pillow(self) -> None:
        content = noisy("JPEG")
        with Image.open(io.BytesIO(content)) as image:
            np.testing.assert_array_equal(read_photo(content).rgb, np.asarray(image))

    @pytest.mark.real_data
    def test_real_photos_equal_pillow(self, real_data: Path) -> None:
        paths = sorted((real_data / "fgnet" / "images").iterdir())[::25]
        assert paths
        for path in paths:
            with Image.open(path) as image:
                np.testing.assert_array_equal(
                    read_photo(path).rgb, np.asarray(image.convert("RGB"))
                )

    def test_many_threads_agree_with_one(self) -> None:
        contents = [encoded(file_format) for file_format in FORMATS] * 8
        alone = [read_photo(content).rgb for content in contents]
        with ThreadPoolExecutor(8) as pool:
            together = list(pool.map(lambda content: read_photo(content).rgb, contents))
        for one, other in zip(alone, together, strict=True):
            np.testing.assert_array_equal(one, other)


class TestSizeCap:
    def test_huge_png_is_refused_from_its_header(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def decode(_: ImageFile.ImageFile) -> None:
            pytest.fail("the photo was decoded")

        content = blank_png(30_000, 30_000)
        read_photo(encoded("PNG"))
        monkeypatch.setattr(ImageFile.ImageFile, "load", decode)
        tracemalloc.start()
        try:
            error = refusal(content)
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert error.status == "too_large"
        assert "30000 x 30000" in str(error)
        assert f"{DEFAULT_MAX_PIXELS:,}" in str(error)
        assert peak_bytes < 2 * len(content) + 1_000_000

    def test_a_pil_image_is_capped_before_it_decodes(self) -> None:
        with Image.open(io.BytesIO(encoded("PNG"))) as image:
            assert refusal(image, max_pixels=10).status == "too_large"

    @pytest.mark.parametrize("file_format", [f for f in FORMATS if f != "TIFF"])
    def test_pillows_own_limit_does_not_count(
        self, file_format: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        content = encoded(file_format)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
        assert read_photo(content).rgb.shape == (HEIGHT, WIDTH, 3)
        assert Image.MAX_IMAGE_PIXELS == 10

    @pytest.mark.parametrize("limit", [10, HEIGHT * WIDTH - 1])
    def test_where_pillow_insists_on_its_limit_the_status_says_so(
        self, limit: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        content = encoded("TIFF")
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        assert refusal(content).status == "too_large"


class TestArrays:
    def test_rgb_array_is_taken_as_it_is(self) -> None:
        rgb = picture()
        photo = read_photo(rgb)
        assert photo.rgb is rgb
        assert photo.source == "<array>"

    def test_bgr_is_reordered(self) -> None:
        bgr = picture()[:, :, ::-1]
        photo = read_photo(bgr, bgr=True)
        np.testing.assert_array_equal(photo.rgb, picture())
        assert photo.rgb.flags.c_contiguous

    def test_bgr_concerns_arrays_only(self) -> None:
        np.testing.assert_array_equal(read_photo(encoded("PNG"), bgr=True).rgb, picture())

    def test_grey_fills_three_channels(self) -> None:
        grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
        np.testing.assert_array_equal(read_photo(grey).rgb, np.repeat(grey[:, :, None], 3, axis=2))

    @pytest.mark.parametrize("bgr", [False, True])
    def test_alpha_lies_over_white(self, *, bgr: bool) -> None:
        rgba = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 0, 0, 128]]], np.uint8)
        array = rgba[..., [2, 1, 0, 3]] if bgr else rgba
        rgb = read_photo(array, bgr=bgr).rgb
        np.testing.assert_array_equal(rgb, [[[10, 20, 30], [255, 255, 255], [127, 127, 127]]])

    def test_a_strided_view_becomes_contiguous(self) -> None:
        view = picture()[::-2, ::3]
        photo = read_photo(view)
        assert photo.rgb.flags.c_contiguous
        np.testing.assert_array_equal(photo.rgb, view)

    @pytest.mark.parametrize(
        ("array", "words"),
        [
            (np.zeros((4, 5, 3)), ["float64 [4, 5, 3]", "astype"]),
            (np.full((4, 5, 3), np.nan, np.float32), ["float32 [4, 5, 3]", "astype"]),
            (np.zeros((4, 5, 3), np.int64), ["int64", "astype"]),
            (np.zeros((4, 5), bool), ["bool [4, 5]", "astype"]),
            (np.zeros((3, 40, 50), np.uint8), ["[3, 40, 50]", "transpose"]),
            (np.zeros((2, 4, 5, 3), np.uint8), ["[2, 4, 5, 3]", "one picture"]),
            (np.zeros((40, 50, 2), np.uint8), ["[40, 50, 2]", "3 or 4 channels"]),
            (np.zeros(5, np.uint8), ["[5]", "one picture"]),
            (np.zeros((0, 5, 3), np.uint8), ["[0, 5, 3]", "no pixels"]),
            (np.array(7, np.uint8), ["uint8 []"]),
            (np.array([["a"]], object), ["object"]),
        ],
    )
    def test_other_arrays_are_refused_with_the_way_out(
        self, array: np.ndarray, words: list[str]
    ) -> None:
        error = refusal(array, name="frame 7")
        assert error.status == "unreadable"
        for word in ["frame 7", "expected an array uint8 [H, W, 3]", *words]:
            assert word in str(error)

    def test_a_refusal_shows_no_pixel(self) -> None:
        assert "173" not in str(refusal(np.full((2, 2, 3), 173, np.int32)))


class TestOtherSources:
    def test_a_photo_is_only_checked(self) -> None:
        photo = Photo(picture(), "clip.mp4", frame=3, time_seconds=0.1)
        assert read_photo(photo) is photo
        renamed = read_photo(photo, name="frame 3")
        assert (renamed.source, renamed.frame, renamed.time_seconds) == ("frame 3", 3, 0.1)
        assert refusal(Photo(np.zeros((2, 2, 3)), "x")).status == "unreadable"  # type: ignore[arg-type]

    def test_a_pil_image_is_read_and_left_alone(self) -> None:
        image = Image.fromarray(picture())
        np.testing.assert_array_equal(read_photo(image).rgb, picture())
        assert image.mode == "RGB"
        assert image.info == {}

    def test_a_closed_pil_image_is_refused(self) -> None:
        image = Image.open(io.BytesIO(encoded("PNG")))
        image.close()
        assert refusal(image).status == "unreadable"

    def test_open_files_are_read_from_their_start(self, tmp_path: Path) -> None:
        path = tmp_path / "a.png"
        path.write_bytes(encoded("PNG"))
        written = io.BytesIO()
        written.write(encoded("PNG"))  # and it stands at its end, as after Image.save
        with path.open("rb") as file:
            for source in (written, file):
                np.testing.assert_array_equal(read_photo(source).rgb, picture())
            assert read_photo(file).source == str(path)
        assert read_photo(written).source == "<file>"

    def test_files_that_cannot_be_read(self, tmp_path: Path) -> None:
        path = tmp_path / "a.txt"
        path.write_text("hello")
        with path.open() as file:
            assert "open it for bytes, with mode 'rb'" in str(refusal(file))
        assert f"{path}: the file cannot be read: I/O operation on closed file" in str(
            refusal(file)
        )
        assert "<file>: is not a photo" in str(refusal(io.BytesIO(b"x")))

    @pytest.mark.parametrize("given", [str, Path])
    def test_addresses_and_pictures_as_text_are_told_so(self, given: Any) -> None:
        uri = "data:image/png;base64," + base64.b64encode(bytes(9000)).decode()
        error = refusal(given(uri))
        assert error.status == "missing"
        assert "a picture written as text" in str(error)
        assert len(str(error)) < 200
        assert len(source_name(given(uri))) < 100
        assert "is an address, not a path" in str(refusal("https://example.org/a.jpg"))

    def test_a_name_that_no_file_can_have_is_cut(self) -> None:
        name = "a" * 5000
        assert len(source_name(name)) < 1100
        assert source_name(name).endswith("aaa (5,000 characters)")
        assert len(str(refusal(name))) < 1200
        assert source_name("b" * 1024) == "b" * 1024

    @pytest.mark.parametrize("source", [None, 7, [1, 2], {"a": 1}])
    def test_what_is_no_photo_at_all(self, source: object) -> None:
        error = refusal(source)
        assert error.status == "unreadable"
        assert type(source).__name__ in str(error)

    def test_names(self, tmp_path: Path) -> None:
        path = tmp_path / "a.png"
        path.write_bytes(encoded("PNG"))
        assert read_photo(path, name="Ann\n").source == r"Ann\n"
        with Image.open(path) as image:
            assert read_photo(image).source == str(path)
        assert source_name(b"") == source_name(memoryview(b"")) == "<bytes>"
        assert source_name(picture()) == "<array>"
        assert source_name(Image.new("L", (1, 1))) == "<image>"
        assert source_name(Photo(picture(), "x.png")) == "x.png"
        assert source_name(PhotoError("gone", source="y.png")) == "y.png"
        assert source_name(None) == "<object>"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user may enter, which pytest's own is not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


class TestBadFiles:
    @pytest.mark.parametrize("name", ["gone.jpg", "there.png/inside.jpg", "dangling.jpg"])
    def test_missing(self, name: str, tmp_path: Path) -> None:
        (tmp_path / "there.png").write_bytes(b"")
        (tmp_path / "dangling.jpg").symlink_to(tmp_path / "nowhere")
        error = refusal(tmp_path / name)
        assert error.status == "missing"
        assert name in str(error)

    def test_folder(self, tmp_path: Path) -> None:
        error = refusal(tmp_path)
        assert error.status == "unreadable"
        assert "folder" in str(error)

    def test_empty(self, tmp_path: Path) -> None:
        path = tmp_path / "empty.jpg"
        path.touch()
        assert "0 bytes" in str(refusal(path))
        assert "0 bytes" in str(refusal(b""))

    def test_text_named_jpg(self, tmp_path: Path) -> None:
        path = tmp_path / "notes.jpg"
        path.write_text("Dear diary, this is no photo. " * 9)
        error = refusal(path)
        assert error.status == "unreadable"
        assert "JPEG, PNG" in str(error)
        assert "diary" not in str(error)

    @pytest.mark.parametrize("content", [b"\xff\xd8\xff", b"BM text", b"GIF89a", b"RIFF1234WEBP"])
    def test_signature_without_a_photo(self, content: bytes) -> None:
        assert refusal(content).status == "unreadable"

    def test_permission_denied(self, open_folder: Path) -> None:
        path = open_folder / "private.png"
        path.write_bytes(encoded("PNG"))
        read_photo(path)  # Pillow's reader has to be loaded while that is allowed
        path.chmod(0o000)
        rights = os.geteuid()
        if rights == 0:
            os.seteuid(NOBODY)  # nothing is forbidden to root
        try:
            error = refusal(path)
        finally:
            os.seteuid(rights)
        assert error.status == "unreadable"
        assert "permission denied" in str(error)

    def test_pipe_does_not_hang(self, tmp_path: Path) -> None:
        path = tmp_path / "pipe.jpg"
        os.mkfifo(path)
        error = refusal(path)
        assert error.status == "unreadable"
        assert "pipe" in str(error)

    def test_device(self) -> None:
        assert refusal("/dev/zero").status == "unreadable"

    @pytest.mark.parametrize("name", ["nul\0byte.jpg", "n" * 300 + ".jpg", "lone\ud800.jpg"])
    def test_impossible_names(self, name: str, tmp_path: Path) -> None:
        error = refusal(os.path.join(tmp_path, name))  # noqa: PTH118
        assert error.status == "unreadable"
        assert str(error).isprintable()

    def test_link_to_itself(self, tmp_path: Path) -> None:
        path = tmp_path / "loop.jpg"
        path.symlink_to(path)
        assert refusal(path).status == "unreadable"

    @pytest.mark.parametrize("mode", ["F", "I"])
    def test_pixels_without_a_white(self, mode: str) -> None:
        error = refusal(encoded("TIFF", Image.new(mode, (4, 4), 100_000)))
        assert error.status == "unreadable"
        assert "8 or 16 bits" in str(error)


class TestNames:
    def test_undecodable_name_is_read_and_escaped(self, tmp_path: Path) -> None:
        raw = os.fsencode(tmp_path) + b"/caf\xe9-\xff.png"
        with open(raw, "wb") as file:  # noqa: PTH123
            file.write(encoded("PNG"))
        photo = read_photo(os.fsdecode(raw))
        assert photo.source.endswith(r"/caf\xe9-\xff.png")
        photo.source.encode("utf-8")

    def test_good_names_stay(self) -> None:
        for name in ("Zoë.jpg", "写真 1.jpg", "a\u202fb.png", "👩‍👧.png", r"back\slash"):
            assert display_name(name) == name

    def test_control_characters_are_escaped(self) -> None:
        assert display_name("a\nb\x1b[31m\x7f\x85.jpg") == r"a\nb\x1b[31m\x7f\x85.jpg"

    @given(st.text(st.characters(codec=None)))
    def test_any_name_becomes_valid_text(self, name: str) -> None:
        shown = display_name(name)
        shown.encode("utf-8")
        assert not any(ord(letter) < 32 for letter in shown)


class TestDamage:
    SEEDS = tuple(noisy(file_format)[:4000] for file_format in FORMATS) + tuple(
        encoded(file_format) for file_format in FORMATS
    )

    @settings(deadline=None)
    @given(st.sampled_from([b"", *(seed[:n] for seed in SEEDS for n in (4, 16, 64))]), st.binary())
    def test_random_bytes_raise_only_photo_errors(self, head: bytes, tail: bytes) -> None:
        self.read(head + tail)

    @settings(deadline=None, max_examples=300)
    @given(st.sampled_from(SEEDS), st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255))))
    def test_damaged_files_raise_only_photo_errors(
        self, seed: bytes, changes: list[tuple[int, int]]
    ) -> None:
        content = bytearray(seed)
        for at, value in changes:
            content[at % len(content)] = value
        self.read(bytes(content))

    @staticmethod
    def read(content: bytes) -> None:
        try:
            rgb = read_photo(content, max_pixels=1_000_000).rgb
        except PhotoError as error:
            assert error.status in {"unreadable", "too_large"}
            assert str(error).isprintable()
        else:
            assert rgb.dtype == np.uint8
            assert rgb.ndim == 3
            assert rgb.flags.c_contiguous


class TestManners:
    def test_heic_leaves_pillows_registry_alone(self) -> None:
        before = "HEIF" in Image.OPEN
        read_photo(encoded("HEIF"))
        assert ("HEIF" in Image.OPEN) == before

    def test_readers_load_at_first_need(self) -> None:
        late = ["pillow_heif", "PIL.AvifImagePlugin", "PIL.WebPImagePlugin", "torch", "pandas"]
        code = f"import agelens.imaging.photos, sys; print([m for m in {late} if m in sys.modules])"
        answer = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert answer.stdout.strip() == "[]"


def tiff(array: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **options)
    return buffer.getvalue()


GREY = np.linspace(0, 255, 64 * 64).astype(np.uint8).reshape(64, 64)


class TestTiff:
    """Kinds that Pillow opens and misreads are refused; the others come out as they are."""

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (tiff(GREY.astype(np.uint16) * 257, photometric="miniswhite"), "in which 0 is white"),
            (
                tiff(
                    np.stack([GREY.astype(np.uint16) * 257] * 3),
                    photometric="rgb",
                    planarconfig="separate",
                ),
                "with its colours in planes",
            ),
            (tiff(GREY, subfiletype=1), "its first page is a small preview"),
            (tiff(GREY, photometric="cfa"), "cannot be decoded"),
        ],
        ids=["white", "planes", "preview", "raw"],
    )
    def test_what_would_come_out_wrong_is_refused(self, content: bytes, words: str) -> None:
        for source in (content, io.BytesIO(content)):
            error = refusal(source)
            assert error.status == "unreadable"
            assert re.search(words, str(error))
            assert "save it anew as JPEG or PNG" in str(error)

    def test_eight_bits_in_which_0_is_white(self) -> None:
        rgb = read_photo(tiff(255 - GREY, photometric="miniswhite")).rgb
        np.testing.assert_array_equal(rgb, np.dstack([GREY] * 3))

    def test_eight_bits_in_planes(self) -> None:
        planes = np.stack([GREY, GREY.T, 255 - GREY])
        rgb = read_photo(tiff(planes, photometric="rgb", planarconfig="separate")).rgb
        np.testing.assert_array_equal(rgb, planes.transpose(1, 2, 0))

    def test_the_first_of_several_pages_may_be_one_of_them(self) -> None:
        rgb = read_photo(tiff(GREY, subfiletype=2)).rgb
        np.testing.assert_array_equal(rgb, np.dstack([GREY] * 3))
