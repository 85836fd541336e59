"""Video and camera frames, on videos drawn and encoded here."""

from __future__ import annotations

import logging
import os
import struct
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import cv2
import numpy as np
import pytest

from agelens.errors import FolderGoneError, PhotoError, UsageError
from agelens.imaging import video
from agelens.imaging.folders import FOLDERS
from agelens.imaging.photos import display_name
from agelens.imaging.video import camera_frames, read_frames
from agelens.records import Photo

FRAMES, RATE, WIDTH, HEIGHT = 20, 10.0, 96, 64
CODECS = {"clip.mp4": "mp4v", "clip.avi": "MJPG"}
RED_RGB = (255, 0, 0)
QUARTER_TURN = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
OpenCapture = Callable[..., cv2.VideoCapture]


def write_video(path: Path, frames: int = FRAMES) -> Path:
    """Grey frames, 12 levels brighter each, with a red bar on the left."""
    codec = cv2.VideoWriter.fourcc(*CODECS[f"clip{path.suffix}"])
    writer = cv2.VideoWriter(str(path), codec, RATE, (WIDTH, HEIGHT))
    assert writer.isOpened()
    for number in range(frames):
        picture = np.full((HEIGHT, WIDTH, 3), 12 * number, np.uint8)
        picture[:, :24] = RED_RGB[::-1]
        writer.write(picture)
    writer.release()
    return path


def number_in(photo: Photo) -> int:
    """The frame number that the photo's grey level encodes."""
    return round(float(photo.rgb[8:-8, 40:-8].mean()) / 12)


