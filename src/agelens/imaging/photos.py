"""Reading a photo, whatever it comes as, into upright sRGB pixels.

Files are recognised by content, not by name. What can't be read raises one kind of
error, `PhotoError`, whose `status` is the word that the photo's result row carries.
"""

from __future__ import annotations

import io
import os
import re
import stat
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from time import thread_time
from typing import IO, Any, BinaryIO, Final, TypeAlias, TypeGuard, cast

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ExifTags import Base
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile

from agelens.errors import PhotoError, shortened
from agelens.imaging.colour import srgb_pixels
from agelens.imaging.folders import FOLDERS
from agelens.imaging.jpeg_scans import check_scans, check_zeros
from agelens.records import RGB, Photo


def array_pixels(array: NDArray[Any], name: str, *, bgr: bool = False) -> RGB:
    """`array` as uint8 RGB [H, W, 3], C-contiguous; itself where it is that already.

    Args:
        array: uint8 [H, W, 3], [H, W, 4] with alpha, which lies over white, or [H, W] grey.
        name: what errors call it.
        bgr: the channels come as blue, green, red.

    Raises:
        PhotoError: another type or shape; the message names it, and no pixel.
    """
    channels = 1 if array.ndim == 2 else array.shape[2] if array.ndim == 3 else 0
    taken = array.ndim == 2 or channels in (3, 4)
    if array.dtype != np.uint8 or not taken or not array.size:
        raise PhotoError(f"{name}: {_what_is_wrong(array)}")
    pixels = np.ascontiguousarray(array)
    if channels == 1:
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB), dtype=np.uint8)
    if channels == 4:
        rgba = cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA) if bgr else pixels
        return srgb_pixels(Image.fromarray(rgba), name)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB) if bgr else pixels, dtype=np.uint8)


def _what_is_wrong(array: NDArray[Any]) -> str:
    """What was expected, what came, and the usual way from one to the other."""
    got = (
        "expected an array uint8 [H, W, 3], [H, W, 4] or [H, W], got "
        f"{array.dtype} {list(array.shape)}; "
    )
    if not array.size:
        return f"{got}it has no pixels"
    if array.dtype != np.uint8:
        return f"{got}scale it to 0..255, round, and convert it with .astype(numpy.uint8)"
    if array.ndim == 3 and array.shape[2] == 1:
        return f"{got}leave out the last axis of a grey picture: array[:, :, 0]"
    if array.ndim == 3 and array.shape[0] in (1, 3, 4):
        return f"{got}put the channels last with .transpose(1, 2, 0)"
    return f"{got}pass one picture at a time, with 1, 3 or 4 channels"


_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_XMP_ORIENTATION: Final = re.compile(rb"tiff:Orientation(?:\s*=\s*[\"']|>\s*)([0-9])")
_NOT_YET_TURNED: Final = "not yet turned"
_EXIF_MARK: Final = b"Exif\x00\x00"
_BYTE_ORDERS: Final = {b"II": "<", b"MM": ">"}
_INTEGER_TYPES: Final = {1: "B", 3: "H", 4: "I"}
_ENTRY_BYTES: Final = 12


def upright(image: Image.Image) -> Image.Image:
    """A loaded `image` turned upright; itself where it is upright already."""
    turn = _TURNS.get(_orientation(image.info))
    return image if turn is None else image.transpose(turn)


def _orientation(info: dict[str | tuple[int, int], Any]) -> int:
    """That of EXIF, else of XMP, as Pillow has it."""
    stated = info.get(_NOT_YET_TURNED) or exif_orientation(_exif_block(info), absent=0)
    if stated:
        return int(stated)
    xmp = info.get("XML:com.adobe.xmp") or info.get("xmp") or b""
    text = xmp.encode("utf-8", "replace") if isinstance(xmp, str) else xmp
    match = _XMP_ORIENTATION.search(text) if isinstance(text, bytes) else None
    return int(match[1]) if match else 1


def exif_orientation(exif: bytes, *, absent: int = 1) -> int:
    """The Orientation in an EXIF block; `absent`, upright, where it is absent or damaged."""
    body = exif
    while body.startswith(_EXIF_MARK):  # some programs write it twice
        body = body.removeprefix(_EXIF_MARK)
    order = _BYTE_ORDERS.get(body[:2])
    if order is None:
        return absent
    try:
        (start,) = struct.unpack_from(f"{order}I", body, 4)
        (entries,) = struct.unpack_from(f"{order}H", body, start)
        for offset in range(start + 2, start + 2 + entries * _ENTRY_BYTES, _ENTRY_BYTES):
            tag, kind = struct.unpack_from(f"{order}HH", body, offset)
            if tag == Base.Orientation and kind in _INTEGER_TYPES:
                return int(struct.unpack_from(order + _INTEGER_TYPES[kind], body, offset + 8)[0])
    except struct.error:  # the block ends early
        return absent
    return absent


