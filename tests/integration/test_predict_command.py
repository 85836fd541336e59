"""From labelled photos to a store, to predictions, to a calibrated card, to an estimate."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import helper
from PIL import Image

from agelens.records import RGB
from agelens.tables import SampleTable, read_predictions, write_table

Agelens = Callable[..., Any]
PHOTOS = 16


@pytest.fixture(scope="module")
def photos(head: RGB, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same face in different light, one photo of which is damaged."""
    root = tmp_path_factory.mktemp("photos")
    names = [f"{n}.png" for n in range(PHOTOS)]
    for number, name in enumerate(names):
        tinted = head * np.array([1, 0.6 + number / 40, 1.2 - number / 40])
        Image.fromarray(np.clip(tinted, 0, 255).astype(np.uint8)).save(root / name)
    (root / names[-1]).write_bytes(b"no photo")
    table = SampleTable.from_columns(
        {
            "sample_id": names,
            "dataset": "toys",
            "path": names,
            "age_years": [20.0 + n for n in range(PHOTOS)],
            "age_kind": "real",
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


@pytest.fixture
def model(write_card: Callable[..., Path], tmp_path: Path) -> Path:
    return write_card(tmp_path / "model").parent


def test_a_store_is_predicted(store: Path, model: Path, agelens: Agelens, tmp_path: Path) -> None:
    run = agelens("predict", store, "--model", model, "-o", tmp_path / "p.csv")
    assert run.status == 3, run.err
    assert "15 ok, 1 unreadable" in run.out
    frame = read_predictions(tmp_path / "p.csv").frame
    assert len(frame) == PHOTOS
    assert frame["status"].tolist()[-1] == "unreadable"
    assert frame["sharpness"].notna().sum() == 15


def test_photos_go_through_the_whole_pipeline(
    photos: Path, model: Path, agelens: Agelens, tmp_path: Path
) -> None:
    run = agelens(
        *("predict", photos / "table.parquet", "--model", model, "--root", photos),
        *("-o", tmp_path / "p.parquet", "--gender", "--split", "column", "--part", "valid"),
    )
    assert run.status == 3, run.err
    frame = read_predictions(tmp_path / "p.parquet").frame
    assert len(frame) == PHOTOS // 2
    assert set(frame["split"]) == {"valid"}
    assert frame["gender_estimate"].notna().sum() == PHOTOS // 2 - 1


def test_from_a_store_to_an_estimate_with_coverage(
    store: Path, model: Path, agelens: Agelens, astronaut_png: Path
) -> None:
    run = agelens("calibrate", store, "--model", model, "--levels", "0.5,0.8", "--anyway")
    assert run.status == 0, run.err
    run = agelens("estimate", astronaut_png, "--model", model)
    (row,) = run.rows
    assert row["faces"][0]["coverage"] is None  # 0.9 was not calibrated: too few photos
    run = agelens("calibrate", store, "--model", model, "--levels", "0.9", "--anyway")
    assert run.status == 0, run.err
    run = agelens("estimate", astronaut_png, "--model", model)
    (row,) = run.rows
    section = json.loads((model / "card.json").read_text())["calibration"]
    assert row["faces"][0]["coverage"] == section["intervals"][0]["coverage"]


def test_predictions_of_a_calibrated_model_have_its_intervals_or_the_networks_own(
    store: Path, model: Path, agelens: Agelens, tmp_path: Path
) -> None:
    first = agelens(
        *("calibrate", store, "--model", model, "--levels", "0.9", "--seed", "1", "--anyway")
    )
    assert first.status == 0, first.err
    asked = ("predict", store, "--model", model)
    agelens(*asked, "-o", tmp_path / "stated.parquet")
    agelens(*asked, "--own-intervals", "-o", tmp_path / "own.parquet")
    stated, own = (read_predictions(tmp_path / f"{n}.parquet") for n in ("stated", "own"))
    assert not stated.frame["low_years"].equals(own.frame["low_years"])
    np.testing.assert_array_equal(stated.distribution, own.distribution)
    # Calibrating again, on what was calibrated, finds the same.
    before = json.loads((model / "card.json").read_text())["calibration"]["intervals"]
    run = agelens(
        *("calibrate", tmp_path / "stated.parquet", "--model", model),
        *("--levels", "0.9", "--seed", "1", "--anyway"),
    )
    assert run.status == 0, run.err
    after = json.loads((model / "card.json").read_text())["calibration"]["intervals"]
    assert after[0]["corrections"][""] == pytest.approx(before[0]["corrections"][""], abs=1e-4)


def test_pictures_of_the_worst_errors(
    store: Path, model: Path, agelens: Agelens, tmp_path: Path
) -> None:
    agelens("predict", store, "--model", model, "-o", tmp_path / "p.parquet")
    run = agelens(
        *("evaluate", tmp_path / "p.parquet", "-o", tmp_path / "out", "--store", store),
        *("--draws", "5"),
    )
    assert run.status == 0, run.err
    assert "pictures of people, for this machine only" in run.out
    assert "own eyes" in (tmp_path / "out" / "local-only" / "worst.html").read_text()
    assert "worst_1.png" not in (tmp_path / "out" / "index.html").read_text()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ((), "name the faces: a chip store, or a table of labelled photos"),
        (("nowhere",), "expected a chip store"),
        (("nowhere", "-o", "p.json"), "ends in .parquet or .csv"),
        (("nowhere.csv", "--root", "."), "no table at nowhere.csv"),
    ],
)
def test_wrong_usage(
    options: tuple[str, ...], complaint: str, model: Path, agelens: Agelens
) -> None:
    run = agelens("predict", "--model", model, *options)
    assert run.status == 2
    assert complaint in run.err


