"""Somebody's own network becomes an extractor: what is recognised, measured, and refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from sklearn.metrics import roc_auc_score
from tests.unit.recognition.extractors.test_purified_extractor import write_purifier

from agelens.data.drawn_sample import draw_sample
from agelens.errors import CardError, TableError, UsageError
from agelens.recognition import add_extractor, embed, open_extractor
from agelens.records import RGB
from agelens.tables import SampleTable

Shape = tuple[int | str, ...]


def network(
    path: Path,
    *,
    shape: Shape = ("batch", 3, 112, 112),
    answer: Shape = ("batch", 48),
    mean: float = 0.0,
    factor: float = 4.0,
    blue_alone: bool = False,
    fixed: bool = False,
) -> Path:
    """An ONNX file whose embedding is the colours of 4 x 4 parts of the picture.

    It expects pixels about `mean`; they saturate where they are many times 1 / `factor` off it.
    """
    nodes, weights, name = [], [], "picture"

    def add(kind: str, *more: np.ndarray, **options: Any) -> None:
        nonlocal name
        names = [f"w{len(weights) + place}" for place in range(len(more))]
        weights.extend(numpy_helper.from_array(w, n) for w, n in zip(more, names, strict=True))
        nodes.append(helper.make_node(kind, [name, *names], [f"{kind}{len(nodes)}"], **options))
        name = f"{kind}{len(nodes) - 1}"

    if shape[-1] == 3:
        add("Transpose", perm=[0, 3, 1, 2])
    add("Sub", np.float32(mean))
    add("Mul", np.float32(factor))
    add("Tanh")
    if blue_alone:  # of pictures in the order blue, green, red
        add("Mul", np.array([1, 0, 0], np.float32).reshape(1, 3, 1, 1))
    add("AveragePool", kernel_shape=[28, 28], strides=[28, 28])
    add("Reshape", np.array([1 if fixed else -1, 48], np.int64))
    if len(answer) == 4:
        add("Reshape", np.array([-1, 48, 1, 1], np.int64))
    graph = helper.make_graph(
        nodes,
        "own",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, answer)],
        weights,
    )
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)
    return path


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sample table of drawn people, two photos each."""
    folder = tmp_path_factory.mktemp("people")
    drawn = pd.read_csv(draw_sample(folder / "drawn", 80, seed=5))
    table = SampleTable.from_columns(
        {
            "sample_id": drawn["file"],
            "dataset": "drawn",
            "path": "photos/" + drawn["file"],
            "subject": drawn["person"],
            "age_years": drawn["age"].astype(float),
            "age_kind": "apparent",
        }
    )
    table.frame.to_parquet(folder / "people.parquet")
    return folder / "people.parquet"


@pytest.mark.parametrize(
    ("made", "scale"),
    [
        ({}, "arcface"),
        ({"shape": (1, 3, 112, 112), "answer": (1, 48)}, "arcface"),
        ({"shape": ("n", 112, 112, 3), "answer": ("n", 48, 1, 1)}, "arcface"),
        ({"mean": 127.5, "factor": 0.02}, "bytes"),
    ],
)
def test_shape_and_scale_are_recognised(
    made: dict[str, Any], scale: str, tmp_path: Path, head: RGB
) -> None:
    found = add_extractor(network(tmp_path / "net.onnx", **made), "own", folder=tmp_path / "own")
    taken = json.loads((tmp_path / "own" / "card.json").read_text())["input"]
    assert taken["mean"] == [{"arcface": 127.5, "bytes": 0.0}[scale]] * 3
    assert (taken["size"], taken["template"]) == (112, "arcface-112")
    assert "verify and search refuse it" in found.sentences()[-1]
    extractor = open_extractor(tmp_path / "own")
    chip = cv2.resize(head, (112, 112))
    chips = np.stack([chip, chip[:, ::-1]])
    vectors = extractor.embed(chips)
    assert vectors.shape == (2, 48)
    assert np.allclose(vectors[1], extractor.embed(chips[1:])[0], atol=1e-6)


def test_the_order_of_colours_is_that_which_tells_labelled_people_apart(
    people: Path, tmp_path: Path
) -> None:
    root = people.parent / "drawn"
    found = add_extractor(
        network(tmp_path / "net.onnx", blue_alone=True), "own", folder=tmp_path / "own",
        measure=people, root=root,
    )  # fmt: skip
    areas = {}
    card = json.loads((tmp_path / "own" / "card.json").read_text())
    for order in ("RGB", "BGR"):
        card["input"]["color_order"] = order
        (tmp_path / "own" / "card.json").write_text(json.dumps(card))
        table = embed(people, root=root, extractor=tmp_path / "own")
        first, second = np.triu_indices(len(table), 1)
        who = table.frame["subject"].to_numpy()
        alike = (table.vectors[first] * table.vectors[second]).sum(1)
        areas[order] = roc_auc_score(who[first] == who[second], alike)
    assert areas["BGR"] > areas["RGB"] + 1e-4  # not the usual order, so that it had to be seen
    assert found.document["input"]["color_order"] == "BGR"
    assert "colours by the user's faces" in found.recognised


