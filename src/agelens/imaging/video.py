"""Frames of a video file or a camera as photos, decoded one at a time by OpenCV.

FFmpeg prints its complaints about damaged files straight to stderr, and reads
OPENCV_FFMPEG_LOGLEVEL only once, when a process first uses it. That choice belongs to
the program, so nothing here makes it; a program that wants silence sets it to -8
before its first video.
"""

from __future__ import annotations

import logging
import math
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Final
from urllib.parse import urlsplit

import cv2
import numpy as np

from agelens.errors import PhotoError, UsageError
from agelens.imaging.folders import FOLDERS
from agelens.imaging.photos import display_name
from agelens.records import RGB, Photo

_LOG = logging.getLogger(__name__)
_OPENING: Final = Lock()
_SILENT: Final = 0
_LAST_CAMERA: Final = 99
_TEXT_CODEC: Final = cv2.VideoWriter.fourcc(*"ansi")
_COUNT_SLACK: Final = 0.02


def read_frames(path: str | os.PathLike[str], *, every: int = 1) -> Iterator[Photo]:
    """Yield every `every`-th frame of the video at `path`, upright, from its first.

    Rotation that the file asks for is applied. A photo's `frame` counts from 0 over all
    frames that decode, kept or not; `time_seconds` is the file's own time stamp, or frame
    number over frame rate where the stamps make no sense (None where there is no rate
    either). The file is opened when the first frame is asked for and closed at the end,
    or when the iterator is closed or dropped.

    A file that is cut off or damaged further on yields what decodes; FFmpeg patches up
    the picture that the cut goes through. That the end came early (over 2 % and two frames
    short: many containers only estimate their length) is a logged warning without the
    file's name, not an error, so that the frames before it stay of use.

    Raises:
        UsageError: `every` is below 1 (at once; the others when iterating).
        PhotoError: status ``missing`` where there is no such file, ``unreadable`` where it
            is a folder, may not be read, or no frame of it decodes.
        FolderGoneError: its folder went away, see `agelens.imaging.folders`.
    """
    _check_every(every)
    return _of_a_folder_that_stays(Path(path), _file_frames(Path(path), every))


def camera_frames(camera: int | str, *, every: int = 1) -> Iterator[Photo]:
    """Yield every `every`-th frame of a camera or stream until it stops giving any.

    `source` is ``camera:`` and the number or address, without a password in it; `time_seconds`
    counts from the first frame. The camera is opened when the first frame is asked for, and
    freed as in `read_frames`.

    Args:
        camera: its number, 0 for the first; or whatever else OpenCV opens: an address such as
            ``rtsp://host/stream`` or ``http://host/video.mjpg``, a device such as
            ``/dev/video2``, a GStreamer pipeline.
        every: 1 keeps all frames.

    Raises:
        UsageError: `every` is below 1, a number outside 0 to 99, or no address (at once).
        PhotoError: status ``missing`` where no such camera opens, ``unreadable`` where it
            opens and gives no picture.
    """
    _check_every(every)
    if isinstance(camera, str) and camera.strip().lstrip("+-").isdecimal():
        camera = int(camera)
    # OpenCV crashes on negative indices and takes hundreds for the choice of a driver.
    if isinstance(camera, int) and not 0 <= camera <= _LAST_CAMERA:
        raise UsageError(f"a camera's index is 0 to {_LAST_CAMERA}, got {camera}; the first is 0")
    if isinstance(camera, str) and not _is_openable(camera):
        raise UsageError(
            f"a camera is a number, an address such as rtsp://host/stream, or a device; "
            f"{display_name(camera)!r} is none of them"
        )
    return _camera_frames(camera, every)


def camera_name(camera: int | str) -> str:
    """What results call a camera: its number or address, without user, password and query."""
    address = str(camera)
    if "://" in address:
        parts = urlsplit(address)
        address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    return display_name(f"camera:{address}")


def _is_openable(camera: str) -> bool:
    """Whether OpenCV may know what to do with it: an address, a GStreamer pipeline, a device."""
    return "://" in camera or "!" in camera or os.path.exists(camera)  # noqa: PTH110 - nulls too


def error_as_last(frames: Iterator[Photo], name: str) -> Iterator[Photo | PhotoError]:
    """`frames` of the video or camera `name`; what ends them early comes as their last item."""
    try:
        yield from frames
    except PhotoError as error:
        yield PhotoError(str(error), status=error.status, source=name)


def _check_every(every: int) -> None:
    if every < 1:
        raise UsageError(f"every must be at least 1 (1 keeps all frames), got {every}")


def _of_a_folder_that_stays(path: Path, frames: Iterator[Photo]) -> Iterator[Photo]:
    FOLDERS.found(path.parent)
    try:
        yield from frames
    except PhotoError:
        FOLDERS.check(path)
        raise
    FOLDERS.check(path)  # for FFmpeg, a disk that is gone is the end of the video


