"""A run, exported and used: `agelens train`, `agelens export`, `agelens estimate --model`."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from agelens.data.store import ChipStore, prepare
from agelens.export import formats
from agelens.inference.cards import load_card
from agelens.records import RGB
from agelens.tables import SampleTable, write_table

Run = Callable[..., Any]
PHOTOS = 30


@pytest.fixture(scope="module")
def store(astronaut: RGB, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Chips of one face in thirty lights, aligned from photos as use will do it."""
    folder = tmp_path_factory.mktemp("data")
    portrait = Image.fromarray(astronaut).crop((96, 0, 352, 256)).resize((128, 128))
    for number in range(PHOTOS):
        light = np.asarray(portrait).astype(float) * (0.5 + number / PHOTOS)
        Image.fromarray(light.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.png")
    table = SampleTable.from_columns(
        {
            "sample_id": [f"light/{number}" for number in range(PHOTOS)],
            "dataset": "light",
            "path": [f"{number}.png" for number in range(PHOTOS)],
            "age_years": [10.0 + number for number in range(PHOTOS)],
            "age_kind": "real",
        }
    )
    prepare(table, folder / "store", root=folder, size=32, licences={"light": "public domain"})
    return folder / "store"


@pytest.fixture(scope="module")
def run(store: Path, agelens: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of CORAL, with the export that training leaves."""
    folder = tmp_path_factory.mktemp("runs")
    config = {
        "method": {"class_path": "coral", "init_args": {"ages": "10-40"}},
        "data": {"stores": str(store), "batch_size": 8, "preset": "coral"},
        "backbone": {"name": "tinyagenet", "size": 40},
        "optimizer": {"class_path": "adamw", "init_args": {"lr": 1e-3}},
        "trainer": {"max_epochs": 1, "accelerator": "cpu"},
    }
    (folder / "c.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    ran = agelens("train", "--config", folder / "c.yaml", "-q", "-o", folder / "mine")
    assert ran.status == 0, ran.err
    return folder / "mine"


@pytest.mark.parametrize("outside", ["refuse", "drop"])
def test_ages_that_only_the_validation_part_has_are_no_other_data(
    outside: str, store: Path, agelens: Run, tmp_path: Path
) -> None:
    """RAPL's classes are the ages of the train part, which the oldest here are not in."""
    table = ChipStore.open(store).table
    parts = np.where(table.frame["age_years"] < 30, "train", "valid")
    write_table(table.with_columns(split=parts), tmp_path / "labels.parquet")
    config = {
        "method": {"class_path": "rapl", "init_args": {"ages": "0-100"}},
        "data": {"stores": str(store), "table": str(tmp_path / "labels.parquet")},
        "backbone": {"name": "tinyagenet", "size": 32},
        "trainer": {"max_epochs": 1, "accelerator": "cpu"},
    }
    config["data"] |= {"split": "column", "batch_size": 8, "outside_ages": outside}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    ran = agelens("train", "--config", tmp_path / "c.yaml", "-q", "-o", tmp_path / "run")
    assert ran.status == 0, ran.err
    assert load_card(tmp_path / "run").answer.scale.years[-1] == 29
    assert agelens("export", tmp_path / "run", "--half").status == 0


@pytest.fixture
def copied(run: Path, tmp_path: Path) -> Path:
    """The run as training left it, to be spoilt."""
    others = shutil.ignore_patterns("torchscript*", "onnx-*")
    return Path(shutil.copytree(run, tmp_path / "mine", ignore=others))


def ages_of(ran: Any) -> list[float]:
    assert ran.status == 0, ran.err
    return [face["estimate_years"] for row in ran.rows for face in row["faces"]]


def test_a_run_is_a_model_at_once(run: Path, agelens: Run, astronaut_png: Path) -> None:
    ran = agelens("estimate", "--model", run, astronaut_png, "--raw")
    (age,) = ages_of(ran)
    (face,) = ran.rows[0]["faces"]
    assert ran.rows[0]["model"] == "mine"
    assert face["result_value"] == age == 10 + sum(face["thresholded_probas"])
    assert len(face["raw_logits"]) == 30


def test_its_card_says_what_it_is(run: Path, agelens: Run) -> None:
    document = json.loads(agelens("models", run).out)
    assert document["input"] | {"mean": 0, "std": 0} == {
        "size": 32,
        "color_order": "RGB",
        "mean": 0,
        "std": 0,
        "alignment": "similarity",
        "template": "dlib-64",
        "margin": 0.0,
        "fill": "black",
        "detector": "retinaface",
        "resized_inside_to": document["input"]["resized_inside_to"],
        "cropped_inside_to": 40,
    }
    assert document["input"]["resized_inside_to"] > 40  # CORAL's recipe crops at the centre
    assert document["output"]["kind"] == "ordinal-logits"
    assert (document["method"], document["backbone"]) == ("coral", "tinyagenet")
    assert document["age_kind"].startswith("real (")
    assert document["trained_on"][0]["licence"] == "public domain"
    assert {metric["part"] for metric in document["metrics"]} == {"valid", "test"}
    for metric in document["metrics"]:
        assert (run.parent / metric["table"]).is_file()
        assert metric["mae"] > 0
    assert document["export"]["parity"]["largest_years"] <= 0.05
    assert document["calibration"] is None
    assert "CORAL" in document["paper"] or "Cao" in document["paper"]


@pytest.mark.parametrize("options", [[], ["--half"]], ids=["single", "half"])
def test_torchscript_is_written_for_others_and_never_run(
    options: list[str], run: Path, agelens: Run, astronaut_png: Path
) -> None:
    ran = agelens("export", run, "--format", "torchscript", *options, "--json")
    assert (ran.status, ran.err) == (0, "")
    report = json.loads(ran.out)
    assert report["folder"] == str(run / f"torchscript{'-half' if options else ''}")
    assert report["parity"]["chips"] > 0
    assert load_card(report["folder"]).document["export"]["parity"] == report["parity"]
    refused = agelens("estimate", "--model", report["folder"], astronaut_png)
    assert refused.status == 2
    assert "model.ts.pt is TorchScript, a program that could do anything" in refused.err


def test_int8_tells_its_cost(run: Path, agelens: Run, astronaut_png: Path) -> None:
    ran = agelens("export", run, "--int8")
    assert (ran.status, ran.err) == (0, "")
    assert "its mean error on them changed by " in ran.out
    assert re.search(r"\n\d+ of its 14 layers multiply in whole numbers\n", ran.out)
    assert ages_of(agelens("estimate", "--model", run / "onnx-int8", astronaut_png))


def test_int8_without_effect_is_said(
    run: Path, agelens: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(formats, "_FIRST", 1.0)  # as of a network that ends where others begin
    ran = agelens("export", run, "--int8", "-o", tmp_path / "first")
    assert (ran.status, ran.err) == (0, "")
    assert "none of its 14 layers multiplies in whole numbers" in ran.out
    assert "--half makes it smaller" in ran.out


def test_runs_of_averaged_weights_are_one_network(
    run: Path, agelens: Run, tmp_path: Path, astronaut_png: Path
) -> None:
    """A run and itself, whose mean is itself, and as large."""
    mean = tmp_path / "mean"
    ran = agelens("export", run, run, "--average", "weights", "-o", mean)
    assert (ran.status, ran.err) == (0, "")
    ages = [ages_of(agelens("estimate", "--model", one, astronaut_png)) for one in (run, mean)]
    assert ages[0] == pytest.approx(ages[1], abs=1e-4)
    assert "The weights are the mean of those of the runs" in load_card(mean).document["notes"][-1]
    sizes = [(one / "model.onnx").stat().st_size for one in (run, mean)]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.01)
    refused = agelens("export", run, run, "-o", tmp_path / "answers")
    assert refused.status == 2
    assert "only distributions can be averaged inside a network" in refused.err


def test_another_folder_is_made_and_never_overwritten(
    run: Path, agelens: Run, tmp_path: Path
) -> None:
    command = ("export", run, "--format", "torchscript", "-o", tmp_path / "a" / "b")
    assert agelens(*command).status == 0
    again = agelens(*command)
    assert again.status == 2
    assert "holds a model already; name another folder" in again.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--format", "keras"], "--format: must be one of onnx, torchscript, got 'keras'"),
        (["--half", "--int8"], "--half and --int8 do not go together"),
        (["--average", "weights"], "--average weights is for several runs"),
        (["--format", "torchscript", "--int8"], "torch is withdrawing its quantised tensors"),
    ],
)
def test_wrong_choices_are_told(options: list[str], words: str, copied: Path, agelens: Run) -> None:
    before = {path.name for path in copied.iterdir()}
    ran = agelens("export", copied, *options)
    assert (ran.status, ran.out) == (2, "")
    assert words in ran.err
    assert {path.name for path in copied.iterdir()} == before


