"""Resuming: what is skipped, what is done again, what is refused."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from agelens.cli.resume import skip_done
from agelens.errors import UsageError
from agelens.imaging.sources import Source
from agelens.inference.result_files import ResultFile

SETTINGS = {"model": "m", "detector": "d"}
PLAIN = {"distribution": False, "gender": False}


def photo(name: str, status: str = "ok", **face: object) -> dict[str, Any]:
    return {"photo": name, "status": status, "faces": [{"estimate_years": 1.0, **face}], **SETTINGS}


def frames(name: str, *numbers: int) -> list[dict[str, Any]]:
    return [photo(name) | {"frame": number, "faces": []} for number in numbers]


def sources(*names: str) -> list[Source]:
    return [Source(Path(n), "video" if n.endswith(".mp4") else "photo") for n in names]


class Resumed:
    """One resume over `rows`: what was skipped, what is left, which rows were kept."""

    def __init__(
        self,
        tmp_path: Path,
        rows: Iterable[Mapping[str, Any]],
        inputs: list[Source],
        optional: Mapping[str, bool] = PLAIN,
    ) -> None:
        self.path = tmp_path / "ages.jsonl"
        self.path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        self.skipped: list[tuple[str, dict[str, int]]] = []
        with ResultFile(self.path, if_exists="resume") as output:
            left = skip_done(output, inputs, SETTINGS, optional, self.note)
            self.left = [source.name for source in left]
        self.kept = [json.loads(line) for line in self.path.read_text("utf-8").splitlines()]

    def note(self, source: Source, statuses: Counter[str]) -> None:
        self.skipped.append((source.name, dict(statuses)))


def test_done_photos_are_skipped_whatever_became_of_them(tmp_path: Path) -> None:
    rows = [photo("a.jpg"), photo("b.jpg", "missing") | {"faces": []}]
    run = Resumed(tmp_path, rows, sources("a.jpg", "b.jpg", "c.jpg"))
    assert run.skipped == [("a.jpg", {"ok": 1}), ("b.jpg", {"missing": 1})]
    assert run.left == ["c.jpg"]
    assert run.kept == rows


def test_rows_whose_estimates_are_named_like_labels_are_refused_unharmed(tmp_path: Path) -> None:
    old = [photo("a.jpg") | {"faces": []}, photo("b.jpg") | {"faces": [{"age_years": 31.0}]}]
    with pytest.raises(UsageError, match=r"age_years, a word for labels.*--overwrite"):
        Resumed(tmp_path, old, sources("a.jpg", "b.jpg", "c.jpg"))
    kept = (tmp_path / "ages.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in kept] == old


def test_nothing_done_leaves_everything(tmp_path: Path) -> None:
    run = Resumed(tmp_path, [], sources("a.jpg", "b.jpg"))
    assert (run.skipped, run.left) == ([], ["a.jpg", "b.jpg"])


def test_everything_done_leaves_nothing(tmp_path: Path) -> None:
    run = Resumed(tmp_path, [photo("a.jpg")], sources("a.jpg"))
    assert (run.left, run.kept) == ([], [photo("a.jpg")])


def test_a_photo_named_twice_counts_twice(tmp_path: Path) -> None:
    run = Resumed(tmp_path, [photo("a.jpg")] * 2, sources("a.jpg", "a.jpg", "a.jpg"))
    assert (len(run.skipped), run.left) == (2, ["a.jpg"])


def test_a_video_with_rows_behind_it_is_whole(tmp_path: Path) -> None:
    rows = [*frames("v.mp4", 0, 2, 4), photo("a.jpg")]
    run = Resumed(tmp_path, rows, sources("v.mp4", "a.jpg", "b.jpg"))
    assert run.skipped == [("v.mp4", {"ok": 3}), ("a.jpg", {"ok": 1})]
    assert run.left == ["b.jpg"]


def test_a_video_that_comes_last_is_done_again_from_its_first_frame(tmp_path: Path) -> None:
    rows = [photo("a.jpg"), *frames("v.mp4", 0, 1, 2)]
    run = Resumed(tmp_path, rows, sources("a.jpg", "v.mp4", "b.jpg"))
    assert run.left == ["v.mp4", "b.jpg"]
    assert run.kept == [photo("a.jpg")]


def test_a_video_named_twice_in_a_row(tmp_path: Path) -> None:
    rows = [*frames("v.mp4", 0, 1, 2), *frames("v.mp4", 0, 1)]
    run = Resumed(tmp_path, rows, sources("v.mp4", "v.mp4"))
    assert run.skipped == [("v.mp4", {"ok": 3})]
    assert run.left == ["v.mp4"]
    assert run.kept == frames("v.mp4", 0, 1, 2)


@pytest.mark.parametrize(
    "inputs", [("b.jpg", "a.jpg"), ("a.jpg",), (), ("a.jpg", "c.jpg", "b.jpg")]
)
def test_other_inputs_are_refused_and_the_rows_kept(
    inputs: tuple[str, ...], tmp_path: Path
) -> None:
    rows = [photo("a.jpg"), photo("b.jpg")]
    with pytest.raises(UsageError, match=r"was made from other inputs.*or use --overwrite"):
        Resumed(tmp_path, rows, sources(*inputs))
    lines = (tmp_path / "ages.jsonl").read_text("utf-8").splitlines()
    assert list(map(json.loads, lines)) == rows


@pytest.mark.parametrize("field", SETTINGS)
def test_other_settings_are_refused(field: str, tmp_path: Path) -> None:
    words = rf"was made with {field} 'other', this run has '{SETTINGS[field]}'"
    with pytest.raises(UsageError, match=words):
        Resumed(tmp_path, [photo("a.jpg") | {field: "other"}], sources("a.jpg"))


@pytest.mark.parametrize("field", PLAIN)
def test_faces_with_other_fields_are_refused(field: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"was made without --{field}"):
        Resumed(tmp_path, [photo("a.jpg")], sources("a.jpg"), PLAIN | {field: True})
    with pytest.raises(UsageError, match=f"was made with --{field}"):
        Resumed(tmp_path, [photo("a.jpg", **{field: "x"})], sources("a.jpg"))
    same = Resumed(
        tmp_path, [photo("a.jpg", **{field: "x"})], sources("a.jpg"), PLAIN | {field: True}
    )
    assert same.left == []