def _file_frames(path: Path, every: int) -> Iterator[Photo]:
    name = display_name(path)
    _check_file(path, name)
    # An absolute path can't be mistaken for one of FFmpeg's protocols, such as `concat:`.
    with _capture(str(path.absolute()), cv2.CAP_FFMPEG) as capture:
        if not capture.isOpened() or int(capture.get(cv2.CAP_PROP_FOURCC)) == _TEXT_CODEC:
            raise PhotoError(f"{name}: not a video that FFmpeg can read; convert it to MP4 (H.264)")
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)  # OpenCV 4.11 turned it off
        decoded, kept, latest = 0, 0, -1.0
        for frame, rgb in _grabbed(capture, every):
            decoded = frame + 1
            if rgb is not None:
                seconds = _time_seconds(capture, frame, latest)
                latest = latest if seconds is None else seconds
                kept += 1
                yield Photo(rgb, name, frame, seconds)
        if not kept:
            raise PhotoError(f"{name}: no frame of this video decodes; is the file cut off?")
        _warn_if_short(decoded, capture.get(cv2.CAP_PROP_FRAME_COUNT))


def _camera_frames(camera: int | str, every: int) -> Iterator[Photo]:
    name = camera_name(camera)
    with _capture(camera, cv2.CAP_ANY) as capture:
        if not capture.isOpened():
            raise PhotoError(f"{name}: {_no_camera(camera)}", status="missing")
        start = None
        for frame, rgb in _grabbed(capture, every):
            if rgb is not None:
                # Drivers disagree on what their time stamps count from; this clock does not.
                now = time.monotonic()
                start = now if start is None else start
                yield Photo(rgb, name, frame, now - start)
        if start is None:
            raise PhotoError(f"{name}: opens but gives no picture; is another program using it?")


def _no_camera(camera: int | str) -> str:
    if isinstance(camera, str):
        return (
            "OpenCV cannot open it. Check the address, user and password, and that this machine "
            "reaches it"
        )
    return (
        "no such camera. Check that it is plugged in, that no other program holds it, that this "
        f"user may use it (on Linux: group video, /dev/video{camera}; on macOS and Windows: "
        "privacy settings), or try another index"
    )


def _grabbed(capture: cv2.VideoCapture, every: int) -> Iterator[tuple[int, RGB | None]]:
    """Each frame's number, with its picture where it is to be kept and can be had."""
    frame = 0
    while capture.grab():
        rgb = None
        if frame % every == 0:
            converted, bgr = capture.retrieve()
            if converted:
                rgb = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)
        yield frame, rgb
        frame += 1


def _time_seconds(capture: cv2.VideoCapture, frame: int, latest: float) -> float | None:
    """The frame's own time stamp where it is after `latest`, else frame number over rate."""
    seconds = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
    if math.isfinite(seconds) and seconds >= 0 and seconds > latest:
        return seconds
    rate = capture.get(cv2.CAP_PROP_FPS)
    return frame / rate if math.isfinite(rate) and rate > 0 else None


def _check_file(path: Path, name: str) -> None:
    """Say what is wrong with a file in the words that FFmpeg has none for."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise PhotoError(f"{name}: not a file; expected a video such as an MP4")
        path.open("rb").close()
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:  # ValueError: a null byte
        raise PhotoError(f"{name}: no such file; check the path", status="missing") from error
    except OSError as error:
        raise PhotoError(f"{name}: cannot be opened: {error.strerror}") from error
    if not status.st_size:
        raise PhotoError(f"{name}: the file is empty; copy or download it again")
    if not _is_utf8(path.absolute()):
        raise PhotoError(f"{name}: OpenCV opens only paths that are valid UTF-8; rename it")


def _is_utf8(path: Path) -> bool:
    """Whether `path` may be handed to OpenCV, which crashes on undecodable bytes in a name."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _warn_if_short(decoded: int, announced: float) -> None:
    missing = announced - decoded
    if missing > max(2.0, _COUNT_SLACK * announced):
        _LOG.warning(
            "a video ended after %d of about %d frames; the file may be cut off or damaged",
            decoded,
            announced,
        )


@contextmanager
def _capture(source: str | int, backend: int) -> Iterator[cv2.VideoCapture]:
    """A capture that is released whatever happens; OpenCV is silent while it opens."""
    # OpenCV's log level is the process's: under a lock, so that each opening puts it back.
    with _OPENING:
        level = _set_log_level(_SILENT)
        try:
            capture = cv2.VideoCapture(source, backend)
        finally:
            _set_log_level(level)
    try:
        yield capture
    finally:
        capture.release()


def _set_log_level(level: int) -> int:
    """Set OpenCV's log level and return the one before; it moved between OpenCV 4 and 5."""
    owner = cv2 if hasattr(cv2, "setLogLevel") else cv2.utils.logging
    return int(owner.setLogLevel(level))
