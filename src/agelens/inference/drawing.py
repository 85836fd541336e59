"""Annotated pictures: a box, the age and its interval for each face."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from PIL import Image

from agelens.records import RGB, AgeEstimate, PhotoResult
from agelens.whole_file import whole_file

_SURE: Final = (40, 200, 90)
_REFER: Final = (255, 150, 30)
_INK: Final = (10, 10, 10)
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
_JPEG_QUALITY: Final = 92


def annotate(rgb: RGB, result: PhotoResult) -> RGB:
    """A copy of the photo [H, W, 3] with every face of `result` marked.

    Faces that carry `refer` are orange instead of green and say "refer".
    """
    canvas = np.array(rgb)
    weight = max(1, round(max(canvas.shape[:2]) / 400))
    for face in result.faces:
        _mark(canvas, face, weight)
    return canvas


def label(face: AgeEstimate) -> str:
    """What is written at a face: `29 [22-36]`, the track's smoothed age where there is one."""
    age = face.track or face
    words = [f"{age.age_years:.0f} [{age.low_years:.0f}-{age.high_years:.0f}]"]
    if face.track:
        words.insert(0, f"#{face.track.track}")
    if face.gender:
        words.append(face.gender)
    if face.refer:
        words.append("refer")
    return " ".join(words)


def save_jpeg(rgb: RGB, path: Path) -> None:
    """Write a picture, whole or not at all; it carries no metadata of the photo.

    Raises:
        OutputError: the picture cannot be written.
    """
    encoded = BytesIO()  # Pillow, writing to a file, overlooks that a full disk took only a part
    Image.fromarray(rgb).save(encoded, format="JPEG", quality=_JPEG_QUALITY)
    with whole_file(path) as partial:
        partial.write_bytes(encoded.getvalue())


def _mark(canvas: RGB, face: AgeEstimate, weight: int) -> None:
    if face.face is None:
        return
    left, top, right, bottom = np.round(face.face.box_xyxy).astype(int).tolist()
    colour = _REFER if face.refer else _SURE
    cv2.rectangle(canvas, (left, top), (right, bottom), colour, weight, cv2.LINE_AA)
    text = label(face)
    scale = min(max((right - left) / 180, 0.35 * weight), 1.2 * weight)
    (width, height), below = cv2.getTextSize(text, _FONT, scale, weight)
    x = int(np.clip(left, 0, max(0, canvas.shape[1] - width - 4)))
    y = int(np.clip(top - below, height + 4, canvas.shape[0] - below))
    cv2.rectangle(canvas, (x, y - height - 4), (x + width + 4, y + below), colour, cv2.FILLED)
    cv2.putText(canvas, text, (x + 2, y), _FONT, scale, _INK, weight, cv2.LINE_AA)
