"""What a person sees: a table, JSON Lines, or nothing."""

from __future__ import annotations

import errno
import io
import json
import os
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from agelens.cli.view import View
from agelens.errors import OutputError
from agelens.imaging.sources import Source
from agelens.inference.results import PhotoResult
from agelens.records import AgeEstimate, TrackAge

FACE = AgeEstimate(31.26, 30, 22.4, 41.7, 0.9, None, None)
OK = PhotoResult("party.jpg", "ok", "", (FACE, replace(FACE, refer="too dark", gender="male")))
GONE = PhotoResult("gone.jpg", "missing", "gone.jpg: no such file")
BLANK = PhotoResult("blank.jpg", "no_face", "no face found")


def show(view: View, *results: PhotoResult) -> None:
    with view:
        for result in results:
            view.show(result, result.to_json())


def test_the_table_has_a_line_a_face_and_one_where_there_is_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show(View(table=True), OK, GONE)
    out, err = capsys.readouterr()
    header, first, second, gone, interval = out.splitlines()
    assert interval == "interval: 90 %, not calibrated"
    assert header.split() == ["photo", "face", "age", "interval", "gender", "note"]
    assert first.split() == ["party.jpg", "0", "31.3", "22", "to", "42", "-"]
    assert second.split() == [
        *("party.jpg", "1", "31.3", "22", "to", "42", "male"),
        *("refer:", "too", "dark"),
    ]
    assert gone.endswith("gone.jpg: no such file")
    assert err == "2 rows: 1 missing, 1 ok\n"


def test_columns_stand_below_their_names(capsys: pytest.CaptureFixture[str]) -> None:
    show(View(table=True), replace(OK, photo="é" * 80), OK)
    header, *lines, _ = capsys.readouterr().out.splitlines()
    assert len({line.index(" to ") for line in lines}) == 1
    assert lines[0].startswith("…é")
    assert all(line[header.index("interval")] == "2" for line in lines)


def test_an_interval_that_nobody_calibrated_is_shown_only_where_asked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    hidden = replace(FACE, interval_shown=False)
    show(View(table=True), replace(OK, faces=(hidden, replace(FACE, coverage=0.91))))
    first, second, interval = capsys.readouterr().out.splitlines()[1:]
    assert first.split() == ["party.jpg", "0", "31.3", "-", "-"]
    assert second.split()[3:6] == ["22", "to", "42"]
    assert interval == "interval: 90 %, calibrated"


def test_frames_and_tracks_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    tracked = replace(FACE, track=TrackAge(3, 8, 29.96, 20, 40))
    show(View(table=True), PhotoResult("clip.mp4", "ok", "", (tracked,), frame=7))
    line = capsys.readouterr().out.splitlines()[1]
    assert line.startswith("clip.mp4 #7 ")
    assert line.endswith("track 3: 30.0")


def test_json_lines_where_no_table_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    show(View(table=False, quiet=True), OK, GONE)
    out, err = capsys.readouterr()
    assert [json.loads(line) for line in out.splitlines()] == [OK.to_json(), GONE.to_json()]
    assert err == ""


def test_quiet_leaves_neither_table_nor_counts(capsys: pytest.CaptureFixture[str]) -> None:
    show(View(table=True, quiet=True), OK, GONE)
    assert tuple(capsys.readouterr()) == ("", "")


@pytest.mark.parametrize(
    ("results", "failed"), [([OK, BLANK], False), ([OK, GONE], True), ([], False)]
)
def test_a_photo_without_a_face_was_read(results: list[PhotoResult], failed: bool) -> None:
    view = View(table=True, quiet=True)
    show(view, *results)
    assert view.failed is failed


def test_what_an_earlier_run_did_counts_too(capsys: pytest.CaptureFixture[str]) -> None:
    view = View(table=True)
    view.skipped(Source(Path("a.jpg"), "photo"), Counter(missing=2))
    show(view, OK)
    out, err = capsys.readouterr()
    assert view.failed
    assert err == "3 rows: 2 missing, 1 ok\n"
    assert out.startswith("photo ")


def test_sources_are_not_listed_ahead_without_a_progress_bar() -> None:
    endless = iter(lambda: Source(Path("a.jpg"), "photo"), None)
    assert View(table=True).counting(endless) is endless


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_is_valid_in_every_encoding(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    named = replace(GONE, photo="Zoë 家.jpg")
    show(View(table=False), named)
    line = stream.buffer.getvalue()  # type: ignore[attr-defined]
    assert json.loads(line.decode(encoding)) == named.to_json()
    assert ("ë".encode() in line) == (encoding == "utf-8")


class Full(io.StringIO):
    """A stream with no room."""

    def write(self, _: str) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("table", [True, False])
def test_a_full_disk_behind_standard_output_is_told(
    table: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", Full())
    view = View(table=table)
    with pytest.raises(OutputError, match="standard output: No space left on device"):
        view.show(GONE, GONE.to_json())
