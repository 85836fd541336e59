"""`agelens estimate`, from inputs to rows, tables and drawings."""

from __future__ import annotations

import csv
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Timer
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from agelens import __version__
from agelens.imaging.align import TEMPLATES, SimilarityAligner
from agelens.imaging.video import read_frames
from agelens.inference.estimator import AgeEstimator
from agelens.inference.result_files import COLUMNS
from agelens.records import RGB

Run = Callable[..., Any]
COMMAND = [sys.executable, "-m", "agelens"]
ROW_KEYS = ["photo", "status", "message", "faces", "model", "detector", "agelens_version"]
FACE_KEYS = [
    *("box_xyxy", "landmarks", "detection_score", "quality", "refer", "estimate_years"),
    *("median_years", "low_years", "high_years", "interval", "interval_level", "coverage"),
]
FRAMES = 14


@pytest.fixture(scope="module")
def album(head: RGB, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder: photos of one and of two faces, one of none, a clip, and a subfolder."""
    folder = tmp_path_factory.mktemp("album")
    one, two = Image.fromarray(head), Image.fromarray(np.hstack([head, head[:, ::-1]]))
    one.save(folder / "a.png")
    two.save(folder / "b.PNG")
    Image.new("RGB", (80, 80), "gray").save(folder / "c.webp", lossless=True)
    write_clip(folder / "d.avi", head)
    (folder / "deep").mkdir()
    one.rotate(5).save(folder / "deep" / "a.png")
    (folder / "notes.txt").write_text("no photo")
    return folder


def write_clip(path: Path, head: RGB) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (128, 96))
    for n in range(FRAMES):
        frame = np.full((96, 128, 3), 128, np.uint8)
        frame[:, 2 * n : 2 * n + 96] = head[:, :, ::-1]
        writer.write(frame)
    writer.release()


class TestRows:
    def test_the_row_has_the_keys_of_the_design(self, astronaut_png: Path, agelens: Run) -> None:
        ran = agelens("estimate", astronaut_png)
        (row,) = ran.rows
        (face,) = row["faces"]
        assert (ran.status, ran.err) == (0, "")
        assert list(row) == ROW_KEYS
        assert list(face) == FACE_KEYS
        assert (row["photo"], row["status"], row["message"]) == (str(astronaut_png), "ok", "")
        made = (row["model"], row["detector"], row["agelens_version"])
        assert made == ("agelens-1", "retinaface", __version__)
        assert face["low_years"] < face["median_years"] < face["high_years"]
        assert np.shape(face["landmarks"]) == (5, 2)
        assert face["interval"] == "90 %, calibrated"
        assert 0.86 < face["coverage"] < 0.95

    def test_a_folder_is_walked_in_order_one_row_a_photo_and_a_frame(
        self, album: Path, agelens: Run
    ) -> None:
        rows = agelens("estimate", album).rows
        names = [Path(row["photo"]).name for row in rows]
        assert names == ["a.png", "b.PNG", "c.webp", *["d.avi"] * FRAMES]
        assert [len(row["faces"]) for row in rows] == [1, 2, 0, *[1] * FRAMES]
        assert [row["status"] for row in rows[:4]] == ["ok", "ok", "no_face", "ok"]

    def test_recursive_goes_deeper(self, album: Path, agelens: Run) -> None:
        rows = agelens("estimate", "--recursive", album).rows
        assert rows[-1]["photo"] == str(album / "deep" / "a.png")
        assert rows[-1]["status"] == "ok"

    def test_a_pattern_is_expanded(self, album: Path, agelens: Run) -> None:
        rows = agelens("estimate", str(album / "**" / "a.*")).rows
        assert [row["photo"] for row in rows] == [
            str(album / "a.png"),
            str(album / "deep" / "a.png"),
        ]

    def test_a_list_on_standard_input(self, album: Path, agelens: Run) -> None:
        listed = f"{album / 'c.webp'}\n\n{album / 'a.png'}\r\n{album / 'gone.png'}"
        ran = agelens("estimate", album / "b.PNG", "-", stdin=listed.encode())
        assert [Path(row["photo"]).name for row in ran.rows] == [
            *("b.PNG", "c.webp", "a.png", "gone.png"),
        ]
        assert ran.status == 3

    def test_the_same_photo_twice_is_two_rows(self, album: Path, agelens: Run) -> None:
        first, second = agelens("estimate", album / "a.png", album / "a.png").rows
        assert first == second

    def test_many_photos_keep_their_order(self, head: RGB, agelens: Run, tmp_path: Path) -> None:
        for n in range(70):
            size = 24 + (n * 37) % 200
            Image.fromarray(head).resize((size, size)).save(tmp_path / f"{n:03}.bmp")
        rows = agelens("estimate", tmp_path, "--workers", "3").rows
        assert [Path(row["photo"]).stem for row in rows] == [f"{n:03}" for n in range(70)]

    def test_rows_come_while_the_list_still_grows(self, head: RGB, tmp_path: Path) -> None:
        path = tmp_path / "sheet.png"
        Image.fromarray(np.tile(head, (6, 6, 1))).save(path)
        command = [*COMMAND, "estimate", "-", "--workers", "1"]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            watchdog = Timer(120, process.kill)  # a row that never comes is a failure, not a wait
            watchdog.start()
            process.stdin.write(f"{path}\n" * 7)
            process.stdin.flush()
            row = json.loads(process.stdout.readline())  # its list is not at its end
            assert len(row["faces"]) == 36
            rest, _ = process.communicate()
            watchdog.cancel()
        assert (process.returncode, len(rest.splitlines())) == (0, 6)

    def test_distribution(self, album: Path, agelens: Run) -> None:
        rows = agelens("estimate", album / "b.PNG", album / "c.webp", "--distribution").rows
        assert [len(row["faces"]) for row in rows] == [2, 0]
        for face in rows[0]["faces"]:
            distribution = np.array(face["distribution"])
            assert distribution.shape == (101,)
            assert distribution.min() >= 0
            assert distribution.sum() == pytest.approx(1, abs=1e-4)
            median = np.interp(0.5, [0, *distribution.cumsum()], np.arange(102) - 0.5)
            assert median == pytest.approx(face["estimate_years"], abs=5e-3)

    def test_gender(self, astronaut_png: Path, agelens: Run) -> None:
        for model, least in (("agelens-1", 0.5), ("cc0-resnet10", 0.9)):
            words = ("estimate", astronaut_png, "--gender", "--model", model)
            face = agelens(*words).rows[0]["faces"][0]
            assert list(face) == [*FACE_KEYS, "gender", "gender_score"]
            assert least < face["gender_score"] <= 1
        assert face["gender"] == "female"

    def test_mirror_averages_both_sides(
        self, astronaut_png: Path, agelens: Run, estimator: AgeEstimator, astronaut: RGB
    ) -> None:
        face = agelens("estimate", astronaut_png, "--mirror", "--distribution").rows[0]["faces"][0]
        found = estimator.detector.detect(astronaut)[0]
        chip = (
            SimilarityAligner(TEMPLATES["arcface-112"], estimator.card.input.size, 0.08, "mirror")
            .align(astronaut, found)
            .rgb
        )
        both = estimator.estimate_chips([chip, np.ascontiguousarray(chip[:, ::-1])])
        mean = np.mean([side.distribution for side in both], axis=0)
        np.testing.assert_allclose(face["distribution"], mean, atol=2e-6)

    def test_small_faces(self, head: RGB, agelens: Run, tmp_path: Path) -> None:
        large = np.full((960, 1280, 3), 128, np.uint8)
        large[400:464, 300:364] = np.asarray(Image.fromarray(head).resize((64, 64)))
        Image.fromarray(large).save(tmp_path / "large.png")
        plain = agelens("estimate", tmp_path / "large.png")
        small = agelens("estimate", tmp_path / "large.png", "--small-faces")
        assert (plain.rows[0]["status"], small.rows[0]["status"]) == ("no_face", "ok")
        assert plain.status == small.status == 0
        left, top, right, bottom = small.rows[0]["faces"][0]["box_xyxy"]
        assert 300 < left < right < 364
        assert 400 < top < bottom < 464

    @pytest.mark.parametrize("detector", ["mtcnn", "dlib"])
    def test_other_detectors(self, detector: str, astronaut_png: Path, agelens: Run) -> None:
        row = agelens("estimate", astronaut_png, "--detector", detector).rows[0]
        assert (row["status"], row["detector"]) == ("ok", detector)
        assert row["faces"][0]["box_xyxy"] == pytest.approx([178, 57, 273, 177], abs=35)

    def test_a_card_of_ones_own(
        self, astronaut_png: Path, agelens: Run, tmp_path: Path, write_card: Callable[..., Path]
    ) -> None:
        write_card(tmp_path, change=lambda d: d.update(limits={"min_inter_eye_px": 50}))
        (row,) = agelens("estimate", astronaut_png, "--model", tmp_path).rows
        assert row["model"] == "toy"
        assert row["faces"][0]["refer"] == "inter-eye distance 43.5 px is below 50 px"
        assert row["faces"][0]["estimate_years"] > 0


class TestVideo:
    def test_frames_are_tracked_with_a_smoothed_age(self, album: Path, agelens: Run) -> None:
        rows = agelens("estimate", album / "d.avi").rows
        assert [row["frame"] for row in rows] == list(range(FRAMES))
        assert [row["time_seconds"] for row in rows] == pytest.approx(
            [n / 10 for n in range(FRAMES)], abs=0.002
        )
        assert list(rows[0]) == ["photo", "frame", "time_seconds", *ROW_KEYS[1:]]
        tracks = [row["faces"][0]["track"] for row in rows]
        assert [track["track"] for track in tracks] == [1] * FRAMES
        assert [track["frames"] for track in tracks] == list(range(1, FRAMES + 1))
        ages = [row["faces"][0]["estimate_years"] for row in rows]
        # A track answers the median of the frames' mean distribution, not their mean median.
        assert tracks[-1]["estimate_years"] == pytest.approx(np.mean(ages), abs=0.2)

    def test_every_nth_frame(self, album: Path, agelens: Run) -> None:
        rows = agelens("estimate", album / "d.avi", "--every", "5").rows
        assert [row["frame"] for row in rows] == [0, 5, 10]

    def test_a_video_between_photos(self, album: Path, agelens: Run) -> None:
        names = ["a.png", "d.avi", "b.PNG"]
        rows = agelens("estimate", *(album / name for name in names), "--every", "7").rows
        assert [Path(row["photo"]).name for row in rows] == ["a.png", "d.avi", "d.avi", "b.PNG"]


class TestOutput:
    def test_json_lines_are_what_standard_output_has(
        self, album: Path, agelens: Run, tmp_path: Path
    ) -> None:
        path = tmp_path / "ages.jsonl"
        assert agelens("estimate", album, "-o", path).status == 0
        assert path.read_text("utf-8") == agelens("estimate", album).out

    def test_csv(self, album: Path, agelens: Run, tmp_path: Path) -> None:
        path = tmp_path / "ages.csv"
        agelens("estimate", album, "--gender", "-o", path)
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert list(rows[0]) == list(COLUMNS)
        assert [row["face"] for row in rows[:4]] == ["0", "0", "1", ""]
        assert [row["status"] for row in rows[:4]] == ["ok", "ok", "ok", "no_face"]
        first = agelens("estimate", album / "a.png", "--gender").rows[0]["faces"][0]
        assert float(rows[0]["estimate_years"]) == first["estimate_years"]
        assert float(rows[0]["box_x2"]) == first["box_xyxy"][2]
        assert float(rows[0]["nose_y"]) == first["landmarks"][2][1]
        assert rows[0]["gender"] == first["gender"]

    def test_parquet(self, album: Path, agelens: Run, tmp_path: Path) -> None:
        path = tmp_path / "ages.parquet"
        agelens("estimate", album, "--distribution", "-o", path)
        table = pq.read_table(path)
        ages = [f"p_{k:03}" for k in range(101)]
        assert table.schema.names == [*COLUMNS, *ages]
        assert table.schema.field("estimate_years").type == pa.float64()
        assert table.schema.field("frame").type == pa.int64()
        assert table.schema.field("photo").type == pa.string()
        assert table.num_rows == 4 + FRAMES
        sums = np.sum([table[name].to_numpy() for name in ages], axis=0)
        np.testing.assert_allclose(np.delete(sums, 3), 1, atol=1e-4)
        assert np.isnan(sums[3])

    def test_a_table_is_shown_beside_an_output(
        self, album: Path, agelens: Run, tmp_path: Path
    ) -> None:
        ran = agelens("estimate", album / "a.png", album / "c.webp", "-o", tmp_path / "ages.csv")
        header, face, blank, interval = ran.out.splitlines()
        assert interval == "interval: 90 %, calibrated"
        assert header.split() == ["photo", "face", "age", "interval", "gender", "note"]
        assert " to " in face
        assert blank.endswith("no face found")
        assert ran.err == "2 rows: 1 no_face, 1 ok\n"

    def test_quiet_shows_nothing_beside_an_output(
        self, album: Path, agelens: Run, tmp_path: Path
    ) -> None:
        ran = agelens("estimate", album / "a.png", "-o", tmp_path / "ages.jsonl", "--quiet")
        assert (ran.status, ran.out, ran.err) == (0, "", "")
        assert len((tmp_path / "ages.jsonl").read_text().splitlines()) == 1

    def test_quiet_keeps_the_rows_of_standard_output(self, album: Path, agelens: Run) -> None:
        ran = agelens("estimate", album / "a.png", "--quiet")
        assert (len(ran.rows), ran.err) == (1, "")

    def test_overwrite(self, album: Path, agelens: Run, tmp_path: Path) -> None:
        path = tmp_path / "ages.csv"
        agelens("estimate", album, "-o", path)
        assert agelens("estimate", album / "a.png", "-o", path, "--overwrite").status == 0
        assert len(path.read_text().splitlines()) == 2


class TestDraw:
    def test_a_drawing_a_photo_and_one_a_video(
        self, album: Path, agelens: Run, tmp_path: Path
    ) -> None:
        drawn = tmp_path / "drawn"
        ran = agelens("estimate", "-r", album, album / "gone.png", "--draw", drawn)
        assert ran.status == 3
        assert sorted(p.name for p in drawn.iterdir()) == [
            *("a-2.jpg", "a.jpg", "b.jpg", "c.jpg", "d.mp4"),
        ]
        for name in ("a.png", "b.PNG", "c.webp"):
            with (
                Image.open(album / name) as before,
                Image.open(drawn / f"{name.partition('.')[0]}.jpg") as after,
            ):
                assert before.size == after.size
        frames = list(read_frames(drawn / "d.mp4"))
        assert len(frames) == FRAMES
        assert frames[0].rgb.shape == (96, 128, 3)

    def test_the_drawing_differs_from_the_photo_at_the_face_only(
        self, astronaut_png: Path, astronaut: RGB, agelens: Run, tmp_path: Path
    ) -> None:
        agelens("estimate", astronaut_png, "--draw", tmp_path)
        with Image.open(tmp_path / "astronaut.jpg") as drawn:
            change = np.abs(np.asarray(drawn, dtype=int) - astronaut).max(axis=2)
        assert change[57, 185:265].mean() > 60  # the upper edge of the box
        assert np.median(change[80:160, 195:255]) < 12
        assert np.median(change[250:]) < 12

    def test_rows_are_the_same_with_and_without(
        self, album: Path, agelens: Run, tmp_path: Path
    ) -> None:
        plain = agelens("estimate", album)
        assert agelens("estimate", album, "--draw", tmp_path / "drawn").out == plain.out

    def test_a_photo_named_twice_is_drawn_twice(
        self, album: Path, agelens: Run, tmp_path: Path
    ) -> None:
        ran = agelens("estimate", *[album / "a.png"] * 3, "--draw", tmp_path)
        assert ran.status == 0
        assert sorted(p.name for p in tmp_path.iterdir()) == ["a-2.jpg", "a-3.jpg", "a.jpg"]


class TestTerminal:
    def on_terminal(self, *arguments: str | Path) -> str:
        """What a terminal of 100 columns gets from the command, out and err together."""
        ours, theirs = pty.openpty()
        screen = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
        command = [*COMMAND, "estimate", *map(str, arguments)]
        with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=screen) as process:
            os.close(theirs)
            shown = b""
            while True:
                try:
                    shown += (part := os.read(ours, 4096))
                except OSError:  # Linux says EIO at the end
                    break
                if not part:
                    break
        os.close(ours)
        assert process.returncode == 0
        return shown.decode()

    def test_a_table_and_a_progress_bar(self, album: Path) -> None:
        shown = self.on_terminal(album / "a.png", album / "c.webp")
        assert "photo     " in shown
        assert "no face found" in shown
        assert "2 rows: 1 no_face, 1 ok" in shown
        assert "2/2" in shown
        assert '"photo"' not in shown

    def test_quiet_shows_nothing(self, album: Path) -> None:
        assert self.on_terminal(album / "a.png", "--quiet") == ""


class TestProcess:
    def run(self, *arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
        command = [*COMMAND, *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=120, check=False, **options
        )

    def test_piped_it_writes_json_lines_and_nothing_else(self, album: Path) -> None:
        ran = self.run("estimate", album / "a.png", album / "gone.png")
        assert [json.loads(line)["status"] for line in ran.stdout.splitlines()] == ["ok", "missing"]
        assert (ran.returncode, ran.stderr) == (3, "")

    def test_wrong_usage_ends_with_two_and_no_traceback(self, album: Path) -> None:
        ran = self.run("estimate", album, "--model", "none")
        assert (ran.returncode, ran.stdout) == (2, "")
        assert ran.stderr.startswith("agelens: error: unknown model 'none'")

    def test_a_reader_that_has_seen_enough(self, album: Path) -> None:
        command = [*COMMAND, "estimate", str(album), str(album)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.close()
            told = process.stderr.read()
        assert (process.returncode, told) == (1, "")
