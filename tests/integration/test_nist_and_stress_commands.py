"""`agelens nist` and `agelens stress` as their user types them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from agelens.records import RGB
from agelens.tables import SampleTable, write_table

Agelens = Callable[..., Any]
PHOTOS = 6
FAST = ("--draws", "10")


@pytest.fixture(scope="module")
def photos(head: RGB, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same face in different light, one photo of which is damaged."""
    root = tmp_path_factory.mktemp("photos")
    names = [f"{n}.png" for n in range(PHOTOS)]
    for number, name in enumerate(names):
        Image.fromarray((head * (1 - number / 20)).astype(np.uint8)).save(root / name)
    (root / names[-1]).write_bytes(b"no photo")
    table = SampleTable.from_columns(
        {
            "sample_id": names,
            "dataset": "toys",
            "path": names,
            "age_years": [13.0 + n for n in range(PHOTOS)],
            "age_kind": "real",
            "gender": ["female", "male"] * (PHOTOS // 2),
            "split": ["train", "valid"] * (PHOTOS // 2),
        }
    )
    write_table(table, root / "table.parquet")
    return root


@pytest.fixture(scope="module")
def store(photos: Path, agelens: Agelens) -> Path:
    folder = photos / "store"
    run = agelens(
        *("data", "prepare", photos / "table.parquet", "--root", photos, "-o", folder),
        *("--template", "arcface-112", "--size", "16"),
    )
    assert run.status == 3, run.err  # one photo is damaged
    return folder


@pytest.fixture(scope="module")
def model(write_card: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_card(tmp_path_factory.mktemp("toy") / "model").parent


@pytest.fixture(scope="module")
def predictions(photos: Path, model: Path, agelens: Agelens) -> Path:
    path = photos / "predictions.parquet"
    run = agelens(
        *("predict", photos / "table.parquet", "--model", model, "--root", photos),
        *("-o", path),
    )
    assert run.status == 3, run.err
    return path


@pytest.fixture(scope="module")
def stress(store: Path, model: Path, agelens: Agelens) -> Agelens:
    """The command with the toy model, writing beside the store."""
    return lambda *rest: agelens("stress", "--model", model, "-o", store.parent / "out", *rest)


class TestNist:
    def test_from_photos_to_a_page(
        self, predictions: Path, agelens: Agelens, tmp_path: Path
    ) -> None:
        run = agelens("nist", predictions, "-o", tmp_path / "out", *FAST)
        assert run.status == 0, run.err
        assert "Challenge 25:" in run.out
        assert "A room for 13-16 admits" in run.out
        assert "Failure to process: 16.7 %" in run.out
        assert "Time per photo: median" in run.out
        assert "no NIST results" in run.out
        document = json.loads((tmp_path / "out" / "nist.json").read_text())
        assert document["counts"]["failed_to_process"] == 1
        assert document["milliseconds"]["photos"] == PHOTOS - 1
        groupings = {row["grouping"] for row in document["errors"]}
        assert {"inter_eye_px", "yaw_degrees", "gender x age_band"} <= groupings
        assert (tmp_path / "out" / "index.html").is_file()

    def test_json_of_other_ages(self, predictions: Path, agelens: Agelens) -> None:
        run = agelens(
            *("nist", predictions, "--legal", "16", "--challenge", "16,20", "--range", "14-15"),
            *("--json", *FAST),
        )
        assert run.status == 0, run.err
        found = json.loads(run.out)
        assert (found["challenge_years"], found["range_years"]) == ([16, 20], [14, 15])

    def test_another_tools_csv(self, agelens: Agelens, tmp_path: Path) -> None:
        path = tmp_path / "other.csv"
        path.write_text("file,pred,true,ms\na,30,17,80\nb,,22,\nc,16,15,90\n", encoding="utf-8")
        columns = "sample_id=file,estimate_years=pred,age_years=true,milliseconds=ms"
        run = agelens(*("nist", path, "--columns", columns, "--age-kind", "real", "--json", *FAST))
        assert run.status == 0, run.err
        found = json.loads(run.out)
        assert found["counts"]["failed_to_process"] == 1
        assert found["milliseconds"]["median"] == 85
        assert "gender" in found["columns_not_there"]

    @pytest.mark.parametrize(
        ("options", "complaint"),
        [
            (("--challenge", "17"), "at least the legal age of 18"),
            (("--challenge", "a,b"), "must be a number above 0, got 'a'"),
            (("--range", "13"), "whole years such as 13-16"),
            (("--range", "16-13"), "ends no earlier"),
            (("--level", "95"), "level"),
            (("--labels", "nowhere.parquet"), "no table at nowhere.parquet"),
        ],
    )
    def test_wrong_usage(
        self, options: tuple[str, ...], complaint: str, predictions: Path, agelens: Agelens
    ) -> None:
        run = agelens("nist", predictions, *FAST, *options)
        assert run.status == 2
        assert complaint in run.err


class TestStress:
    def test_of_a_store_and_beside_a_reference(
        self, store: Path, model: Path, agelens: Agelens, tmp_path: Path
    ) -> None:
        asked = ("stress", store, "--model", model, *FAST)
        run = agelens(*asked, "-o", tmp_path / "first")
        assert run.status == 3, run.err  # a photo of the store cannot be read, as estimate says it
        assert "1 unreadable" in run.out
        assert "mean of" in run.out
        assert "Not measured: rotation" in run.out
        assert f"wrote {tmp_path / 'first' / 'index.html'}" in run.out
        run = agelens(
            *(*asked, "--corruptions", "noise,blur", "--reference", tmp_path / "first"),
            *("-o", tmp_path / "second", "--json"),
        )
        assert run.status == 3, run.err
        found = json.loads(run.out)
        assert found["corruptions"][-1]["relative_to_reference"] == pytest.approx(1)
        assert (found["faces"], found["clean"]) == (PHOTOS, PHOTOS - 1)

    def test_of_photos_with_a_model_as_reference(
        self, photos: Path, model: Path, agelens: Agelens, tmp_path: Path
    ) -> None:
        run = agelens(
            *("stress", photos / "table.parquet", "--model", model, "--root", photos),
            *("--part", "train", "--limit", "2", "--corruptions", "margin,detector"),
            *("--reference", model, "-o", tmp_path / "out", "--json", *FAST),
        )
        assert run.status == 0, run.err
        found = json.loads(run.out)
        assert found["faces"] == 2
        assert found["reference"] == "toy"
        names = {row["corruption"] for row in found["severities"]}
        assert names == {"clean", "margin", "detector mtcnn", "detector dlib"}

    @pytest.mark.parametrize(
        ("options", "complaint"),
        [
            ((), "name the faces: a chip store, or a table of labelled photos"),
            (("t.parquet",), "there is no table at t.parquet"),
            (("STORE", "--limit", "0"), "--limit: must be a whole number from 1, got '0'"),
            (("STORE", "--corruptions", "rotation"), "rotation needs photos"),
            (("STORE", "--corruptions", "blurr"), "Did you mean 'blur'?"),
            (("STORE", "--part", "holdout"), "parts: train, valid"),
            (("nowhere",), "expected a chip store"),
        ],
    )
    def test_wrong_usage(
        self, options: tuple[str, ...], complaint: str, stress: Agelens, store: Path
    ) -> None:
        run = stress(*(str(store) if word == "STORE" else word for word in options))
        assert run.status == 2
        assert complaint in run.err
        assert not (store.parent / "out").exists()

    def test_a_full_folder_is_refused_before_anything_is_measured(
        self, store: Path, model: Path, agelens: Agelens, tmp_path: Path
    ) -> None:
        (tmp_path / "full.txt").write_text("mine")
        run = agelens("stress", store, "--model", model, "-o", tmp_path)
        assert run.status == 2
        assert "not empty" in run.err
        assert (tmp_path / "full.txt").read_text() == "mine"