def _exif_block(info: dict[str | tuple[int, int], Any]) -> bytes:
    block = info.get("exif")
    if isinstance(block, bytes):
        return block
    text = info.get("Raw profile type exif")  # how ImageMagick long wrote EXIF into PNG
    if not isinstance(text, str):
        return b""
    try:
        return bytes.fromhex("".join(text.split("\n")[3:]))
    except ValueError:
        return b""


FORMATS: Final = ("JPEG", "PNG", "WebP", "BMP", "TIFF", "GIF", "HEIC", "AVIF")
_HEAD_BYTES: Final = 64
_SIGNATURES: Final[tuple[tuple[bytes, str], ...]] = (
    (b"\x89PNG\r\n\x1a\n", "PIL.PngImagePlugin:PngImageFile"),
    (b"GIF87a", "PIL.GifImagePlugin:GifImageFile"),
    (b"GIF89a", "PIL.GifImagePlugin:GifImageFile"),
    (b"BM", "PIL.BmpImagePlugin:BmpImageFile"),
    (b"II*\x00", "PIL.TiffImagePlugin:TiffImageFile"),
    (b"MM\x00*", "PIL.TiffImagePlugin:TiffImageFile"),
    (b"II+\x00", "PIL.TiffImagePlugin:TiffImageFile"),  # BigTIFF
    (b"MM\x00+", "PIL.TiffImagePlugin:TiffImageFile"),
)
_WEBP: Final = "PIL.WebPImagePlugin:WebPImageFile"
_AVIF: Final = "PIL.AvifImagePlugin:AvifImageFile"
_HEIC: Final = "pillow_heif:HeifImageFile"
_LARGEST_META: Final = 2**20
_AVIF_BRANDS: Final = {b"avif", b"avis"}
_HEIC_BRANDS: Final = {
    b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1",
}  # fmt: skip


class _Jpeg(JpegImageFile):
    """Pillow's JPEG reader, which else parses all EXIF on opening, for a resolution not used here.

    It costs as much as decoding a thumbnail, and warns about damage that hurts nobody.
    """

    def getexif(self) -> Image.Exif:
        return Image.Exif()


def open_encoded(file: BinaryIO) -> ImageFile | None:
    """Open the picture in `file`: size and mode are known, pixels not yet decoded.

    None where the first bytes are those of none of `FORMATS`. A damaged file raises
    whatever Pillow's reader for it does.
    """
    head = file.read(_HEAD_BYTES)
    file.seek(0)
    if head.startswith(b"\xff\xd8\xff"):
        return _Jpeg(file)
    reader = _reader_of(head)
    if reader is None:
        return None
    module, _, attribute = reader.partition(":")
    opened: ImageFile = getattr(import_module(module), attribute)(file)
    if reader == _HEIC and not _is_turned_by_its_decoder(file):
        opened.info[_NOT_YET_TURNED] = opened.info.get("original_orientation")
    return opened


def _is_turned_by_its_decoder(file: BinaryIO) -> bool:
    """Whether a HEIC has the properties by which decoders turn it; else its EXIF counts."""
    file.seek(0)
    while len(header := file.read(8)) == 8:
        size = int.from_bytes(header[:4])
        if header[4:] == b"meta":
            properties = file.read(min(size, _LARGEST_META))
            return b"irot" in properties or b"imir" in properties
        if size < len(header):  # 0 and 1: the rest of the file, or a length of 64 bits
            break
        file.seek(size - len(header), os.SEEK_CUR)
    return True


def _reader_of(head: bytes) -> str | None:
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return _WEBP
    if head[4:8] == b"ftyp":
        return _reader_of_brands(head)
    return next((reader for signature, reader in _SIGNATURES if head.startswith(signature)), None)


def _reader_of_brands(head: bytes) -> str | None:
    """Which of the two relatives wrote it: `mif1` may open either, the brands behind it tell."""
    box = head[: int.from_bytes(head[:4])]
    brands = {box[8:12], *(box[at : at + 4] for at in range(16, len(box), 4))}
    if brands & _AVIF_BRANDS:
        return _AVIF
    return _HEIC if brands & _HEIC_BRANDS else None


