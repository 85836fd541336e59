from __future__ import annotations

import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agelens.imaging.photos import display_name
from agelens.imaging.sources import PHOTO_SUFFIXES, VIDEO_SUFFIXES, Source, expand, is_video

NOBODY = 65534
ALBUM = ["album/a.PNG", "album/b.jpg", "album/c.mp4", "album/img[1].jpg"]


@pytest.fixture
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of photos, a video and other things; the tests run in it."""
    for name in (
        "b.jpg", "a.PNG", "c.mp4", "notes.txt", ".hidden.jpg", "img[1].jpg", "README",
        "trips/x.heic", "trips/rome/y.jpg", "trips/rome/z.mov", "trips/.cache/thumb.jpg",
        "empty/notes.txt", "jpg",
    ):  # fmt: skip
        path = tmp_path / "album" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "album"


def names(*inputs: str, **options: object) -> list[str]:
    found = list(expand(inputs, **options))  # type: ignore[arg-type]
    assert [source.problem for source in found] == [None] * len(found)
    assert {source.status for source in found} <= {"ok"}
    return [str(source.path) for source in found]


def problem(*inputs: str, **options: object) -> Source:
    (source,) = expand(inputs, **options)  # type: ignore[arg-type]
    assert source.problem
    assert source.status in {"missing", "unreadable"}
    assert source.problem.startswith(source.name) or not inputs[0]
    return source


class TestFiles:
    def test_a_file_is_itself_whatever_its_suffix(self, album: Path) -> None:
        assert names("album/b.jpg", "album/notes.txt") == ["album/b.jpg", "album/notes.txt"]

    def test_kinds(self, album: Path) -> None:
        kinds = [source.kind for source in expand(["album/b.jpg", "album/c.mp4", "album/README"])]
        assert kinds == ["photo", "video", "photo"]

    @pytest.mark.parametrize("suffix", VIDEO_SUFFIXES)
    def test_is_video(self, suffix: str) -> None:
        assert is_video(f"clip{suffix}")
        assert is_video(Path(f"CLIP{suffix.upper()}"))

    @pytest.mark.parametrize("suffix", [*PHOTO_SUFFIXES, "", ".txt", ".mp4.jpg", "mp4"])
    def test_is_no_video(self, suffix: str) -> None:
        assert not is_video(f"clip{suffix}")

    def test_named_twice_comes_twice_in_order(self, album: Path) -> None:
        assert names("album/b.jpg", "album/a.PNG", "album/b.jpg") == [
            "album/b.jpg",
            "album/a.PNG",
            "album/b.jpg",
        ]

    @pytest.mark.parametrize("name", ["gone.jpg", "album/b.jpg/inside.jpg", ""])
    def test_missing(self, album: Path, name: str) -> None:
        assert problem(name).status == "missing"

    @pytest.mark.parametrize("name", ["nul\0byte", "n" * 300, "lone\ud800"])
    def test_impossible_names(self, album: Path, name: str) -> None:
        source = problem(name)
        assert source.status == "unreadable"
        source.problem.encode("utf-8")  # type: ignore[union-attr]

    def test_what_is_no_path_is_told_so_in_few_words(self) -> None:
        picture, address = expand(["data:image/png;base64," + "A" * 9000, "http://host/a.jpg"])
        assert picture.problem is not None
        assert "decode it (base64)" in picture.problem
        assert len(picture.problem) < 200
        assert len(picture.name) < 100
        assert address.problem == (
            "http://host/a.jpg: is an address, not a path, and nothing is fetched here; "
            "download it first"
        )

    def test_name_is_that_of_the_photo(self, album: Path) -> None:
        path = os.fsdecode(b"album/caf\xe9.jpg")
        Path(path).touch()
        (source,) = expand([path])
        assert source.name == display_name(path) == r"album/caf\xe9.jpg"
        assert path in names("album")


class TestFolders:
    @pytest.mark.parametrize("name", ["album", "album/", "./album"])
    def test_photos_and_videos_by_name(self, album: Path, name: str) -> None:
        assert names(name) == ALBUM

    def test_here(self, album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(album)
        assert names(".") == ["a.PNG", "b.jpg", "c.mp4", "img[1].jpg"]

    def test_recursive(self, album: Path) -> None:
        below = ["album/trips/x.heic", "album/trips/rome/y.jpg", "album/trips/rome/z.mov"]
        assert names("album", recursive=True) == ALBUM + below

    def test_a_hidden_folder_may_be_named(self, album: Path) -> None:
        assert names("album/trips/.cache") == ["album/trips/.cache/thumb.jpg"]

    def test_empty(self, album: Path) -> None:
        source = problem("album/empty")
        assert source.status == "missing"
        assert source.path == Path("album/empty")
        assert "--recursive" in source.problem  # type: ignore[operator]
        assert "--recursive" not in problem("album/empty", recursive=True).problem  # type: ignore[operator]

    def test_a_folder_named_like_a_photo_is_entered(self, album: Path) -> None:
        (album / "best.jpg").mkdir()
        (album / "best.jpg" / "k.jpg").touch()
        assert names("album") == ALBUM
        assert "album/best.jpg/k.jpg" in names("album", recursive=True)

    def test_links_in_a_circle_end(self, album: Path) -> None:
        (album / "trips" / "back").symlink_to(album)
        (album / "trips" / "rome" / "up").symlink_to(album / "trips")
        (album / "self").symlink_to(album / "self")
        found = names("album", recursive=True)
        assert len(found) == 7
        assert len(set(found)) == 7

    def test_links_to_folders_and_photos_are_followed(self, album: Path, tmp_path: Path) -> None:
        (tmp_path / "disk").mkdir()
        (tmp_path / "disk" / "d.jpg").touch()
        (album / "elsewhere").symlink_to(tmp_path / "disk")
        (album / "link.jpg").symlink_to(tmp_path / "disk" / "d.jpg")
        found = names("album", recursive=True)
        assert "album/elsewhere/d.jpg" in found
        assert "album/link.jpg" in found

    def test_deep_trees(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        depth = 1100  # more than Python's stack holds, in the walk as in shutil.rmtree
        monkeypatch.chdir(tmp_path)
        for _ in range(depth):
            Path("d").mkdir()
            os.chdir("d")
        Path("x.jpg").touch()
        try:
            assert names(str(tmp_path), recursive=True) == [f"{tmp_path}/{'d/' * depth}x.jpg"]
        finally:
            Path("x.jpg").unlink()
            for _ in range(depth):
                os.chdir("..")
                Path("d").rmdir()

    def test_files_are_not_looked_at_before_their_turn(self, album: Path) -> None:
        for number in range(50):
            (album / f"link-{number:02}.jpg").symlink_to(album / f"target-{number}")
        found = expand(["album"])
        first = next(found)
        for path in album.glob("*.jpg"):
            path.unlink()
        rest = list(found)
        assert first.name == "album/a.PNG"
        assert len(rest) == 53
        assert not any(source.problem for source in rest)

    def test_a_closed_folder_is_a_row(self) -> None:
        top = Path(tempfile.mkdtemp())
        try:
            top.chmod(0o755)
            (top / "open.jpg").touch()
            (top / "closed").mkdir()
            (top / "closed" / "x.jpg").touch()
            (top / "closed").chmod(0o000)
            with unprivileged():
                photo, closed = expand([str(top)], recursive=True)
                (other,) = expand([str(top / "*" / "x.jpg")])
                starred = list(expand([str(top / "**" / "*.jpg")]))
                (inside,) = expand([str(top / "closed" / "x.jpg")])
        finally:
            (top / "closed").chmod(0o755)
            shutil.rmtree(top)
        assert photo.problem is None
        assert (closed.status, closed.path) == ("unreadable", top / "closed")
        assert "Permission denied" in str(closed.problem)
        assert other.status == "missing"
        assert {source.status for source in starred} == {"ok", "unreadable"}
        assert inside.status == "unreadable"


class unprivileged:  # noqa: N801 - reads as a statement
    """Root may enter any folder: give that up for a while."""

    def __enter__(self) -> None:
        self.user = os.geteuid()
        if self.user == 0:
            os.seteuid(NOBODY)

    def __exit__(self, *_: object) -> None:
        os.seteuid(self.user)


class TestPatterns:
    def test_star_and_question_mark_are_sorted(self, album: Path) -> None:
        assert names("album/*.jpg") == ["album/b.jpg", "album/img[1].jpg"]
        assert names("album/?.*") == ["album/a.PNG", "album/b.jpg", "album/c.mp4"]
        assert names("album/[ab].*") == ["album/a.PNG", "album/b.jpg"]

    def test_a_file_of_that_very_name_wins(self, album: Path) -> None:
        (album / "img1.jpg").touch()
        assert names("album/img[1].jpg") == ["album/img[1].jpg"]
        (album / "img[1].jpg").unlink()
        assert names("album/img[1].jpg") == ["album/img1.jpg"]

    def test_matching_folders_stand_for_their_photos(self, album: Path) -> None:
        assert names("album/tri*") == ["album/trips/x.heic"]

    def test_any_folders(self, album: Path) -> None:
        assert names("album/**/*.jpg") == [
            "album/b.jpg",
            "album/img[1].jpg",
            "album/trips/rome/y.jpg",
        ]
        assert names("**/rome/*") == ["album/trips/rome/y.jpg", "album/trips/rome/z.mov"]
        assert names("album/**/rome/**/y.*") == ["album/trips/rome/y.jpg"]
        assert names("album/trips/**") == [
            "album/trips/rome/y.jpg",
            "album/trips/rome/z.mov",
            "album/trips/x.heic",
        ]
        assert names(f"{album}/**/y.jpg") == [str(album / "trips" / "rome" / "y.jpg")]

    def test_any_folders_through_odd_names_and_circles(self, album: Path) -> None:
        odd = album / "[x]*"
        odd.mkdir()
        (odd / "o.jpg").touch()
        (album / "trips" / "one").symlink_to(album)
        (album / "trips" / "two").symlink_to(album)
        assert names("album/**/o.jpg") == ["album/[x]*/o.jpg"]

    def test_two_stars_within_a_name_are_one(self, album: Path) -> None:
        assert names("album/b**jpg") == ["album/b.jpg"]

    @pytest.mark.parametrize(
        "pattern", ["album/*.bmp", "gone/**/*.jpg", "[", "nul\0*", "lone\ud800/*"]
    )
    def test_no_match(self, album: Path, pattern: str) -> None:
        source = problem(pattern)
        assert source.status == "missing"
        assert "pattern" in str(source.problem)


class TestStandardInput:
    def test_lines_of_bytes(self, album: Path) -> None:
        listed = b"album/b.jpg\r\n\n  \nalbum/caf\xe9.jpg\nalbum/trips"
        Path(os.fsdecode(b"album/caf\xe9.jpg")).touch()
        found = names("-", stdin=io.BytesIO(listed))
        assert found == ["album/b.jpg", os.fsdecode(b"album/caf\xe9.jpg"), "album/trips/x.heic"]

    def test_a_byte_order_mark_before_the_first_name_is_dropped(self, album: Path) -> None:
        lines = b"\xef\xbb\xbf" + os.fsencode(album / "a.jpg") + b"\r\n\xef\xbb\xbfb.jpg\r\n"
        first, second = expand(["-"], stdin=io.BytesIO(lines))
        assert first.path == album / "a.jpg"
        assert second.name == "\ufeffb.jpg"

    def test_text_streams_give_up_their_bytes(self, album: Path) -> None:
        Path(os.fsdecode(b"album/caf\xe9.jpg")).touch()
        stdin = io.TextIOWrapper(io.BytesIO(b"album/caf\xe9.jpg\n"), encoding="ascii")
        assert names("-", stdin=stdin) == [os.fsdecode(b"album/caf\xe9.jpg")]
        assert names("-", stdin=io.StringIO("album/b.jpg\n")) == ["album/b.jpg"]

    def test_the_process_own(self, album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"album/b.jpg\n")))
        assert names("-") == ["album/b.jpg"]

    def test_names_are_literal(self, album: Path) -> None:
        assert names("-", stdin=io.BytesIO(b"album/img[1].jpg\n")) == ["album/img[1].jpg"]
        assert problem("-", stdin=io.BytesIO(b"album/*.jpg\n")).path == Path("album/*.jpg")

    def test_between_others_and_lazily(self, album: Path) -> None:
        def lines() -> Iterator[bytes]:
            yield b"album/b.jpg\n"
            pytest.fail("read ahead")

        found = expand(["album/c.mp4", "-"], stdin=lines())  # type: ignore[arg-type]
        assert [next(found).name, next(found).name] == ["album/c.mp4", "album/b.jpg"]

    def test_one_bad_line_is_one_row(self, album: Path) -> None:
        found = list(expand(["-"], stdin=io.BytesIO(b"gone.jpg\nalbum/b.jpg\n")))
        assert [source.status for source in found] == ["missing", "ok"]


@settings(deadline=None)
@given(st.lists(st.text(st.characters(codec=None, exclude_characters="/~"), max_size=8)))
def test_any_names_give_rows_and_never_raise(texts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as empty:
        inputs = [os.path.join(empty, text) for text in texts]  # noqa: PTH118
        found = list(expand(inputs))
    assert len(found) == len(inputs)
    assert all(source.problem for source in found)
