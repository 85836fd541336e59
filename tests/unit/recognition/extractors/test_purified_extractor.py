"""A purifier behind an extractor, as one extractor."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
import pytest

from agelens.errors import CardError, TableError
from agelens.recognition.embedding_table import EmbeddingModel
from agelens.recognition.extractors import open_extractor
from agelens.recognition.extractors.network import PurifiedExtractor
from agelens.recognition.purifier import CARD, FORMAT, INPUT, NETWORK, OUTPUT, Purifier


def write_purifier(folder: Path, base: EmbeddingModel) -> Path:
    """One that reverses the numbers of a vector."""
    width = base.dimension
    backwards = onnx.numpy_helper.from_array(np.eye(width, dtype=np.float32)[::-1].copy(), "w")
    ports = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", width])
        for name in (INPUT, OUTPUT)
    ]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", [INPUT, "w"], [OUTPUT])],
        "reversing", ports[:1], ports[1:], [backwards],
    )  # fmt: skip
    opset = onnx.helper.make_opsetid("", 17)
    content = onnx.helper.make_model(graph, ir_version=8, opset_imports=[opset])
    network = content.SerializeToString()
    folder.mkdir()
    (folder / NETWORK).write_bytes(network)
    facts = {"format": FORMAT, "name": "pure", "version": "3", "base": asdict(base)}
    digest = hashlib.sha256(network).hexdigest()
    (folder / CARD).write_text(json.dumps(facts | {"sha256": digest}))
    return folder


@pytest.mark.parametrize("crops", ["single", "concatenated"])
def test_each_crop_is_purified_by_itself(crops: str, colour_card: Path, tmp_path: Path) -> None:
    trained_behind = open_extractor(colour_card).model
    base = open_extractor(colour_card, crops=crops)  # type: ignore[arg-type]
    purifier = Purifier.open(write_purifier(tmp_path / "pure", trained_behind))
    extractor = PurifiedExtractor(base, purifier)
    chips = np.random.default_rng(0).integers(0, 255, (3, 16, 16, 3), dtype=np.uint8)
    halves = base.embed(chips).reshape(3, -1, 81)
    expected = halves[:, :, ::-1].reshape(3, -1)
    np.testing.assert_allclose(extractor.embed(chips), expected, atol=1e-6)
    assert (extractor.model.name, extractor.model.version) == ("pure", "3")
    assert extractor.model.crops == crops


def test_a_purifier_of_another_extractor_is_refused(colour_card: Path, tmp_path: Path) -> None:
    other = EmbeddingModel("other", "1", "00", 81)
    purifier = Purifier.open(write_purifier(tmp_path / "pure", other))
    with pytest.raises(TableError, match="other"):
        PurifiedExtractor(open_extractor(colour_card), purifier)


def test_without_its_extractor_a_purifier_is_not_opened(colour_card: Path, tmp_path: Path) -> None:
    folder = write_purifier(tmp_path / "pure", open_extractor(colour_card).model)
    with pytest.raises(CardError, match="not packaged"):
        open_extractor(folder)
    packaged = write_purifier(tmp_path / "packaged", open_extractor().model)
    assert open_extractor(packaged, crops="concatenated").model.dimension == 256


def test_an_extractor_of_ones_own_is_found_beside_the_purifier(
    colour_card: Path, tmp_path: Path
) -> None:
    own = open_extractor(colour_card)
    folder = write_purifier(tmp_path / "pure", own.model)
    shutil.copytree(colour_card, tmp_path / own.model.name)
    chips = np.random.default_rng(0).integers(0, 255, (2, 16, 16, 3), dtype=np.uint8)
    found = open_extractor(folder)
    np.testing.assert_allclose(found.embed(chips), own.embed(chips)[:, ::-1], atol=1e-6)
    card = tmp_path / own.model.name / "card.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"version": "another"}))
    with pytest.raises(TableError, match="another"):
        open_extractor(folder)