DEFAULT_MAX_PIXELS: Final = 100_000_000
PhotoSource: TypeAlias = (
    str
    | os.PathLike[str]
    | bytes
    | bytearray
    | memoryview
    | IO[bytes]
    | NDArray[Any]
    | Image.Image
    | Photo
)
_UNSAFE_CHARACTER: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_LONGEST_REASON: Final = 200
_LONGEST_NAME: Final = 1024
_LONGEST_DATA_URI: Final = 60


# Decoding takes some 12 bytes a pixel at its height. What many cores share is more memory.
_PIXELS_IN_FLIGHT: Final = max(150_000_000, 16_000_000 * (os.cpu_count() or 1))
_DECODING_SECONDS: Final = 30.0  # of this thread on a processor
_JPEG_END: Final = b"\xff\xd9"


class PixelBudget:
    """How many pixels all threads of this process have in hand at a time.

    Args:
        pixels: in all; a photo of more waits until it is the only one.
    """

    def __init__(self, pixels: int) -> None:
        self._pixels = pixels
        self._taken = 0
        self._given_back = threading.Condition()
        self._thread = threading.local()

    @contextmanager
    def one_photo(self) -> Iterator[None]:
        """What this thread reads counts until the end of the context, one photo at a time."""
        with ExitStack() as held:
            self._thread.held = held
            try:
                yield
            finally:
                self._thread.held = None

    @contextmanager
    def decoding(self, pixels: int) -> Iterator[None]:
        """Wait for room for `pixels`; without `one_photo` they count while they are decoded."""
        with ExitStack() as own:
            held = getattr(self._thread, "held", None) or own
            held.close()
            held.enter_context(self._taking(pixels))
            yield

    @contextmanager
    def _taking(self, pixels: int) -> Iterator[None]:
        with self._given_back:
            self._given_back.wait_for(
                lambda: not self._taken or self._taken + pixels <= self._pixels
            )
            self._taken += pixels
        try:
            yield
        finally:
            with self._given_back:
                self._taken -= pixels
                self._given_back.notify_all()


IN_FLIGHT: Final = PixelBudget(_PIXELS_IN_FLIGHT)