def test_a_folder_that_is_no_run(tmp_path: Path, agelens: Run) -> None:
    ran = agelens("export", tmp_path)
    assert ran.status == 2
    assert f"{tmp_path} holds no run of agelens train: it has no config.yaml" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_is_no_run_needs_no_export(
    tmp_path: Path, agelens: Run, write_card: Callable[..., Path]
) -> None:
    write_card(tmp_path)
    ran = agelens("export", tmp_path)
    assert ran.status == 2
    assert f"{tmp_path} is a model already and no run of agelens train" in ran.err


def test_weights_of_another_network(copied: Path, agelens: Run) -> None:
    config = (copied / "config.yaml").read_text(encoding="utf-8")
    (copied / "config.yaml").write_text(config.replace("10-40", "10-50"), encoding="utf-8")
    ran = agelens("export", copied, "--format", "torchscript")
    assert ran.status != 0
    assert "cannot be read as this run's weights" in ran.err
    assert not (copied / "torchscript").exists()


def test_a_run_whose_data_have_changed(copied: Path, agelens: Run) -> None:
    config = yaml.safe_load((copied / "config.yaml").read_text(encoding="utf-8"))
    config["data"]["split_seed"] = 7
    (copied / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    ran = agelens("export", copied, "--format", "torchscript")
    assert ran.status != 0
    assert "are no longer those that it was trained on (data." in ran.err


def test_a_run_whose_store_is_gone(copied: Path, agelens: Run, tmp_path: Path) -> None:
    config = yaml.safe_load((copied / "config.yaml").read_text(encoding="utf-8"))
    config["data"]["stores"] = str(tmp_path / "gone")
    (copied / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    ran = agelens("export", copied, "--format", "torchscript")
    assert ran.status != 0
    assert f"{tmp_path / 'gone'}: expected a chip store" in ran.err


def test_one_changed_byte_of_the_weights(copied: Path, agelens: Run, astronaut_png: Path) -> None:
    content = bytearray((copied / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (copied / "model.onnx").write_bytes(content)
    ran = agelens("estimate", "--model", copied, astronaut_png)
    assert ran.status == 2
    assert "model.onnx is not the file its card describes" in ran.err
