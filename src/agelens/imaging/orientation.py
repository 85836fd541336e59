"""Turning a picture upright, as the EXIF tag Orientation (0x0112) says.

Pillow reads that tag too, but warns about every other damaged entry of the same block,
and warnings can't be silenced in one thread without touching the others: so the one
number is read here. Plugins that turn pictures themselves (TIFF, HEIC) leave none to read.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from PIL import Image
from PIL.ExifTags import Base

_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_BYTE_ORDERS: Final = {b"II": "<", b"MM": ">"}
_INTEGER_TYPES: Final = {1: "B", 3: "H", 4: "I"}
_ENTRY_BYTES: Final = 12


def upright(image: Image.Image) -> Image.Image:
    """A loaded `image` turned upright; itself where it is upright already."""
    turn = _TURNS.get(exif_orientation(_exif_block(image.info)))
    return image if turn is None else image.transpose(turn)


def exif_orientation(exif: bytes) -> int:
    """The Orientation in an EXIF block; 1, upright, where it is absent or damaged."""
    body = exif.removeprefix(b"Exif\x00\x00")
    order = _BYTE_ORDERS.get(body[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}I", body, 4)
        (entries,) = struct.unpack_from(f"{order}H", body, start)
        for offset in range(start + 2, start + 2 + entries * _ENTRY_BYTES, _ENTRY_BYTES):
            tag, kind = struct.unpack_from(f"{order}HH", body, offset)
            if tag == Base.Orientation and kind in _INTEGER_TYPES:
                return int(struct.unpack_from(order + _INTEGER_TYPES[kind], body, offset + 8)[0])
    except struct.error:  # the block ends early
        return 1
    return 1


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
