"""The randomisation check: who passes, who fails, and what is shuffled."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from agelens.evaluation.heat_maps.explained_faces import RandomizationResult, verdict
from agelens.evaluation.heat_maps.heat_map import HeatMap
from agelens.evaluation.heat_maps.occlusion import (
    OcclusionExplainer,
    Windows,
    shuffled_estimator,
    shuffled_onnx,
)
from agelens.evaluation.heat_maps.sanity_check import sanity_check
from agelens.evaluation.reports.result import plain_json
from agelens.inference.estimator import AgeEstimator
from agelens.records import RGB

SIDE = 16


def chips(count: int = 2) -> list[RGB]:
    random = np.random.default_rng(0)
    return list(random.integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8))


def places_network(seed: int = 0) -> bytes:
    """Each place of the chip has weights of its own for each age, so that maps have a shape."""
    random = np.random.default_rng(seed)
    weights = {
        "fitting.scale": np.full((1, 3, 1, 1), 1.0),
        "first": random.normal(size=(3 * SIDE * SIDE, 6)) / 3,
        "last": 3 * random.normal(size=(6, 81)),
    }
    nodes = [
        helper.make_node("Mul", ["chip", "fitting.scale"], ["scaled"]),
        helper.make_node("Flatten", ["scaled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "first"], ["hidden"]),
        helper.make_node("Tanh", ["hidden"], ["bent"]),
        helper.make_node("MatMul", ["bent", "last"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["answer"]),
    ]
    graph = helper.make_graph(
        nodes,
        "places",
        [helper.make_tensor_value_info("chip", TensorProto.FLOAT, ["N", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, ["N", 81])],
        [numpy_helper.from_array(v.astype(np.float32), name) for name, v in weights.items()],
    )
    opset = helper.make_opsetid("", 17)
    content: bytes = helper.make_model(
        graph, ir_version=8, opset_imports=[opset]
    ).SerializeToString()
    return content


@pytest.fixture
def estimator(write_card: Callable[..., Path], tmp_path: Path) -> AgeEstimator:
    return AgeEstimator(write_card(tmp_path / "model", places_network()), workers=1)


def weights_of(content: bytes) -> dict[str, np.ndarray]:
    initializers = onnx.load_from_string(content).graph.initializer
    return {one.name: numpy_helper.to_array(one) for one in initializers}


def test_occlusion_passes(estimator: AgeEstimator) -> None:
    found = sanity_check(OcclusionExplainer(estimator, Windows(SIDE, 4, 2)), chips())
    assert [step.share for step in found] == [0.25, 0.5, 1.0]
    assert all(step.maps == 2 for step in found)
    assert abs(found[-1].rank_correlation) < 0.4
    assert found[-1].structural_similarity < 0.4
    assert verdict(found).startswith("passed")
    assert "4 photos or more" in verdict(found)
    assert "photos" not in verdict([RandomizationResult(1.0, 4, 0.1, 0.1, 0.0)])


@dataclass
class Edges:
    """A method of the kind that the paper warns of: it draws the picture, whatever the network."""

    def __call__(self, chip: RGB) -> HeatMap:
        return HeatMap(chip.mean(axis=2), "relative", "edges", 1, 30.0)

    def with_shuffled_weights(self, share: float, seed: int) -> Edges:
        return Edges()


def test_a_method_that_ignores_the_network_fails() -> None:
    found = sanity_check(Edges(), chips())
    assert [step.rank_correlation for step in found] == pytest.approx([1, 1, 1])
    assert verdict(found).startswith("FAILED")


def test_maps_without_a_shape_give_no_verdict() -> None:
    nothing = RandomizationResult(1.0, 1, math.nan, math.nan, math.nan)
    assert verdict([nothing]).startswith("no verdict")
    assert plain_json(nothing)["rank_correlation"] is None


@pytest.mark.parametrize(("share", "touched"), [(0.5, {"last"}), (1.0, {"first", "last"})])
def test_layers_are_shuffled_from_the_answer_back(share: float, touched: set[str]) -> None:
    content = places_network()
    before, after = weights_of(content), weights_of(shuffled_onnx(content, share, seed=0))
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed == touched  # never what only resizes chips
    for name in before:
        np.testing.assert_array_equal(np.sort(before[name], None), np.sort(after[name], None))
    assert shuffled_onnx(content, share, seed=0) == shuffled_onnx(content, share, seed=0)


def test_the_model_itself_stays_as_it_is(estimator: AgeEstimator) -> None:
    before = estimator.estimate_chips(chips())[0].estimate_years
    other = shuffled_estimator(estimator, 1.0, seed=0)
    assert other.estimate_chips(chips())[0].estimate_years != before
    assert estimator.estimate_chips(chips())[0].estimate_years == before
    assert not list(estimator.card.weights.parent.glob("model.onnx"))