class _TimedFile:
    """A file that decoders read piece by piece, for so long as they are given."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._end = thread_time() + _DECODING_SECONDS

    def read(self, size: int = -1) -> bytes:
        if thread_time() > self._end:
            raise ValueError(f"it takes more than {_DECODING_SECONDS:g} seconds to decode")
        return self._file.read(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def read_photo(
    source: PhotoSource,
    *,
    bgr: bool = False,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    name: str | None = None,
) -> Photo:
    """Read one photo as an upright sRGB `Photo`, uint8 [H, W, 3], C-contiguous.

    EXIF orientation is applied, embedded colour profiles are converted to sRGB,
    transparency lies over white, 16-bit pixels are scaled to 8. Of several pages or
    frames the first is read. Safe to call from many threads. The pixels may be
    read-only, and those of an array that needs no change are that array's own memory.

    Args:
        source: a path; the bytes of an encoded file; a file open for reading bytes, which is
            read from its start; an array uint8 [H, W, 3], [H, W, 4] with alpha, or [H, W] grey;
            a PIL image; or a `Photo`, which is only checked.
        bgr: the colour channels of an array come as blue, green, red, as OpenCV has them.
            It concerns arrays only: everything else knows its own order.
        max_pixels: an encoded photo of more pixels is refused from its header, before
            memory is taken for it. It takes the place of Pillow's own limit.
        name: what `Photo.source` and errors call the photo; `source_name` by default.

    Raises:
        PhotoError: with status ``missing``, ``unreadable`` or ``too_large``.
        FolderGoneError: its folder went away, see `agelens.imaging.folders`.
    """
    label = source_name(source) if name is None else display_name(name)
    if isinstance(source, Photo):
        return _checked(source, label)
    return Photo(_rgb(source, label, bgr=bgr, max_pixels=max_pixels), label)


def _rgb(source: PhotoSource, label: str, *, bgr: bool, max_pixels: int) -> RGB:
    if isinstance(source, np.ndarray):
        return array_pixels(source, label, bgr=bgr)
    if isinstance(source, Image.Image):
        return _decoded(source, label, max_pixels)
    if isinstance(source, bytes | bytearray | memoryview):
        return _rgb_of_file(io.BytesIO(bytes(source)), label, max_pixels)
    if isinstance(source, str | os.PathLike):
        try:
            with _opened(source, label) as file:
                rgb = _rgb_of_file(file, label, max_pixels)
        except PhotoError:
            FOLDERS.check(source)
            raise
        FOLDERS.found(Path(source).parent)
        return rgb
    if is_file(source):
        return _rgb_of_file(io.BytesIO(file_content(source, label)), label, max_pixels)
    raise PhotoError(
        f"{label}: expected a path, bytes, a file, a numpy array, a PIL image or a Photo, "
        f"got {type(source).__name__}"
    )


def is_file(source: object) -> TypeGuard[IO[bytes]]:
    """Whether `source` is an open file, or reads like one."""
    return hasattr(source, "read")


def file_content(file: IO[bytes], label: str) -> bytes:
    """All bytes of an open file, from its start where it can be rewound.

    Raises:
        PhotoError: it cannot be read, or is open for text; `label` names it.
    """
    try:
        if hasattr(file, "seekable") and file.seekable():
            file.seek(0)
        content = file.read()
    except PhotoError:  # a file of ours knows better
        raise
    except Exception as error:  # closed, no UTF-8, or what a network's stream raises
        told = display_name(str(error))[:_LONGEST_REASON] or type(error).__name__
        raise PhotoError(f"{label}: the file cannot be read: {told}") from error
    if isinstance(content, bytearray | memoryview):
        return bytes(content)
    if not isinstance(content, bytes | str):
        raise PhotoError(
            f"{label}: reading it gives a {type(content).__name__}, expected bytes; read it first"
        )
    if isinstance(content, str):
        raise PhotoError(f"{label}: the file is open for text; open it for bytes, with mode 'rb'")
    return content


def source_name(source: object) -> str:
    """What results call `source`, whether or not it can be read.

    Its path as printable text, also for a PIL image that was opened from one and for an open
    file; for what has none ``<bytes>``, ``<array>``, ``<image>``, ``<file>`` or ``<object>``.
    """
    if isinstance(source, str | os.PathLike):
        return display_name(source)
    if isinstance(source, Photo | PhotoError):
        return display_name(source.source)
    if isinstance(source, Image.Image):
        return display_name(getattr(source, "filename", "") or "<image>")
    if isinstance(source, bytes | bytearray | memoryview):
        return "<bytes>"
    if is_file(source):
        name = getattr(source, "name", None)  # of a socket or pipe, a number
        return display_name(name) if isinstance(name, str | os.PathLike) else "<file>"
    return "<array>" if isinstance(source, np.ndarray) else "<object>"


def display_name(path: str | os.PathLike[str]) -> str:
    r"""A path as text that any terminal, table or JSON file can take.

    Bytes that are not UTF-8 become ``\xff``, control characters ``\n`` or ``\x1b``;
    everything else stays as it is, but for the middle of a name of over 1,024 characters, and of
    a picture that was given as text.
    """
    text = os.fsdecode(path)
    longest = _LONGEST_DATA_URI if text.startswith("data:") else _LONGEST_NAME
    return _UNSAFE_CHARACTER.sub(_escaped, shortened(text, longest))


def why_no_path(text: str) -> str | None:
    """What is wrong with a name that is meant for something else than a file, or None."""
    if text.startswith("data:"):
        return "is a picture written as text, not a path; decode it (base64) and give its bytes"
    if "://" in text:
        return "is an address, not a path, and nothing is fetched here; download it first"
    return None


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # how Python carries a byte that is not UTF-8 (PEP 383)
        return f"\\x{code - 0xDC00:02x}"
    return match[0].encode("unicode_escape").decode("ascii")


def _opened(path: str | os.PathLike[str], label: str) -> BinaryIO:
    """A regular file, opened; pipes and devices are refused, since reading them may never end."""
    if not os.fspath(path):
        raise PhotoError("the name of the photo is empty; give its path", status="missing")
    try:
        mode = Path(path).stat().st_mode
        if stat.S_ISREG(mode):
            return Path(path).open("rb")
    except (FileNotFoundError, NotADirectoryError) as error:
        advice = "no such file; check the name and the folder it is looked for in"
        raise PhotoError(f"{label}: {why_no_path(label) or advice}", status="missing") from error
    except PermissionError as error:
        raise PhotoError(f"{label}: permission denied; allow this user to read it") from error
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        if why := why_no_path(label):
            raise PhotoError(f"{label}: {why}", status="missing") from error
        reason = getattr(error, "strerror", None) or "not a possible file name"
        raise PhotoError(f"{label}: cannot be opened: {reason}") from error
    if stat.S_ISDIR(mode):
        raise PhotoError(f"{label}: is a folder, not a photo; name the photos inside it")
    raise PhotoError(f"{label}: is a pipe, socket or device, not a photo; save it as a file first")


def _rgb_of_file(file: BinaryIO, label: str, max_pixels: int) -> RGB:
    timed = cast(BinaryIO, _TimedFile(file))
    with _refusing(label):
        image = open_encoded(timed)
        if image is not None and image.info.get("progressive"):
            check_scans(file, image.size, label)
        elif isinstance(image, _Jpeg):
            check_zeros(file, label)
    if image is None:
        file.seek(0)
        found = "it holds none of" if file.read(1) else "it is empty (0 bytes), expected one of"
        raise PhotoError(f"{label}: is not a photo: {found} {', '.join(FORMATS)}")
    try:
        return _decoded(image, label, max_pixels)
    except PhotoError as refused:
        cut = isinstance(image, _Jpeg) and isinstance(refused.__cause__, OSError)
        whole = _jpeg_without_its_end(file, label, max_pixels) if cut else None
        if whole is None:
            raise
        return whole


def _jpeg_without_its_end(file: BinaryIO, label: str, max_pixels: int) -> RGB | None:
    """The pixels of a JPEG that lacks nothing but the two bytes at its end; None of any other.

    Where pixels are missing, it matters which bytes stand in their place.
    """
    file.seek(0)
    content = file.read().removesuffix(_JPEG_END[:1])
    try:
        first, second = (
            _decoded(_Jpeg(io.BytesIO(content + filling + _JPEG_END)), label, max_pixels)
            for filling in (b"", b"\x55\xaa" * 64)
        )
    except PhotoError:
        return None
    return first if np.array_equal(first, second) else None


def _decoded(image: Image.Image, label: str, max_pixels: int) -> RGB:
    if odd := _odd_tiff(image):
        raise PhotoError(f"{label}: {odd}; save it anew as JPEG or PNG")
    width, height = image.size
    if width * height > max_pixels:
        raise PhotoError(
            f"{label}: {width} x {height} pixels are more than the {max_pixels:,} allowed; "
            "make it smaller, or raise the limit (max_pixels, --max-megapixels)",
            status="too_large",
        )
    with _refusing(label), IN_FLIGHT.decoding(width * height):
        image.load()
        return srgb_pixels(upright(image), label)


def pixels_stated(file: BinaryIO) -> int | None:
    """How many pixels the header of an encoded photo states; None where it is no picture.

    Raises:
        PhotoError: its first bytes are those of a picture, and its header is damaged.
    """
    with _refusing(source_name(file)):
        image = open_encoded(file)
    return image.width * image.height if image else None


def _odd_tiff(image: Image.Image) -> str | None:
    """Why a TIFF would come out wrong: Pillow does not heed all tags of its pixels."""
    tags = getattr(image, "tag_v2", None)
    if tags is None:
        return None
    deep = max(tags.get(Base.BitsPerSample, (1,))) > 8
    if tags.get(Base.NewSubfileType, 0) & 1:
        return "its first page is a small preview, as raw photos have it"
    if deep and tags.get(Base.PhotometricInterpretation, 1) == 0:
        return "a TIFF of more than 8 bits in which 0 is white"
    if deep and tags.get(Base.PlanarConfiguration, 1) != 1:
        return "a TIFF of more than 8 bits with its colours in planes"
    return None


@contextmanager
def _refusing(label: str) -> Iterator[None]:
    """Turn what decoders raise on a damaged file into a `PhotoError` that names the photo."""
    try:
        yield
    except PhotoError:
        raise
    except (MemoryError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PhotoError(
            f"{label}: needs more memory than there is or than Pillow grants; make it smaller",
            status="too_large",
        ) from error
    except Exception as error:  # readers meet damage with nearly any type, down to KeyError
        reason = display_name(str(error))[:_LONGEST_REASON] or type(error).__name__
        raise PhotoError(
            f"{label}: cannot be decoded, damaged or of an unsupported kind ({reason}); "
            "copy it again from where it came, or save it anew as JPEG or PNG"
        ) from error


def _checked(photo: Photo, source: str) -> Photo:
    rgb = array_pixels(photo.rgb, source)
    if rgb is photo.rgb and source == photo.source:
        return photo
    return replace(photo, rgb=rgb, source=source)
