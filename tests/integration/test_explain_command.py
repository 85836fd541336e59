"""`agelens explain`: photos good and bad, methods that fit the model or do not, means by age."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from agelens.records import RGB
from agelens.tables import SampleTable, write_table

Agelens = Callable[..., Any]
QUICK = ("--patch", "8", "--stride", "8")


@pytest.fixture(scope="module")
def photos(head: RGB, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    Image.fromarray(head).save(folder / "one.png")
    Image.fromarray(np.hstack([head, head])).save(folder / "two.png")
    Image.fromarray(np.full_like(head, 90)).save(folder / "none.png")
    (folder / "damaged.png").write_bytes(b"no photo")
    (folder / "film.mp4").write_bytes(b"no film")
    return folder


@pytest.fixture
def model(write_card: Callable[..., Path], tmp_path: Path) -> Path:
    return write_card(tmp_path / "model").parent


@pytest.fixture(scope="module")
def run(
    bright_store: Callable[..., Path], agelens: Agelens, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A finished run on chips that their owner had aligned, beside its store."""
    folder = tmp_path_factory.mktemp("runs")
    config = {
        "method": {"class_path": "dldl-v2", "init_args": {"ages": "0-100"}},
        "data": {"stores": str(bright_store(folder / "store")), "batch_size": 16},
        "backbone": {"name": "tinyagenet", "size": 32},
        "trainer": {"max_epochs": 1, "accelerator": "cpu"},
    }
    (folder / "c.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    ran = agelens("train", "--config", folder / "c.yaml", "-q", "-o", folder / "mine")
    assert ran.status == 0, ran.err
    return folder / "mine"


def test_numbers_are_printed_and_nothing_is_kept(
    photos: Path, model: Path, agelens: Agelens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = agelens("explain", photos / "one.png", "--model", model, *QUICK)
    assert ran.status == 0, ran.err
    assert "older most by" in ran.out
    assert "nose" in ran.out
    assert "does not say whether the number is right" in ran.out
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_maps_are_written_with_what_they_do_not_tell(
    photos: Path, model: Path, agelens: Agelens, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    ran = agelens("explain", photos / "one.png", "--model", model, *QUICK, "-o", out)
    assert ran.status == 0, ran.err
    names = {path.name for path in out.iterdir()}
    pictures = {f"face_0001.{ending}" for ending in ("csv", "png", "svg")}
    assert names == {".gitignore", "explain.json", "index.html", *pictures}
    document = json.loads((out / "explain.json").read_text())
    assert (document["model"], document["method"], document["fill"]) == ("toy", "occlusion", "mean")
    (row,) = document["photos"]
    assert row["estimate_years"] == pytest.approx(row["map"]["estimate_years"], abs=0.001)
    assert row["picture"] == "face_0001.png"
    assert len(document["not_told"]) == 3
    again = agelens("explain", photos / "one.png", "--model", model, *QUICK, "-o", out)
    assert again.status == 2
    assert "exists and is not empty" in again.err


def test_bad_photos_are_rows_that_say_why(photos: Path, model: Path, agelens: Agelens) -> None:
    names = ("one.png", "two.png", "none.png", "damaged.png", "film.mp4", "absent.png")
    named = [photos / name for name in names]
    ran = agelens("explain", *named, "--model", model, *QUICK, "--json")
    assert ran.status == 3, ran.err
    rows = json.loads(ran.out)["photos"]
    found = [(row["status"], "map" in row) for row in rows]
    assert found == [
        ("ok", True),
        ("ok", True),
        ("no_face", False),
        ("unreadable", False),
        ("unreadable", False),
        ("missing", False),
    ]
    assert "face 0 of 2" in rows[1]["message"]
    assert rows[2]["message"] == "no face found"
    assert "a video" in rows[4]["message"]


def test_another_face_is_taken_where_there_is_one(
    photos: Path, model: Path, agelens: Agelens
) -> None:
    asked = ("explain", photos / "one.png", photos / "two.png", "--model", model, *QUICK)
    ran = agelens(*asked, "--face", "1", "--json")
    assert ran.status == 3
    one, two = json.loads(ran.out)["photos"]
    assert one["message"] == "no face 1: there are 1, counted from 0"
    assert (two["face"], two["faces"]) == (1, 2)


def test_the_sanity_check_is_printed(photos: Path, model: Path, agelens: Agelens) -> None:
    asked = ("explain", photos / "one.png", "--model", model, *QUICK)
    ran = agelens(*asked, "--sanity-check")
    assert ran.status == 0, ran.err
    assert "sanity check" in ran.out
    ran = agelens(*asked, "--sanity-check", "--json")
    assert len(json.loads(ran.out)["sanity_check"]["steps"]) == 3


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ((), "name photos, or --by-age"),
        (("a", "b", "--by-age"), "--by-age takes one chip store or one table"),
        (("--by-age",), "name the faces: a chip store, or a table"),
        (("t.csv", "--by-age"), "no table at t.csv"),
        (("s", "--by-age", "--sanity-check"), "without --by-age"),
        (("s", "--by-age", "--per-band", "0"), "--per-band: must be a whole number from 1"),
        (("nowhere", "--by-age"), "expected a chip store"),
        (("a.jpg", "--root", "s"), "--root is for --by-age"),
        (("a.jpg", "--face", "-1"), "--face: must be a whole number from 0"),
        (("a.jpg", "--method", "grad-cam"), "use --method occlusion"),
        (("a.jpg", "--method", "magic"), "unknown method 'magic'"),
        (("a.jpg", "--layer", "block5"), "--layer is of grad-cam"),
        (("a.jpg", "--steps", "8"), "--steps is of integrated-gradients"),
        (("a.jpg", "--method", "grad-cam", "--fill", "mean"), "--fill is of occlusion"),
        (("a.jpg", "--patch", "16"), "1 to 15 pixels"),
        (("a.jpg", "--stride", "3"), "leaves no gaps"),
    ],
)
def test_wrong_usage(
    options: tuple[str, ...], complaint: str, model: Path, agelens: Agelens
) -> None:
    ran = agelens("explain", *options, "--model", model)
    assert ran.status == 2
    assert complaint in ran.err


@pytest.mark.parametrize("method", ["occlusion", "grad-cam", "integrated-gradients"])
def test_mean_maps_by_age(method: str, run: Path, agelens: Agelens, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ran = agelens(
        *("explain", run.parent / "store", "--by-age", "--model", run, "-o", out),
        *("--method", method, "--per-band", "2", "--patch", "16", "--part", "all"),
        *(("--steps", "4") if method == "integrated-gradients" else ()),
    )
    assert ran.status == 0, ran.err
    document = json.loads((out / "explain.json").read_text())
    assert document["faces_drawn"] == document["faces_used"] == 16
    assert [band["band"] for band in document["bands"]][:2] == ["0-9", "10-19"]
    assert all(band["few"] and band["samples"] == 2 for band in document["bands"])
    assert "at" not in document["bands"][0]  # nobody knows where these faces' eyes are
    assert document["method"] == method
    assert (out / "by_age.png").is_file()
    assert "70+ (few)" in ran.out


def test_by_age_of_labelled_photos(
    photos: Path, model: Path, agelens: Agelens, tmp_path: Path
) -> None:
    table = tmp_path / "t.csv"
    labelled = {
        "sample_id": ["a", "b", "c", "d"],
        "dataset": "toys",
        "path": ["one.png", "none.png", "damaged.png", "one.png"],
        "age_years": [30.0, 31.0, 45.0, np.nan],
        "age_kind": ["real", "real", "real", None],
    }
    write_table(SampleTable.from_columns(labelled), table)
    ran = agelens(
        *("explain", table, "--by-age", "--root", photos, "--model", model, "--json"),
        *QUICK,
    )
    assert ran.status == 0, ran.err
    document = json.loads(ran.out)
    assert (document["faces_drawn"], document["faces_used"]) == (3, 1)
    (band,) = document["bands"]
    assert (band["band"], band["samples"]) == ("30-39", 1)
    assert band["at"]["nose"]["standard_error"] is None
    ageless = labelled | {"age_years": np.nan, "age_kind": None}
    write_table(SampleTable.from_columns(ageless), table)
    asked = ("explain", table, "--by-age", "--root", photos, "--model", model)
    ran = agelens(*asked)
    assert ran.status == 2
    assert "has both an age and a face" in ran.err


def test_other_chips_and_runs_that_take_no_photos_are_refused(
    run: Path, photos: Path, model: Path, agelens: Agelens
) -> None:
    ran = agelens("explain", run.parent / "store", "--by-age", "--model", model)
    assert ran.status == 2
    assert "size 32 instead of 16" in ran.err
    ran = agelens("explain", photos / "one.png", "--model", run)
    assert ran.status == 2
    assert "does not know how to cut photos alike" in ran.err


def test_occlusion_needs_neither_torch_nor_pandas(photos: Path, model: Path) -> None:
    code = (
        "import sys; from agelens.cli import main; status = main(sys.argv[1:]);"
        "print(sorted({m.partition('.')[0] for m in sys.modules})); sys.exit(status)"
    )
    asked = ("explain", photos / "one.png", "--model", model, *QUICK, "--json")
    ran = subprocess.run(
        [sys.executable, "-c", code, *map(str, asked)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    loaded = ran.stdout.splitlines()[-1]
    for heavy in ("'torch'", "'pandas'", "'matplotlib'", "'scipy'"):
        assert heavy not in loaded
