"""Bad input through the real command: the message, the row's status, the exit status, and that
the other photos of the same run come to no harm."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import shlex
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from agelens.inference.estimator import AgeEstimator
from agelens.records import RGB

Run = Callable[..., Any]
WriteCard = Callable[..., Path]
NOBODY = 65534

# Name, status, and what the message must say besides the name.
BAD_PHOTOS = [
    ("missing.jpg", "missing", "no such file or folder; check the name"),
    ("no-photos", "missing", "no photos or videos directly in it; --recursive looks deeper"),
    ("empty.jpg", "unreadable", "it is empty (0 bytes), expected one of JPEG, PNG"),
    ("cut.jpg", "unreadable", "truncated"),
    ("text.jpg", "unreadable", "is not a photo: it holds none of JPEG, PNG"),
    ("bomb.png", "too_large", "30000 x 30000 pixels are more than the 100,000,000 allowed"),
    ("noise.png", "unreadable", "damaged"),
    ("folder.jpg", "missing", "no photos or videos directly in it"),
    ("text.mp4", "unreadable", "not a video"),
    ("empty.mp4", "unreadable", "the file is empty"),
    ("missing.mp4", "missing", "no such file"),
    ("none-*.jpg", "missing", "nothing matches it as a pattern"),
]


def bomb() -> bytes:
    """A valid PNG of 30,000 x 30,000 black pixels in a few kilobytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    squeeze = zlib.compressobj(1)
    lines = b"".join(squeeze.compress(bytes(1 + 30_000 // 8)) for _ in range(30_000))
    head = struct.pack(">IIBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", lines + squeeze.flush()) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.fixture(scope="module")
def folder(astronaut_jpeg: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every bad photo of `BAD_PHOTOS` that is a file."""
    made = tmp_path_factory.mktemp("bad")
    jpeg = astronaut_jpeg.read_bytes()
    (made / "no-photos").mkdir()
    (made / "no-photos" / "notes.txt").write_text("no photo")
    (made / "folder.jpg").mkdir()
    (made / "empty.jpg").write_bytes(b"")
    (made / "empty.mp4").write_bytes(b"")
    (made / "cut.jpg").write_bytes(jpeg[: len(jpeg) // 2])
    (made / "text.jpg").write_text("a letter, not a picture")
    (made / "text.mp4").write_text("a letter, not a film" * 20)
    (made / "noise.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    (made / "bomb.png").write_bytes(bomb())
    return made


@pytest.fixture(scope="module")
def good(head: RGB, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("good") / "good.png"
    Image.fromarray(head).save(path)
    return path


@pytest.fixture(scope="module")
def good_face(good: Path, agelens: Run) -> dict[str, Any]:
    """What `good` gets in a run of its own."""
    ran = agelens("estimate", good)
    assert ran.status == 0
    (face,) = ran.rows[0]["faces"]
    return dict(face)


@pytest.fixture(scope="module")
def ran(folder: Path, good: Path, agelens: Run) -> Any:
    """One run over all bad photos, a good one before, between and after them."""
    inputs = [good]
    for name, _, _ in BAD_PHOTOS:
        inputs += [folder / name, good]
    return agelens("estimate", *inputs)


class TestPhotos:
    @pytest.mark.parametrize(("name", "status", "words"), BAD_PHOTOS)
    def test_a_bad_photo_is_a_row_that_says_why(
        self, name: str, status: str, words: str, ran: Any, folder: Path
    ) -> None:
        (row,) = [row for row in ran.rows if row["photo"] == str(folder / name)]
        assert (row["status"], row["faces"]) == (status, [])
        assert row["message"].startswith(f"{folder / name}: ")
        assert words in row["message"]
        assert "\n" not in row["message"]

    def test_the_good_photos_between_are_unharmed(
        self, ran: Any, good: Path, good_face: dict[str, Any]
    ) -> None:
        assert [row["photo"] == str(good) for row in ran.rows] == [True, *[False, True] * 12]
        for row in ran.rows[::2]:
            assert row["status"] == "ok"
            assert row["faces"] == [good_face]

    def test_the_exit_status_says_that_some_failed(self, ran: Any) -> None:
        assert ran.status == 3
        assert ran.err == ""

    def test_the_table_says_it_too(
        self, folder: Path, good: Path, agelens: Run, tmp_path: Path
    ) -> None:
        bad = [folder / name for name, _, _ in BAD_PHOTOS[:5]]
        ran = agelens("estimate", *bad, good, "-o", tmp_path / "ages.csv")
        assert ran.status == 3
        _, *lines, fine, _ = ran.out.splitlines()
        for line, (_, _, words) in zip(lines, BAD_PHOTOS, strict=False):
            assert words in line
        assert " to " in fine
        assert ran.err == "6 rows: 2 missing, 1 ok, 3 unreadable\n"

    def test_one_pixel_and_one_line_have_no_face(
        self, good: Path, good_face: dict[str, Any], agelens: Run, tmp_path: Path
    ) -> None:
        paths = [tmp_path / f"{w}x{h}.png" for w, h in ((1, 1), (1, 700), (700, 1))]
        for path in paths:
            width, height = map(int, path.stem.split("x"))
            Image.new("RGB", (width, height), "pink").save(path)
        ran = agelens("estimate", *paths, good)
        assert ran.status == 0
        assert [row["status"] for row in ran.rows] == ["no_face"] * 3 + ["ok"]
        assert ran.rows[0]["message"] == "no face found"
        assert ran.rows[3]["faces"] == [good_face]

    def test_the_first_frame_of_an_animated_gif_is_read(
        self, head: RGB, agelens: Run, tmp_path: Path
    ) -> None:
        frames = [Image.fromarray(head), Image.new("RGB", (96, 96), "blue")]
        for name, order in (("face-first.gif", frames), ("face-last.gif", frames[::-1])):
            order[0].save(tmp_path / name, save_all=True, append_images=order[1:] * 3)
        ran = agelens("estimate", tmp_path / "face-first.gif", tmp_path / "face-last.gif")
        assert [row["status"] for row in ran.rows] == ["ok", "no_face"]

    def test_a_name_that_is_not_utf_8(
        self, good: Path, good_face: dict[str, Any], agelens: Run, tmp_path: Path
    ) -> None:
        odd = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png")
        Path(odd).write_bytes(good.read_bytes())
        listed = os.fsencode(odd) + b"\n"
        for ran in (agelens("estimate", odd), agelens("estimate", "-", stdin=listed)):
            assert ran.status == 0
            assert ran.rows[0]["photo"] == str(tmp_path / r"caf\xe9.png")
            assert ran.rows[0]["faces"] == [good_face]

    @pytest.mark.parametrize(("file_format", "tolerance"), [("png", 1e-6), ("jpeg", 0.5)])
    def test_all_eight_exif_turns_give_the_same_age(
        self, file_format: str, tolerance: float, astronaut: RGB, agelens: Run, tmp_path: Path
    ) -> None:
        flips = Image.Transpose
        undone = {
            **{1: None, 2: flips.FLIP_LEFT_RIGHT, 3: flips.ROTATE_180, 4: flips.FLIP_TOP_BOTTOM},
            **{5: flips.TRANSPOSE, 6: flips.ROTATE_90, 7: flips.TRANSVERSE, 8: flips.ROTATE_270},
        }
        paths = []
        for orientation, turn in undone.items():
            upright = Image.fromarray(astronaut)
            stored = upright if turn is None else upright.transpose(turn)
            exif = Image.Exif()
            exif[0x0112] = orientation
            paths.append(tmp_path / f"{orientation}.{file_format}")
            # Subsampled JPEG would do: but it is another picture when it is encoded lying down.
            stored.save(paths[-1], exif=exif, quality=100, subsampling=0)
        faces = [row["faces"] for row in agelens("estimate", *paths).rows]
        assert [len(found) for found in faces] == [1] * 8
        ages = [found[0]["estimate_years"] for found in faces]
        assert ages == pytest.approx([ages[0]] * 8, abs=tolerance)
        for found in faces:
            assert found[0]["box_xyxy"] == pytest.approx(faces[0][0]["box_xyxy"], abs=1.5)

    def test_a_larger_cap_lets_a_large_photo_in(
        self, folder: Path, agelens: Run, tmp_path: Path
    ) -> None:
        Image.new("1", (1100, 1000)).save(tmp_path / "large.png")
        for cap, status in (("1", "too_large"), ("2", "no_face")):
            ran = agelens("estimate", tmp_path / "large.png", "--max-megapixels", cap)
            assert ran.rows[0]["status"] == status

    def test_a_camera_that_is_absent(self, agelens: Run) -> None:
        ran = agelens("estimate", "--camera", "97")
        assert ran.status == 3
        assert [row["photo"] for row in ran.rows] == ["camera:97"]
        assert ran.rows[0]["status"] == "missing"
        assert "no such camera" in ran.rows[0]["message"]

    @pytest.mark.parametrize("number", ["-1", "100", "4096"])
    def test_a_camera_that_cannot_be(self, number: str, agelens: Run) -> None:
        ran = agelens("estimate", "--camera", number)
        assert (ran.status, ran.out) == (2, "")
        assert f"a camera's index is 0 to 99, got {number}" in ran.err

    @pytest.mark.parametrize("word", ["front", "", "0x1", "/dev/video-none"])
    def test_a_camera_that_is_no_camera(self, word: str, agelens: Run) -> None:
        ran = agelens("estimate", "--camera", word)
        assert (ran.status, ran.out) == (2, "")
        assert f"{word!r} is none of them" in ran.err

    def test_a_camera_whose_address_does_not_answer_tells_no_password(self, agelens: Run) -> None:
        ran = agelens("estimate", "--camera", "http://ann:secret@127.0.0.1:9/live?key=secret")
        assert ran.status == 3
        (row,) = ran.rows
        assert (row["photo"], row["status"]) == ("camera:http://127.0.0.1:9/live", "missing")
        assert "Check the address, user and password" in row["message"]
        assert "secret" not in ran.out + ran.err

    def test_a_picture_as_text_does_not_fill_the_rows(
        self, agelens: Run, good: Path, tmp_path: Path
    ) -> None:
        uri = "data:image/png;base64," + base64.b64encode(good.read_bytes() * 9).decode()
        output = tmp_path / "ages.csv"
        ran = agelens("estimate", uri, good, "-o", output)
        assert ran.status == 3
        with output.open(newline="", encoding="utf-8") as file:
            bad, fine = csv.DictReader(file)
        assert bad["status"] == "missing"
        assert bad["photo"].startswith("data:image/png;base64,")
        assert "a picture written as text" in bad["message"]
        assert max(len(cell) for cell in bad.values()) < 250
        assert len(ran.out + ran.err) < 1000
        assert fine["status"] == "ok"

    def test_names_that_are_too_long_are_cut_everywhere(self, agelens: Run, good: Path) -> None:
        name = "x" * 50_000
        for arguments in (
            [name],
            [good, "--model", name],
            [good, "--detector", name],
            [good, "--device", name],
            [good, "-o", f"{name}.csv"],
            [good, "--draw", name],
            [good, "--camera", name],
            ["--camera", name],
        ):
            ran = agelens("estimate", *arguments)
            assert ran.status != 0
            assert len(ran.out + ran.err) < 5000, arguments[-2:-1]

    def test_an_address_is_told_to_be_one(self, agelens: Run) -> None:
        ran = agelens("estimate", "https://example.org/a.jpg")
        assert ran.status == 3
        assert "is an address, not a path, and nothing is fetched here" in ran.rows[0]["message"]

    def test_a_list_that_begins_with_a_byte_order_mark(self, agelens: Run, good: Path) -> None:
        ran = agelens("estimate", "-", stdin=b"\xef\xbb\xbf" + os.fsencode(good) + b"\r\n")
        assert (ran.status, ran.rows[0]["photo"]) == (0, str(good))

    def test_a_loop_of_links_ends(self, agelens: Run, good: Path, tmp_path: Path) -> None:
        (tmp_path / "a.png").write_bytes(good.read_bytes())
        (tmp_path / "again").symlink_to(tmp_path)
        (tmp_path / "self.png").symlink_to(tmp_path / "self.png")
        ran = agelens("estimate", "-r", tmp_path)
        assert [row["status"] for row in ran.rows] == ["ok", "unreadable"]


class TestNumbers:
    @pytest.mark.parametrize("option", ["--every", "--workers", "--max-megapixels"])
    @pytest.mark.parametrize("value", ["0", "-1", "1.5", "x", "", "1e9", "9" * 30])
    def test_a_number_out_of_range_is_a_sentence(
        self, option: str, value: str, agelens: Run, good: Path
    ) -> None:
        ran = agelens("estimate", good, f"{option}={value}")
        assert (ran.status, ran.out) == (2, "")
        assert f"{option}: must be a whole number from 1" in ran.err
        assert "Traceback" not in ran.err


class TestClosedStreams:
    def ran(self, redirect: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = shlex.join([sys.executable, "-m", "agelens", "estimate", *map(str, arguments)])
        return subprocess.run(
            ["/bin/sh", "-c", f"{command} {redirect}"],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def test_standard_output(self, good: Path) -> None:
        ran = self.ran(">&-", good)
        assert ran.returncode == 1
        assert ran.stderr == (
            "agelens: error: standard output is closed: name an --output, or open it\n"
        )

    def test_standard_output_beside_a_file(self, good: Path, tmp_path: Path) -> None:
        ran = self.ran(">&-", good, "-o", tmp_path / "ages.jsonl")
        assert (ran.returncode, "Traceback" in ran.stderr) == (0, False)
        assert json.loads((tmp_path / "ages.jsonl").read_text("utf-8"))["status"] == "ok"

    def test_standard_error(self, good: Path) -> None:
        ran = self.ran("2>&-", good)
        assert ran.returncode == 0
        assert json.loads(ran.stdout)["status"] == "ok"

    def test_standard_input(self) -> None:
        ran = self.ran("<&-", "-")
        assert ran.returncode == 2
        assert ran.stderr == (
            "agelens: error: standard input is closed, so there is no list to read from it\n"
        )


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without root's rights, to whom nothing is forbidden."""
    rights = os.geteuid()
    if rights == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(rights)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter; those of pytest are for their owner only."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o777)
        yield Path(made)


class TestPermissions:
    @pytest.fixture(autouse=True)
    def loaded(self, estimator: AgeEstimator, good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Everything but the photos is read before the rights are dropped."""
        estimator.estimate(good)
        monkeypatch.setattr("agelens.cli.estimate_run.AgeEstimator", lambda *_, **__: estimator)

    def test_a_photo_that_may_not_be_read(
        self, open_folder: Path, good: Path, good_face: dict[str, Any], agelens: Run
    ) -> None:
        names = ["a.png", "closed.png", "z.png"]
        for name in names:
            (open_folder / name).write_bytes(good.read_bytes())
        (open_folder / "closed.png").chmod(0)
        with as_nobody():
            ran = agelens("estimate", open_folder)
        assert ran.status == 3
        assert [row["status"] for row in ran.rows] == ["ok", "unreadable", "ok"]
        assert "permission denied; allow this user to read it" in ran.rows[1]["message"]
        assert ran.rows[0]["faces"] == ran.rows[2]["faces"] == [good_face]

    def test_a_folder_that_may_not_be_listed(
        self, open_folder: Path, good: Path, agelens: Run
    ) -> None:
        (open_folder / "closed").mkdir(mode=0o700)
        (open_folder / "closed").chmod(0)
        (open_folder / "z.png").write_bytes(good.read_bytes())
        with as_nobody():
            ran = agelens("estimate", "-r", open_folder)
        assert ran.status == 3
        assert {row["status"] for row in ran.rows} == {"ok", "unreadable"}
        assert any("the folder cannot be listed" in row["message"] for row in ran.rows)

    @pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
    def test_an_output_folder_that_is_read_only(
        self, suffix: str, open_folder: Path, good: Path, agelens: Run
    ) -> None:
        open_folder.chmod(0o555)
        with as_nobody():
            ran = agelens("estimate", "none.jpg", "-o", open_folder / f"ages{suffix}")
        assert ran.status == 1
        assert f"cannot write {open_folder / 'ages'}{suffix}" in ran.err
        assert "Permission denied" in ran.err
        assert list(open_folder.iterdir()) == []

    def test_a_drawings_folder_that_is_read_only(
        self, open_folder: Path, good: Path, agelens: Run
    ) -> None:
        (open_folder / "good.png").write_bytes(good.read_bytes())
        (open_folder / "drawn").mkdir(mode=0o555)
        with as_nobody():
            ran = agelens("estimate", open_folder / "good.png", "--draw", open_folder / "drawn")
            below = agelens(
                "estimate", open_folder / "good.png", "--draw", open_folder / "drawn" / "x"
            )
        assert (ran.status, below.status) == (1, 1)
        assert "drawn/good.jpg: Permission denied" in ran.err
        assert "cannot make the folder" in below.err


class TestOutput:
    def test_a_folder_that_does_not_exist(self, good: Path, agelens: Run, tmp_path: Path) -> None:
        ran = agelens("estimate", good, "-o", tmp_path / "none" / "ages.csv")
        assert (ran.status, ran.out) == (2, "")
        assert f"the folder {tmp_path / 'none'} does not exist; create it first" in ran.err

    def test_a_suffix_that_is_no_table(self, good: Path, agelens: Run, tmp_path: Path) -> None:
        ran = agelens("estimate", good, "-o", tmp_path / "ages.xlsx")
        assert ran.status == 2
        assert "results are written as .jsonl, .csv, .parquet; '.xlsx' is none of them" in ran.err

    @pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
    def test_what_exists_is_kept_without_a_flag(
        self, suffix: str, good: Path, agelens: Run, tmp_path: Path
    ) -> None:
        path = tmp_path / f"ages{suffix}"
        path.write_bytes(b"dear to somebody")
        ran = agelens("estimate", good, "-o", path)
        assert (ran.status, ran.out) == (2, "")
        assert f"{path} exists already: choose --resume or --overwrite" in ran.err
        assert path.read_bytes() == b"dear to somebody"

    def test_somebody_elses_file_is_not_resumed(
        self, good: Path, agelens: Run, tmp_path: Path
    ) -> None:
        path = tmp_path / "ages.jsonl"
        path.write_text('{"dear": "to somebody"}\n')
        ran = agelens("estimate", good, "-o", path, "--resume")
        assert ran.status == 1
        assert "the line at byte 0: cannot be read as a row of results" in ran.err
        assert path.read_text() == '{"dear": "to somebody"}\n'

    def test_a_drawings_folder_that_is_a_file(
        self, good: Path, agelens: Run, tmp_path: Path
    ) -> None:
        (tmp_path / "drawn").write_bytes(b"")
        ran = agelens("estimate", good, "--draw", tmp_path / "drawn")
        assert ran.status == 1
        assert f"cannot make the folder {tmp_path / 'drawn'}" in ran.err

    def test_drawings_may_not_replace_the_photos(
        self, good: Path, agelens: Run, tmp_path: Path
    ) -> None:
        Image.open(good).save(tmp_path / "a.jpg")
        before = (tmp_path / "a.jpg").read_bytes()
        ran = agelens("estimate", tmp_path, "--draw", tmp_path)
        assert ran.status == 2
        assert "give --draw another folder" in ran.err
        assert [p.name for p in tmp_path.iterdir()] == ["a.jpg"]
        assert (tmp_path / "a.jpg").read_bytes() == before


class TestModels:
    def refusal(self, agelens: Run, good: Path, *arguments: str | Path) -> str:
        ran = agelens("estimate", good, *arguments)
        assert (ran.status, ran.out) == (2, "")
        assert ran.err.startswith("agelens: error: ")
        assert ran.err.count("\n") == 1
        return str(ran.err)

    def test_an_unknown_model_lists_the_valid_ones(self, agelens: Run, good: Path) -> None:
        told = self.refusal(agelens, good, "--model", "resnet50")
        assert "unknown model 'resnet50'" in told
        assert "Valid models: agelens-1, cc0-gender, cc0-resnet10." in told

    def test_an_unknown_detector_lists_the_valid_ones(self, agelens: Run, good: Path) -> None:
        told = self.refusal(agelens, good, "--detector", "retinafaces")
        assert "Did you mean 'retinaface'? Valid detectors: dlib, mtcnn, retinaface." in told

    def test_an_unknown_device_lists_the_valid_ones(self, agelens: Run, good: Path) -> None:
        assert "'tpu'; valid: cpu, cuda" in self.refusal(agelens, good, "--device", "tpu")

    def test_a_mistyped_model_costs_no_earlier_output(
        self, agelens: Run, good: Path, tmp_path: Path
    ) -> None:
        path = tmp_path / "ages.jsonl"
        path.write_text("dear\n")
        self.refusal(agelens, good, "--model", "resnet50", "-o", path, "--overwrite")
        assert path.read_text() == "dear\n"

    def test_a_card_with_a_wrong_hash(
        self, agelens: Run, good: Path, tmp_path: Path, write_card: WriteCard
    ) -> None:
        path = write_card(tmp_path, change=lambda d: d["weights"].update(sha256="0" * 64))
        told = self.refusal(agelens, good, "--model", path)
        assert "toy.onnx is not the file its card describes: SHA-256 " in told
        assert f"expected {'0' * 64}" in told

    def test_a_network_that_is_not_the_cards(
        self,
        agelens: Run,
        good: Path,
        tmp_path: Path,
        write_card: WriteCard,
        toy_network: Callable[..., bytes],
    ) -> None:
        write_card(tmp_path, toy_network(size=32))
        told = self.refusal(agelens, good, "--model", tmp_path)
        assert "toy: the card states one float input [N, 3, 16, 16] and one output [N, 81]" in told
        assert "; the file has chip " in told

    def test_weights_that_are_no_network(
        self, agelens: Run, good: Path, tmp_path: Path, write_card: WriteCard
    ) -> None:
        write_card(tmp_path, b"no network at all")
        assert "toy: cannot be read as an ONNX file" in self.refusal(
            agelens, good, "--model", tmp_path
        )

    def test_a_network_whose_answer_is_no_posterior(
        self,
        agelens: Run,
        good: Path,
        tmp_path: Path,
        write_card: WriteCard,
        toy_network: Callable[..., bytes],
    ) -> None:
        write_card(tmp_path, toy_network(last="Identity"))
        assert "not the posterior" in self.refusal(agelens, good, "--model", tmp_path)

    def test_weights_outside_the_cards_folder(
        self, agelens: Run, good: Path, tmp_path: Path, write_card: WriteCard
    ) -> None:
        path = write_card(tmp_path / "in", change=lambda d: d["weights"].update(path="../t.onnx"))
        (tmp_path / "in" / "toy.onnx").rename(tmp_path / "t.onnx")
        told = self.refusal(agelens, good, "--model", path)
        assert "weights.path '../t.onnx' leads out of the card's folder" in told

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("{", "cannot be read as a card"),
            ("[]", "malformed"),
            ('{"name": "x"}', "it lacks 'summary'"),
        ],
    )
    def test_a_malformed_card(
        self, text: str, words: str, agelens: Run, good: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "card.json").write_text(text)
        told = self.refusal(agelens, good, "--model", tmp_path)
        assert f"{tmp_path / 'card.json'}: " in told
        assert words in told

    def test_a_model_of_another_task(self, agelens: Run, good: Path) -> None:
        told = self.refusal(agelens, good, "--model", "cc0-gender")
        assert "cc0-gender answers gender, not age" in told


LIMITED = """
import resource, sys
from agelens.cli import main
size = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
sys.exit(main(sys.argv[2:]))
"""


def with_little_room(size: int, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The command where no file may grow beyond `size` bytes, as on a full disk."""
    command = [sys.executable, "-c", LIMITED, str(size), "estimate", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def six(head: RGB, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of six good photos."""
    folder = tmp_path_factory.mktemp("six")
    for n in range(6):
        Image.fromarray(head).rotate(n).save(folder / f"{n}.png")
    return folder


class TestFullDisk:
    @pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
    def test_the_rows_before_are_kept_and_resume_completes(
        self, suffix: str, six: Path, agelens: Run, tmp_path: Path
    ) -> None:
        path = tmp_path / f"ages{suffix}"
        ran = with_little_room(2000, six, "-o", path)
        assert ran.returncode == 1
        assert "File too large. The rows before are kept: make room and go on with" in ran.stderr
        assert "Traceback" not in ran.stderr
        journal = path if suffix == ".jsonl" else tmp_path / "ages.csv.partial.jsonl"
        assert list(tmp_path.iterdir()) == [journal]
        kept = [json.loads(line) for line in journal.read_text().splitlines()]
        assert 1 <= len(kept) <= 3
        assert journal.read_text().endswith("\n")
        assert agelens("estimate", six, "-o", path, "--resume").status == 0
        whole = tmp_path / f"whole{suffix}"
        assert agelens("estimate", six, "-o", whole).status == 0
        assert path.read_bytes() == whole.read_bytes()
        assert sorted(tmp_path.iterdir()) == [path, whole]

    @pytest.mark.parametrize(("suffix", "size"), [(".csv", 500), (".parquet", 3000)])
    def test_a_table_that_finds_no_room_leaves_its_rows(
        self, suffix: str, size: int, agelens: Run, tmp_path: Path
    ) -> None:
        path = tmp_path / f"ages{suffix}"
        ran = with_little_room(size, "none.jpg", "-o", path)
        assert ran.returncode == 1
        assert "Traceback" not in ran.stderr
        assert f"cannot write {path}: " in ran.stderr
        assert "File too large. The rows are kept in" in ran.stderr
        assert [p.name for p in tmp_path.iterdir()] == [f"ages{suffix}.partial.jsonl"]
        assert agelens("estimate", "none.jpg", "-o", path, "--resume").status == 3
        assert list(tmp_path.iterdir()) == [path]

    def test_drawings_appear_whole_or_not_at_all(self, six: Path, tmp_path: Path) -> None:
        ran = with_little_room(1500, six, "--draw", tmp_path / "drawn")
        assert ran.returncode == 1
        assert "0.jpg: File too large" in ran.stderr
        assert list((tmp_path / "drawn").iterdir()) == []

    def test_standard_output_without_room(self) -> None:
        command = [sys.executable, "-m", "agelens", "estimate", "none.jpg"]
        with Path("/dev/full").open("w") as full:
            ran = subprocess.run(
                command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120, check=False
            )
        assert ran.returncode == 1
        assert ran.stderr == (
            "agelens: error: cannot write to standard output: No space left on device\n"
        )


class TestTogether:
    """Runs that meet another one, or lose the folder that they write to."""

    @pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
    def test_two_runs_on_one_output(
        self, suffix: str, agelens: Run, good: Path, tmp_path: Path
    ) -> None:
        output = tmp_path / f"ages{suffix}"
        reading, writing = os.pipe()
        command = [sys.executable, "-m", "agelens", "estimate", "-", "-o", str(output)]
        with subprocess.Popen(command, stdin=reading, stderr=subprocess.PIPE) as first:
            os.close(reading)
            journal = output if suffix == ".jsonl" else Path(f"{output}.partial.jsonl")
            wait_for(journal.exists)
            for how in ("--resume", "--overwrite"):
                second = agelens("estimate", good, "-o", output, how)
                assert second.status == 2
                assert "another agelens is writing it now" in second.err
            os.write(writing, os.fsencode(good) + b"\n")
            os.close(writing)
            assert first.wait(120) == 0
        assert [file.name for file in tmp_path.iterdir()] == [output.name]
        whole = agelens("estimate", good, "-o", tmp_path / f"alone{suffix}")
        assert whole.status == 0
        if suffix != ".parquet":  # which holds the time of its writing
            assert output.read_bytes() == (tmp_path / f"alone{suffix}").read_bytes()

    @pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
    def test_an_album_that_vanishes_with_the_output_in_it(
        self, suffix: str, good: Path, tmp_path: Path
    ) -> None:
        album = tmp_path / "album"
        album.mkdir()
        (album / "a.png").write_bytes(good.read_bytes())
        output = album / f"ages{suffix}"
        reading, writing = os.pipe()
        command = [sys.executable, "-m", "agelens", "estimate", "-", "-o", str(output)]
        with subprocess.Popen(command, stdin=reading, stderr=subprocess.PIPE, text=True) as run:
            os.close(reading)
            wait_for(lambda: any(album.glob("ages*")))
            for file in album.iterdir():
                file.unlink()
            album.rmdir()
            os.write(writing, os.fsencode(album / "a.png") + b"\n")
            os.close(writing)
            assert run.wait(120) == 1
            assert run.stderr is not None
            message = run.stderr.read()
        assert "was removed or replaced while it was being written, and its rows with it" in message
        assert "--resume" not in message

    def test_formulas_in_names_stay_text(self, agelens: Run, good: Path, tmp_path: Path) -> None:
        (tmp_path / "=1+1.png").write_bytes(good.read_bytes())
        with chdir(tmp_path):
            assert agelens("estimate", "=1+1.png", "-o", "ages.csv").status == 0
        with (tmp_path / "ages.csv").open(newline="", encoding="utf-8") as file:
            assert next(csv.DictReader(file))["photo"] == "'=1+1.png"


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class TestBytesInPlaceOfPaths:
    """Forms that iterate as if they were lists of photos."""

    def test_open_files_are_one_photo(self, estimator: AgeEstimator, good: Path) -> None:
        expected = estimator.estimate(good).faces[0].estimate_years
        with good.open("rb") as file:
            for given in (file, io.BytesIO(good.read_bytes())):
                assert estimator.estimate(given).faces[0].estimate_years == expected
                assert [r.status for r in estimator.estimate([given])] == ["ok"]

    def test_a_tensor_is_refused_and_becomes_a_photo_as_advised(
        self, estimator: AgeEstimator, head: RGB
    ) -> None:
        torch = pytest.importorskip("torch")
        tensor = torch.from_numpy(head.copy()).permute(2, 0, 1)
        with pytest.raises(TypeError, match="got Tensor: give pixels from 0 to 255") as told:
            estimator.estimate(tensor)
        assert str(told.value).endswith("tensor.permute(1, 2, 0).byte().cpu().numpy()")
        pixels = tensor.permute(1, 2, 0).byte().cpu().numpy()
        assert estimator.estimate(pixels).status == "ok"


def test_arrays_of_other_kinds_are_rows_too(estimator: AgeEstimator, head: RGB) -> None:
    """The Python API's share of the list; shapes and types are in the estimator's own tests."""
    results = estimator.estimate([head * float("nan"), head / 255.0, head[..., :2], head])
    assert [result.status for result in results] == ["unreadable"] * 3 + ["ok"]


def test_encoded_bytes_of_other_kinds_are_rows_too(estimator: AgeEstimator) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (50, 50)).save(buffer, "PNG")
    whole = buffer.getvalue()
    results = estimator.estimate([b"", b"text", whole[:40], whole])
    assert [result.status for result in results] == ["unreadable"] * 3 + ["no_face"]