def test_a_folder_of_chips_is_predicted_without_labels(
    model: Path, agelens: Agelens, tmp_path: Path
) -> None:
    folder = tmp_path / "chips.v2"
    (folder / "more").mkdir(parents=True)
    shades = {"b.png": 200, "a.png": 90, "more/c.png": 30}
    for name, shade in shades.items():
        Image.fromarray(np.full((16, 16, 3), (shade, 9, 9), np.uint8)).save(folder / name)
    (folder / "damaged.jpg").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("no picture either")
    output = tmp_path / "p.csv"
    run = agelens("predict", folder, "--aligned", "--model", model, "-o", output)
    assert run.status == 3, run.err
    assert "3 ok, 1 unreadable" in run.out
    frame = read_predictions(output).frame.set_index("path")
    assert frame.index.tolist() == ["a.png", "b.png", "damaged.jpg", "more/c.png"]
    assert frame["age_years"].isna().all()
    for name in shades:
        (row,) = agelens("estimate", folder / name, "--aligned", "--model", model).rows
        stated = row["faces"][0]["estimate_years"]
        assert frame.loc[name, "estimate_years"] == pytest.approx(stated, abs=1e-3)
    labels = pd.DataFrame({"sample_id": [*shades], "age_years": (20, 40, 60)}).assign(
        age_kind="real"
    )
    labels.to_csv(tmp_path / "labels.csv", index=False)
    run = agelens("evaluate", output, "--labels", tmp_path / "labels.csv", "--json")
    assert run.status == 0, run.err


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--aligned",), "neither a chip store nor a folder with pictures"),
        (("--aligned", "--root", "."), "--root is for a table"),
        ((), "expected a chip store"),
    ],
)
def test_a_folder_that_holds_no_chips(
    options: tuple[str, ...], complaint: str, model: Path, agelens: Agelens, tmp_path: Path
) -> None:
    run = agelens("predict", tmp_path, "--model", model, *options, "-o", tmp_path / "p.csv")
    assert run.status == 2
    assert complaint in run.err


def test_a_store_in_a_folder_with_a_dot_in_its_name(
    store: Path, model: Path, agelens: Agelens, tmp_path: Path
) -> None:
    copy = shutil.copytree(store, tmp_path / "store.v2")
    run = agelens("predict", copy, "--model", model, "-o", tmp_path / "p.csv")
    assert run.status == 3, run.err
    assert "15 ok, 1 unreadable" in run.out