def test_the_command_makes_an_extractor_that_verify_takes(
    agelens: Callable[..., Any], people: Path, heads: dict[str, Path], tmp_path: Path
) -> None:
    own = tmp_path / "own"
    ran = agelens(
        "identity", "add", network(tmp_path / "net.onnx"), "--name", "own", "-o", own,
        "--measure", people, "--root", people.parent / "drawn", "--dataset", "drawn people",
        "--licence", "CC0",
    )  # fmt: skip
    assert ran.status == 0, ran.err
    assert "measured on 3,120 pairs of 40 people of drawn people" in ran.out
    card = json.loads((own / "card.json").read_text())
    assert card["licences"]["weights"] == "CC0"
    assert card["verification"]["single"]["same_pairs"] == 40
    told = agelens(
        "verify", heads["grey"], heads["grey"], "--extractor", own, "--false-match-rate", "0.1",
        "--json",
    )  # fmt: skip
    assert told.status == 0, told.err
    assert told.rows[0]["model"]["name"] == "own"
    assert told.rows[0]["same_person"] is True
    assert agelens("identity", "add", tmp_path / "net.onnx", "--name", "x", "-o", own).status == 2


def test_a_folder_with_a_card_gets_the_rates_that_it_lacks(
    agelens: Callable[..., Any], people: Path, heads: dict[str, Path], tmp_path: Path
) -> None:
    add_extractor(network(tmp_path / "net.onnx"), "bare", folder=tmp_path / "bare", licence="CC0")
    pair = ("verify", heads["grey"], heads["grey"], "--false-match-rate", "0.1", "--json")
    refused = agelens(*pair, "--extractor", tmp_path / "bare")
    assert refused.status == 2
    assert "agelens identity add" in refused.err
    words = ("identity", "add", tmp_path / "bare", "--name", "own", "-o", tmp_path / "own")
    measured = ("--measure", people, "--root", people.parent / "drawn")
    ran = agelens(*words, *measured)
    assert ran.status == 0, ran.err
    assert agelens(*pair, "--extractor", tmp_path / "own").rows[0]["same_person"] is True
    before, after = (open_extractor(tmp_path / name).document for name in ("bare", "own"))
    changed = {key for key in after if after[key] != before[key]}
    assert changed == {"name", "verification"}
    words = (*words[:-1], tmp_path / "other")
    assert "name faces (--measure)" in agelens(*words).err
    assert "its card says" in agelens(*words, *measured, "--scale", "unit").err
    assert not (tmp_path / "other").exists()
    pure = write_purifier(tmp_path / "pure", open_extractor(tmp_path / "bare").model)
    add_extractor(
        pure, "rated", folder=tmp_path / "rated", measure=people, root=people.parent / "drawn"
    )
    assert agelens(*pair, "--extractor", tmp_path / "rated").rows[0]["model"]["name"] == "rated"


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"factor": 0.0}, "drawn faces are all one"),
        ({"fixed": True}, "fixed to 1"),
        ({"answer": ("batch", 8)}, "D of 16 or more"),
    ],
)
def test_networks_of_no_use_are_refused(made: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = network(tmp_path / "net.onnx", **made)
    with pytest.raises(CardError, match=message):
        add_extractor(path, "own", folder=tmp_path / "own")
    assert not (tmp_path / "own").exists()


def test_files_and_tables_of_no_use_are_refused(
    people: Path, tmp_path: Path, agelens: Callable[..., Any]
) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no network")
    short = onnx.load(network(tmp_path / "short.onnx"))
    short.graph.initializer[0].raw_data = b"123"
    onnx.save(short, tmp_path / "short.onnx")
    for name in ("bad.onnx", "short.onnx", "absent.onnx"):
        ran = agelens("identity", "add", tmp_path / name, "--name", "own", "-o", tmp_path / "own")
        assert ran.status == 2
        assert name in ran.err
    alone = tmp_path / "alone.parquet"
    pd.read_parquet(people).drop_duplicates("subject").to_parquet(alone)
    with pytest.raises(TableError, match="pairs of one person"):
        add_extractor(
            network(tmp_path / "net.onnx"), "own", folder=tmp_path / "own", measure=alone,
            root=people.parent / "drawn",
        )  # fmt: skip
    assert not (tmp_path / "own").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    with pytest.raises(UsageError):
        add_extractor(network(tmp_path / "n.onnx"), "own", folder=tmp_path / "full")


def test_a_photo_is_no_network(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(CardError):
        add_extractor(tmp_path / "a.png", "own", folder=tmp_path / "own")