@pytest.fixture(params=sorted(CODECS))
def clip(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write_video(tmp_path / request.param)


@pytest.fixture
def captures(monkeypatch: pytest.MonkeyPatch) -> list[cv2.VideoCapture]:
    """Every capture that is opened during the test."""
    opened: list[cv2.VideoCapture] = []

    def opening(*arguments: str | int) -> cv2.VideoCapture:
        opened.append(open_capture(*arguments))
        return opened[-1]

    open_capture: OpenCapture = cv2.VideoCapture
    monkeypatch.setattr(cv2, "VideoCapture", opening)
    return opened


@pytest.mark.parametrize("every", [1, 2, 7, 19, 20, 1000])
def test_kept_frames_carry_their_own_number_picture_and_time(clip: Path, every: int) -> None:
    photos = list(read_frames(clip, every=every))
    numbers = list(range(0, FRAMES, every))
    assert [photo.frame for photo in photos] == numbers
    assert [number_in(photo) for photo in photos] == numbers
    assert [photo.time_seconds for photo in photos] == pytest.approx([n / RATE for n in numbers])
    assert {photo.source for photo in photos} == {display_name(clip)}


def test_pictures_are_upright_rgb(clip: Path) -> None:
    photo = next(read_frames(str(clip)))
    assert (photo.rgb.shape, photo.rgb.dtype) == ((HEIGHT, WIDTH, 3), np.uint8)
    np.testing.assert_allclose(photo.rgb[8:-8, 4:20].mean(axis=(0, 1)), RED_RGB, atol=12)


def test_pictures_do_not_share_memory(clip: Path) -> None:
    first, second, *_ = read_frames(clip)
    assert not np.shares_memory(first.rgb, second.rgb)
    assert (number_in(first), number_in(second)) == (0, 1)


def test_rotation_that_the_file_asks_for_is_applied(tmp_path: Path) -> None:
    path = write_video(tmp_path / "turned.mp4")
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 44  # after type, version, times, id, layer, volume
    content[matrix : matrix + len(QUARTER_TURN)] = QUARTER_TURN
    path.write_bytes(content)
    photo = next(read_frames(path))
    assert photo.rgb.shape == (WIDTH, HEIGHT, 3)
    # Turned clockwise, the bar on the left becomes a bar on top.
    np.testing.assert_allclose(photo.rgb[4:20, 8:-8].mean(axis=(0, 1)), RED_RGB, atol=12)
    assert photo.rgb[40:-8].mean() < 12


def test_a_relative_path_that_looks_like_a_protocol_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(tmp_path / "clip.avi").rename(tmp_path / "concat:clip.avi")
    monkeypatch.chdir(tmp_path)
    photos = list(read_frames("concat:clip.avi"))
    assert len(photos) == FRAMES
    assert photos[0].source == "concat:clip.avi"


def test_a_cut_off_video_yields_what_decodes_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_video(tmp_path / "clip.avi")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 4 // 5])
    with caplog.at_level(logging.WARNING):
        photos = list(read_frames(path))
    assert 5 <= len(photos) < FRAMES
    whole = photos[:-1]  # the cut goes through the last picture
    assert [number_in(photo) for photo in whole] == list(range(len(whole)))
    assert f"ended after {len(photos)} of about {FRAMES} frames" in caplog.text
    assert "clip" not in caplog.text


def test_a_video_whose_folder_went_away(clip: Path) -> None:
    with FOLDERS.must_stay():
        frames = read_frames(clip)
        next(frames)
        clip.parent.rename(f"{clip.parent}-elsewhere")
        with pytest.raises(FolderGoneError, match="the folder went away"):
            list(frames)


def test_a_whole_video_logs_nothing(clip: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        assert len(list(read_frames(clip, every=3))) == 7
    assert not caplog.records


@pytest.mark.parametrize("suffix", ["mp4", "avi", "txt"])
def test_text_is_not_a_video(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"words.{suffix}"
    path.write_text("these are words, not frames\n" * 200)
    with pytest.raises(PhotoError, match=rf"words\.{suffix}: not a video") as caught:
        next(read_frames(path))
    assert caught.value.status == "unreadable"


@pytest.mark.parametrize("name", ["clip.mp4", "clip.avi"])
def test_a_video_of_no_frames_is_unreadable(tmp_path: Path, name: str) -> None:
    path = write_video(tmp_path / name, frames=0)
    with pytest.raises(PhotoError, match=name) as caught:
        next(read_frames(path))
    assert caught.value.status == "unreadable"


def test_an_index_lost_with_the_end_of_an_mp4_is_unreadable(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(PhotoError, match=r"clip\.mp4: not a video"):
        next(read_frames(path))


def test_an_empty_file_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "empty.mp4"
    path.touch()
    with pytest.raises(PhotoError, match=r"empty\.mp4: the file is empty") as caught:
        next(read_frames(path))
    assert caught.value.status == "unreadable"


@pytest.mark.parametrize("name", ["gone.mp4", "gone/clip.mp4", "nul\0.mp4", "%03d.png"])
def test_a_missing_file_is_missing(tmp_path: Path, name: str) -> None:
    with pytest.raises(PhotoError, match="no such file") as caught:
        next(read_frames(tmp_path / name))
    assert caught.value.status == "missing"


def test_a_folder_is_not_a_video(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match="not a file") as caught:
        next(read_frames(tmp_path))
    assert caught.value.status == "unreadable"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_rather_than_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(PhotoError, match="not a file"):
        next(read_frames(tmp_path / "pipe.mp4"))


def test_a_file_that_may_not_be_read_is_unreadable(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(PhotoError, match="cannot be opened: Permission denied") as caught:
        next(read_frames(clip))
    assert caught.value.status == "unreadable"


def test_a_name_that_would_crash_opencv_is_refused(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff\xfe.avi")
    try:
        write_video(tmp_path / "clip.avi").rename(path)
    except OSError:
        pytest.skip("this file system takes only names in UTF-8")
    with pytest.raises(PhotoError, match=r"\\xff\\xfe\.avi: OpenCV opens only .* rename it"):
        next(read_frames(path))


def test_the_capture_is_released_at_the_end(clip: Path, captures: list[cv2.VideoCapture]) -> None:
    list(read_frames(clip))
    assert [capture.isOpened() for capture in captures] == [False]


def test_the_capture_is_released_when_the_iterator_is_closed(
    clip: Path, captures: list[cv2.VideoCapture]
) -> None:
    frames = read_frames(clip)
    assert not captures, "nothing is opened before the first frame is asked for"
    next(frames)
    assert captures[0].isOpened()
    frames.close()  # type: ignore[attr-defined]
    assert not captures[0].isOpened()


def test_the_capture_is_released_after_an_error(
    tmp_path: Path, captures: list[cv2.VideoCapture]
) -> None:
    path = write_video(tmp_path / "none.avi", frames=0)
    with pytest.raises(PhotoError):
        next(read_frames(path))
    assert [capture.isOpened() for capture in captures] == [False]


class Stamped:
    """A capture whose time stamps and frame rate are what the test says."""

    def __init__(self, stamps_msec: list[float], rate: float) -> None:
        self.stamps_msec, self.rate, self.grabbed = stamps_msec, rate, 0

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return True

    def set(self, property_id: int, value: float) -> bool:
        return True

    def get(self, property_id: int) -> float:
        values = {cv2.CAP_PROP_FPS: self.rate, cv2.CAP_PROP_FRAME_COUNT: len(self.stamps_msec)}
        if property_id == cv2.CAP_PROP_POS_MSEC:
            return self.stamps_msec[self.grabbed - 1]
        return values.get(property_id, 0)

    def grab(self) -> bool:
        self.grabbed += 1
        return self.grabbed <= len(self.stamps_msec)

    def retrieve(self) -> tuple[bool, np.ndarray]:
        return True, np.zeros((4, 4, 3), np.uint8)

    def release(self) -> None:
        pass


@pytest.mark.parametrize(
    ("stamps_msec", "rate", "expected"),
    [
        ([0, 40, 200, 210], 25, [0, 0.04, 0.2, 0.21]),  # a variable rate is believed
        ([0, 0, 0, 0], 25, [0, 0.04, 0.08, 0.12]),  # no stamps
        ([-1, -1, -1, -1], 25, [0, 0.04, 0.08, 0.12]),
        ([float("nan")] * 4, 25, [0, 0.04, 0.08, 0.12]),
        ([0, 40, 5, 45], 25, [0, 0.04, 0.08, 0.12]),  # the clock starts again
        ([0, 0, 0, 0], 0, [0, None, None, None]),  # neither stamps nor rate
        ([0, 0, 0, 0], float("inf"), [0, None, None, None]),
    ],
)
def test_time_is_the_stamp_where_it_makes_sense(
    clip: Path,
    monkeypatch: pytest.MonkeyPatch,
    stamps_msec: list[float],
    rate: float,
    expected: list[float | None],
) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: Stamped(stamps_msec, rate))
    assert [photo.time_seconds for photo in read_frames(clip)] == pytest.approx(expected)


@pytest.mark.parametrize("every", [0, -3])
def test_every_below_one_is_refused_at_once(clip: Path, every: int) -> None:
    with pytest.raises(UsageError, match="every must be at least 1"):
        read_frames(clip, every=every)
    with pytest.raises(UsageError, match="every must be at least 1"):
        camera_frames(0, every=every)


def test_an_absent_camera_is_missing_quickly_and_quietly(
    capfd: pytest.CaptureFixture[str],
) -> None:
    start = time.monotonic()
    with pytest.raises(PhotoError, match=r"camera:97: no such camera\. Check") as caught:
        next(camera_frames(97))
    assert caught.value.status == "missing"
    assert time.monotonic() - start < 10
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("index", [-1, 100, 10**9])
def test_an_index_that_opencv_misreads_is_refused_at_once(index: int) -> None:
    with pytest.raises(UsageError, match="0 to 99"):
        camera_frames(index)


@pytest.mark.parametrize("camera", ["", "front", "no\0device", "/dev/video-none"])
def test_a_word_that_opencv_cannot_open_is_refused_at_once(camera: str) -> None:
    with pytest.raises(UsageError, match="a camera is a number, an address such as rtsp://"):
        camera_frames(camera)


@pytest.mark.parametrize(
    ("camera", "name"),
    [
        (3, "camera:3"),
        ("/dev/video0", "camera:/dev/video0"),
        ("rtsp://ann:secret@host:554/live?token=abc", "camera:rtsp://host:554/live"),
        ("http://host/a@b.mjpg", "camera:http://host/a@b.mjpg"),
    ],
)
def test_names_of_cameras_tell_no_password(camera: int | str, name: str) -> None:
    assert video.camera_name(camera) == name


@pytest.fixture
def served(clip: Path) -> Iterator[str]:
    """The address of a video on a server of our own."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = partial(Quiet, directory=str(clip.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/{clip.name}"
        server.shutdown()


def test_an_address_is_a_camera(served: str) -> None:
    photos = list(camera_frames(served, every=5))
    assert [photo.frame for photo in photos] == [0, 5, 10, 15]
    assert {photo.source for photo in photos} == {f"camera:{served}"}


def test_an_address_that_does_not_answer_is_missing() -> None:
    with pytest.raises(PhotoError, match=r"OpenCV cannot open it\. Check the address") as caught:
        next(camera_frames("http://ann:secret@127.0.0.1:9/live"))
    assert caught.value.status == "missing"
    assert "secret" not in str(caught.value)


def test_a_number_may_come_as_text(camera: list[cv2.VideoCapture]) -> None:
    assert next(camera_frames("3")).source == "camera:3"


def test_opencv_talks_as_before_once_a_source_is_open(clip: Path) -> None:
    logging_of = cv2 if hasattr(cv2, "getLogLevel") else cv2.utils.logging
    before = logging_of.getLogLevel()
    with pytest.raises(PhotoError):
        next(camera_frames(97))
    next(read_frames(clip))
    assert logging_of.getLogLevel() == before != 0


@pytest.fixture
def camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[cv2.VideoCapture]:
    """A camera that films a video file; what it opens is in the list."""
    path, open_capture = write_video(tmp_path / "scene.avi"), cv2.VideoCapture
    opened: list[cv2.VideoCapture] = []

    def opening(index: int, backend: int) -> cv2.VideoCapture:
        assert (index, backend) == (3, cv2.CAP_ANY)
        opened.append(open_capture(str(path), cv2.CAP_FFMPEG))
        return opened[-1]

    monkeypatch.setattr(cv2, "VideoCapture", opening)
    return opened


def test_camera_frames_are_numbered_and_timed(camera: list[cv2.VideoCapture]) -> None:
    photos = list(camera_frames(3, every=5))
    assert [photo.frame for photo in photos] == [0, 5, 10, 15]
    assert [number_in(photo) for photo in photos] == [0, 5, 10, 15]
    assert {photo.source for photo in photos} == {"camera:3"}
    np.testing.assert_allclose(photos[0].rgb[8:-8, 4:20].mean(axis=(0, 1)), RED_RGB, atol=12)
    times = [photo.time_seconds for photo in photos]
    assert times[0] == 0
    assert times == sorted(times)
    assert not camera[0].isOpened()


def test_closing_frees_the_camera(camera: list[cv2.VideoCapture]) -> None:
    frames = camera_frames(3)
    next(frames)
    assert camera[0].isOpened()
    frames.close()  # type: ignore[attr-defined]
    assert not camera[0].isOpened()


def test_a_camera_without_a_picture_is_unreadable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: Stamped([], 30))
    with pytest.raises(PhotoError, match="camera:0: opens but gives no picture") as caught:
        next(camera_frames(0))
    assert caught.value.status == "unreadable"


def test_a_picture_that_does_not_convert_is_left_out(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture = Stamped([0, 40, 80], 25)
    monkeypatch.setattr(capture, "retrieve", lambda: (False, None))
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: capture)
    with pytest.raises(PhotoError, match="no frame of this video decodes"):
        next(read_frames(clip))


@pytest.mark.parametrize(
    ("decoded", "announced", "warned"),
    [(100, 100, False), (98, 100, False), (97, 100, True), (2, 4, False), (980, 1000, False),
     (979, 1000, True), (5, 0, False), (5, -1, False), (5, float("nan"), False)],
)  # fmt: skip
def test_small_differences_from_the_announced_length_are_normal(
    decoded: int, announced: float, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        video._warn_if_short(decoded, announced)
    assert bool(caplog.records) == warned