@pytest.fixture
def telling_model(write_card: Callable[..., Path], tmp_path: Path) -> Path:
    """A network that tells gender and ethnicity, likelier the redder a chip is."""
    parts = {"answer": 81, "gender": 2, "ethnicity": 3}
    constants, nodes = [], [helper.make_node("ReduceMean", ["chip"], ["means"], axes=[2, 3])]
    nodes += [helper.make_node("Flatten", ["means"], ["flat"])]
    for name, count in parts.items():
        weights = np.zeros((3, count), dtype=np.float32)
        weights[0, count - 1] = 9
        constants.append(onnx.numpy_helper.from_array(weights, f"{name}.weight"))
        nodes.append(helper.make_node("MatMul", ["flat", f"{name}.weight"], [f"{name}.score"]))
        nodes.append(helper.make_node("Softmax", [f"{name}.score"], [name]))
    float32 = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "telling",
        [helper.make_tensor_value_info("chip", float32, ["N", 3, 16, 16])],
        [helper.make_tensor_value_info(n, float32, ["N", count]) for n, count in parts.items()],
        constants,
    )
    opsets = [helper.make_opsetid("", 17)]
    content = helper.make_model(graph, ir_version=8, opset_imports=opsets).SerializeToString()

    def tells(document: dict[str, Any]) -> None:
        document["output"] |= {
            "labels": ["female", "male"],
            "further": {"ethnicity": ["east", "north", "west"]},
            "outputs": list(parts),
        }

    return write_card(tmp_path / "telling", content, tells).parent


@pytest.mark.parametrize("of", ["store", "photos", "chips"])
def test_ethnicity_is_predicted_where_the_model_tells_it(
    *, of: str, store: Path, photos: Path, telling_model: Path, agelens: Agelens, tmp_path: Path
) -> None:
    data = {
        "store": [store],
        "photos": [photos / "table.parquet", "--root", photos],
        "chips": [photos / "table.parquet", "--root", photos, "--aligned"],
    }[of]
    predict = ("predict", *data, "--model", telling_model)
    run = agelens(*predict, "--gender", "-o", tmp_path / "p.parquet")
    assert run.status == 3, run.err
    frame = read_predictions(tmp_path / "p.parquet").frame
    assert frame["ethnicity_estimate"].tolist()[:-1] == ["west"] * (PHOTOS - 1)
    assert frame["gender_estimate"].tolist()[:-1] == ["male"] * (PHOTOS - 1)
    assert frame["ethnicity_score"][:-1].between(1 / 3, 1, inclusive="neither").all()
    assert frame[["ethnicity_estimate", "ethnicity_score"]].iloc[-1].isna().all()
    assert agelens(*predict, "-o", tmp_path / "of-ages.csv").status == 3
    assert "ethnicity_estimate" not in read_predictions(tmp_path / "of-ages.csv").frame


def test_a_result_of_a_photo_has_no_ethnicity(
    photos: Path, telling_model: Path, agelens: Agelens
) -> None:
    run = agelens("estimate", photos / "0.png", "--model", telling_model, "--gender")
    assert run.rows[0]["faces"][0]["gender"] == "male"
    assert "ethnicity" not in run.out


def test_gender_is_of_photos(store: Path, model: Path, agelens: Agelens) -> None:
    run = agelens("predict", store, "--model", model, "--gender", "-o", store / "p.csv")
    assert run.status == 2
    assert "--gender needs photos" in run.err


def test_chips_and_parts_that_do_not_fit_are_refused(
    store: Path, model: Path, agelens: Agelens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = agelens("predict", store, "--model", "cc0-resnet10")
    assert run.status == 2
    assert "size 16 instead of 64" in run.err
    run = agelens("predict", store, "--model", model, "--part", "holdout")
    assert run.status == 2
    assert "parts: train, valid" in run.err
    (tmp_path / "predictions.parquet").write_bytes(b"mine")
    run = agelens("predict", store, "--model", model)
    assert run.status == 2
    assert "predictions.parquet exists: give --overwrite to replace it" in run.err
    assert (tmp_path / "predictions.parquet").read_bytes() == b"mine"
