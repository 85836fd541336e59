"""Annotated videos: as many frames as were added, at their rate."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from agelens.errors import OutputError
from agelens.imaging.video import read_frames
from agelens.inference.drawing import DrawnVideo
from agelens.records import RGB


def frame(level: int, size_hw: tuple[int, int] = (64, 96)) -> RGB:
    picture = np.full((*size_hw, 3), 12 * level, dtype=np.uint8)
    picture[:, : size_hw[1] // 3] = (255, 0, 0)
    return picture


def write(path: Path, count: int, gap_seconds: float | None = 0.1) -> Path:
    with DrawnVideo(path) as drawn:
        for n in range(count):
            drawn.add(frame(n), None if gap_seconds is None else n * gap_seconds)
    return path


@pytest.mark.parametrize("count", [1, 2, 3, 20])
def test_every_frame_arrives_in_order_and_colour(count: int, tmp_path: Path) -> None:
    frames = list(read_frames(write(tmp_path / "out.mp4", count)))
    assert len(frames) == count
    for n, photo in enumerate(frames):
        assert photo.rgb.shape == (64, 96, 3)
        assert photo.rgb[8:-8, 48:-8].mean() == pytest.approx(12 * n, abs=6)
        np.testing.assert_allclose(photo.rgb[8:-8, 4:24].mean(axis=(0, 1)), (255, 0, 0), atol=15)


@pytest.mark.parametrize(("gap_seconds", "rate"), [(0.1, 10), (0.04, 25), (None, 25), (0.0, 25)])
def test_the_rate_is_that_of_the_times(
    gap_seconds: float | None, rate: float, tmp_path: Path
) -> None:
    capture = cv2.VideoCapture(str(write(tmp_path / "out.mp4", 4, gap_seconds)))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(rate, abs=0.01)
    capture.release()


def test_odd_sizes_lose_at_most_a_line(tmp_path: Path) -> None:
    with DrawnVideo(tmp_path / "odd.mp4") as drawn:
        for n in range(3):
            drawn.add(frame(n, (65, 97)), n / 10)
    assert [photo.rgb.shape for photo in read_frames(drawn.path)] == [(64, 96, 3)] * 3


def test_no_frames_write_no_file(tmp_path: Path) -> None:
    assert not write(tmp_path / "out.mp4", 0).exists()


def test_what_came_before_a_failure_can_be_seen(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), DrawnVideo(tmp_path / "out.mp4") as drawn:
        for n in range(5):
            drawn.add(frame(n), n / 10)
        raise KeyboardInterrupt
    assert len(list(read_frames(drawn.path))) == 5


def test_a_folder_that_does_not_exist_is_told(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot write the video .*out\.mp4"):
        write(tmp_path / "none" / "out.mp4", 2)
