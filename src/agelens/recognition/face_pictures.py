"""What pages of recognition show: a face, when its photo was taken, and what they are not for."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from PIL import Image
from PIL.ExifTags import IFD, Base

from agelens.errors import PhotoError
from agelens.foreign_files import decoding
from agelens.imaging.photos import open_encoded
from agelens.records import RGB, Floats

NOT_FOR: Final = (
    "This page is for your own photos, or for research that the people shown agreed to. Do not use "
    "it to find, follow or name people who have not agreed to be found.",
    "A similarity is no proof of identity: relatives, children, and people of one group are "
    "confused more often than strangers. Nobody may be let in, turned away, accused or paid by it.",
    "It tells people apart, as a fingerprint does: in many countries the law protects such data. "
    "Nothing was sent anywhere to make it. Delete it when you are done.",
)

_MARGIN: Final = 0.3
_SIDE: Final = 224
_QUALITY: Final = 85
_EXIF_TIME: Final = "%Y:%m:%d %H:%M:%S"


def face_jpeg(rgb: RGB, box_xyxy: Floats) -> bytes:
    """The face in a square with some of what is around it, as JPEG of 224 pixels a side."""
    x1, y1, x2, y2 = np.asarray(box_xyxy, dtype=float)
    half = max(x2 - x1, y2 - y1) * (0.5 + _MARGIN)
    centre = (x1 + x2) / 2, (y1 + y2) / 2
    scale = _SIDE / (2 * half)
    matrix = np.array(
        [[scale, 0, _SIDE / 2 - scale * centre[0]], [0, scale, _SIDE / 2 - scale * centre[1]]]
    )
    cut = cv2.warpAffine(
        rgb, matrix, (_SIDE, _SIDE), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE
    )
    _, content = cv2.imencode(
        ".jpg", cv2.cvtColor(cut, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    )
    return content.tobytes()


def taken_at(path: Path) -> datetime | None:
    """When the photo was taken by its EXIF block; None where it does not say, or is damaged."""
    try:
        with decoding(path, "EXIF", PhotoError), path.open("rb") as file:
            image = open_encoded(file)
            if image is None:
                return None
            exif = Image.Exif()
            exif.load(image.info.get("exif", b""))
            stated = exif.get_ifd(IFD.Exif).get(Base.DateTimeOriginal)
            return datetime.strptime(str(stated).strip("\0 "), _EXIF_TIME) if stated else None
    except PhotoError:
        return None
