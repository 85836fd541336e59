"""Recognising an encoded picture by its first bytes and opening it with Pillow's reader for it.

`PIL.Image.open` is passed by on purpose: its limit on pixels and its list of readers are
global to the process, it warns, and it tries formats that no photo comes in. Here the
readers are those named below, each loaded at the first picture that needs it.
"""

from __future__ import annotations

from importlib import import_module
from typing import BinaryIO, Final

from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile

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
    return opened


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
