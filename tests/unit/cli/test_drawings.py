"""Where drawings go: one a photo, never over another, never over a photo."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from agelens.cli.drawings import Drawings, has_display, in_window
from agelens.errors import OutputError, UsageError
from agelens.imaging.sources import Source
from agelens.imaging.video import read_frames
from agelens.inference.results import PhotoResult
from agelens.records import Photo


def source(path: Path | str) -> Source:
    return Source(Path(path), "video" if str(path).endswith((".mp4", ".avi")) else "photo")


def draw(drawings: Drawings, name: str, level: int) -> None:
    rgb = np.full((16, 16, 3), level, np.uint8)
    drawings.photo(Photo(rgb, name), PhotoResult(name, "no_face", ""))


def level_of(path: Path) -> int:
    with Image.open(path) as picture:
        return round(float(np.asarray(picture).mean()))


def test_names_are_those_of_the_photos(tmp_path: Path) -> None:
    drawings = Drawings(tmp_path / "deep" / "drawn")
    drawings.allot(source("x/party.old.png"))
    draw(drawings, "x/party.old.png", 100)
    assert [p.name for p in drawings.folder.iterdir()] == ["party.old.jpg"]


def test_two_photos_of_one_name_get_two_drawings_in_input_order(tmp_path: Path) -> None:
    drawings = Drawings(tmp_path)
    names = ["x/a.jpg", "y/a.png", "z/a-2.jpg"]
    for name in names:
        drawings.allot(source(name))
    for name, level in reversed(list(zip(names, (50, 100, 150), strict=True))):
        draw(drawings, name, level)
    levels = {p.name: level_of(p) for p in tmp_path.iterdir()}
    assert levels == {"a.jpg": 50, "a-2.jpg": 100, "a-2-2.jpg": 150}


def test_a_photo_named_twice_gets_two_drawings(tmp_path: Path) -> None:
    drawings = Drawings(tmp_path)
    for _ in range(2):
        drawings.allot(source("x/a.jpg"))
    for _ in range(2):
        draw(drawings, "x/a.jpg", 50)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a-2.jpg", "a.jpg"]


def test_names_of_an_earlier_run_stay_taken_but_for_photos_it_never_drew(tmp_path: Path) -> None:
    drawings = Drawings(tmp_path)
    drawings.skip(source("x/a.jpg"))
    drawings.skip(Source(Path("y/b.jpg"), "photo", "no such file", "missing"))
    for name in ("y/a.jpg", "x/b.jpg"):
        drawings.allot(source(name))
        draw(drawings, name, 50)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a-2.jpg", "b.jpg"]


def test_a_photo_is_never_replaced_by_its_drawing(tmp_path: Path) -> None:
    original = tmp_path / "a.jpg"
    Image.new("RGB", (9, 9), "red").save(original)
    before = original.read_bytes()
    for folder in (tmp_path, tmp_path / "sub" / ".."):
        with pytest.raises(UsageError, match=r"a\.jpg: .*give --draw another folder"):
            Drawings(folder).allot(source(original))
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(UsageError, match="give --draw another folder"):
        Drawings(tmp_path / "link").allot(source(original))
    assert original.read_bytes() == before


def test_names_that_are_not_utf_8_are_drawn_under_their_printable_form(tmp_path: Path) -> None:
    drawings = Drawings(tmp_path)
    odd = source("caf\udce9.jpg")
    drawings.allot(odd)
    draw(drawings, odd.name, 50)
    assert [p.name for p in tmp_path.iterdir()] == [r"caf\xe9.jpg"]


def test_a_video_is_drawn_while_its_results_pass(tmp_path: Path) -> None:
    def tracked() -> Iterator[tuple[Photo | None, PhotoResult]]:
        for n in range(4):
            frame = Photo(np.full((64, 96, 3), 40 * n, np.uint8), "clip.avi", n, n / 10)
            yield frame, PhotoResult("clip.avi", "no_face", "", frame=n)
        yield None, PhotoResult("clip.avi", "unreadable", "cut off")

    results = list(Drawings(tmp_path).video(source("clip.avi"), tracked()))
    assert [r.status for r in results] == ["no_face"] * 4 + ["unreadable"]
    assert len(list(read_frames(tmp_path / "clip.mp4"))) == 4


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot make the folder"):
        Drawings(tmp_path / "file")
    with pytest.raises(OutputError, match="cannot make the folder"):
        Drawings(tmp_path / "file" / "below")


class TestWindow:
    @pytest.fixture
    def shown(self, monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray | None]:
        """The pictures that the window has shown, then None when it is closed."""
        pictures: list[np.ndarray | None] = []
        monkeypatch.setattr(cv2, "imshow", lambda _, picture: pictures.append(picture))
        monkeypatch.setattr(cv2, "waitKey", lambda _: ord("q") if len(pictures) == 2 else -1)
        monkeypatch.setattr(cv2, "destroyAllWindows", lambda: pictures.append(None))
        return pictures

    @staticmethod
    def frames() -> Iterator[tuple[Photo | None, PhotoResult]]:
        for number in range(5):
            rgb = np.full((40, 60, 3), (200, 100, number), np.uint8)
            yield Photo(rgb, "camera:0", number), PhotoResult("camera:0", "no_face", "")

    def test_frames_are_shown_in_opencvs_colours_until_q(
        self, shown: list[np.ndarray | None]
    ) -> None:
        passed = [frame for frame, _ in in_window(self.frames())]
        assert [frame.frame for frame in passed if frame] == [0, 1]
        assert [None if one is None else one[0, 0].tolist() for one in shown] == [
            *([0, 100, 200], [1, 100, 200], None),
        ]

    def test_a_row_without_a_frame_passes(self, shown: list[np.ndarray | None]) -> None:
        gone = PhotoResult("camera:0", "missing", "no such camera")
        assert list(in_window(iter([(None, gone)]))) == [(None, gone)]
        assert shown == [None]

    def test_the_window_is_closed_where_the_run_stops(self, shown: list[np.ndarray | None]) -> None:
        frames = in_window(self.frames())
        next(frames)
        frames.close()  # type: ignore[attr-defined]
        assert shown[-1] is None

    @pytest.mark.skipif(sys.platform != "linux", reason="others always have one")
    def test_a_display_is_what_the_environment_says(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("DISPLAY", "WAYLAND_DISPLAY"):
            monkeypatch.delenv(name, raising=False)
        assert not has_display()
        monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
        assert has_display()
