"""Reading a photo, whatever it comes as, into upright sRGB pixels.

Files are recognised by content, not by name. What can't be read raises one kind of
error, `PhotoError`, whose `status` is the word that the photo's result row carries.
"""

from __future__ import annotations

import io
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from agelens.errors import PhotoError
from agelens.imaging.arrays import array_pixels
from agelens.imaging.colour import srgb_pixels
from agelens.imaging.formats import FORMATS, open_encoded
from agelens.imaging.orientation import upright
from agelens.records import RGB, Photo

DEFAULT_MAX_PIXELS: Final = 100_000_000
PhotoSource: TypeAlias = (
    str | os.PathLike[str] | bytes | bytearray | memoryview | NDArray[Any] | Image.Image | Photo
)
_UNSAFE_CHARACTER: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_LONGEST_REASON: Final = 200


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
        source: a path; the bytes of an encoded file; an array uint8 [H, W, 3], [H, W, 4]
            with alpha, or [H, W] grey; a PIL image; or a `Photo`, which is only checked.
        bgr: the colour channels of an array come as blue, green, red, as OpenCV has them.
            It concerns arrays only: everything else knows its own order.
        max_pixels: an encoded photo of more pixels is refused from its header, before
            memory is taken for it. It takes the place of Pillow's own limit.
        name: what `Photo.source` and errors call the photo; `source_name` by default.

    Raises:
        PhotoError: with status ``missing``, ``unreadable`` or ``too_large``.
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
        with _opened(source, label) as file:
            return _rgb_of_file(file, label, max_pixels)
    raise PhotoError(
        f"{label}: expected a path, bytes, a numpy array, a PIL image or a Photo, "
        f"got {type(source).__name__}"
    )


def source_name(source: object) -> str:
    """What results call `source`, whether or not it can be read.

    Its path as printable text, also for a PIL image that was opened from one; for what
    has none ``<bytes>``, ``<array>``, ``<image>`` or ``<object>``.
    """
    if isinstance(source, str | os.PathLike):
        return display_name(source)
    if isinstance(source, Photo | PhotoError):
        return display_name(source.source)
    if isinstance(source, Image.Image):
        return display_name(getattr(source, "filename", "") or "<image>")
    if isinstance(source, bytes | bytearray | memoryview):
        return "<bytes>"
    return "<array>" if isinstance(source, np.ndarray) else "<object>"


def display_name(path: str | os.PathLike[str]) -> str:
    r"""A path as text that any terminal, table or JSON file can take.

    Bytes that are not UTF-8 become ``\xff``, control characters ``\n`` or ``\x1b``;
    everything else stays as it is.
    """
    return _UNSAFE_CHARACTER.sub(_escaped, os.fsdecode(path))


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # how Python carries a byte that is not UTF-8 (PEP 383)
        return f"\\x{code - 0xDC00:02x}"
    return match[0].encode("unicode_escape").decode("ascii")


def _opened(path: str | os.PathLike[str], label: str) -> BinaryIO:
    """A regular file, opened; pipes and devices are refused, since reading them may never end."""
    try:
        mode = Path(path).stat().st_mode
        if stat.S_ISREG(mode):
            return Path(path).open("rb")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise PhotoError(
            f"{label}: no such file; check the name and the folder it is looked for in",
            status="missing",
        ) from error
    except PermissionError as error:
        raise PhotoError(f"{label}: permission denied; allow this user to read it") from error
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        reason = getattr(error, "strerror", None) or "not a possible file name"
        raise PhotoError(f"{label}: cannot be opened: {reason}") from error
    if stat.S_ISDIR(mode):
        raise PhotoError(f"{label}: is a folder, not a photo; name the photos inside it")
    raise PhotoError(f"{label}: is a pipe, socket or device, not a photo; save it as a file first")


def _rgb_of_file(file: BinaryIO, label: str, max_pixels: int) -> RGB:
    with _refusing(label):
        image = open_encoded(file)
    if image is None:
        file.seek(0)
        found = "it holds none of" if file.read(1) else "it is empty (0 bytes), expected one of"
        raise PhotoError(f"{label}: is not a photo: {found} {', '.join(FORMATS)}")
    return _decoded(image, label, max_pixels)


def _decoded(image: Image.Image, label: str, max_pixels: int) -> RGB:
    width, height = image.size
    if width * height > max_pixels:
        raise PhotoError(
            f"{label}: {width} x {height} pixels are more than the {max_pixels:,} allowed; "
            "make it smaller, or raise the limit (max_pixels, --max-megapixels)",
            status="too_large",
        )
    with _refusing(label):
        image.load()
        return srgb_pixels(upright(image), label)


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
