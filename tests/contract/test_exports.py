"""Every method, and the small backbones, exported: same answers, in a file of their own."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import agelens
from agelens.data.training_input.geometry import ChipTransform
from agelens.export.export_network import ExportNetwork, TrainedInput
from agelens.export.formats import PRECISIONS, Precision, weights_of
from agelens.export.torchscript import TracedRuntime
from agelens.inference.answers import read_answers
from agelens.inference.network import normalised
from agelens.inference.runtimes import OnnxRuntime, Runtime
from agelens.models.age_model import AgeModel
from agelens.models.auxiliary import AUXILIARY, AuxiliaryTask
from agelens.models.backbones import Backbone, build_backbone
from agelens.models.methods import METHODS, method_class
from agelens.records import RGB

FORMATS = ("onnx", "torchscript")
SMALL = {"dlib-resnet10": 64, "tinyagenet": 64, "ssr-net": 38, "c3ae": 32, "resnet18": 64}


class Pooling(Backbone):
    """Means of a chip's quarters, mixed: enough for a head to say something."""

    name, features, early_features, size = "pooling", 8, 12, 32
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
    stages = (("mix.",),)

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(12, 8)

    def with_early(self, images: Tensor) -> tuple[Tensor, Tensor]:
        quarters = nn.functional.adaptive_avg_pool2d(images, 2).flatten(1)
        return self.mix(quarters), quarters


def model_of(method: str, backbone: Backbone) -> AgeModel:
    made = method_class(method)("10-40")
    made.fit_ages(torch.linspace(10, 40, 31))
    return AgeModel(backbone, made).eval()


def input_of(backbone: Backbone, chip_size: int) -> TrainedInput:
    settings = {"size": chip_size, "alignment": "similarity", "template": "dlib-64", "margin": 0.0}
    transform = ChipTransform(backbone.size, mean=backbone.mean, std=backbone.std)
    return TrainedInput(settings, transform)


def chips_of(size: int, count: int = 5) -> RGB:
    return np.random.default_rng(7).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def trained(model: AgeModel, seen: TrainedInput, chips: RGB) -> NDArray[np.float64]:
    with torch.no_grad():
        pixels = seen.transform(torch.from_numpy(chips).permute(0, 3, 1, 2))
        return model.answer(pixels).double().numpy()


def exported(
    model: AgeModel, seen: TrainedInput, chips: RGB, form: str, precision: str = "single"
) -> NDArray[np.float64]:
    network = ExportNetwork(model, seen)
    pixels = normalised(chips, seen.chip_input)
    content = weights_of(network, [pixels], format=form, precision=precision)  # type: ignore[arg-type]
    age = model.method.spec.width
    told = [len(words) for words in model.told.values()]
    outputs = dict(zip(network.outputs, (age, *told), strict=True)) if told else None
    width = age + sum(told)
    runtime: Runtime = (
        OnnxRuntime(content, name="it", size=seen.chip_size, width=width, outputs=outputs)
        if form == "onnx"
        else TracedRuntime(content)
    )
    # By one, all together, and none of the two that a trace has seen.
    alone = np.concatenate([runtime(pixels[n : n + 1]) for n in range(len(pixels))])
    np.testing.assert_allclose(runtime(pixels), alone, rtol=1e-4, atol=1e-4)
    return alone.astype(np.float64)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("method", METHODS)
def test_a_method_answers_alike(method: str, form: str) -> None:
    torch.manual_seed(5)
    model = model_of(method, Pooling())
    seen = input_of(model.backbone, 48)  # made smaller inside
    chips = chips_of(48)
    before = trained(model, seen, chips)
    after = exported(model, seen, chips, form)
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-4)
    ages = [read_answers(answer, model.method.spec).median_years for answer in (before, after)]
    np.testing.assert_allclose(ages[0], ages[1], atol=0.01)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("backbone", SMALL)
def test_a_backbone_answers_alike(backbone: str, form: str) -> None:
    torch.manual_seed(6)
    built = build_backbone(backbone, size=SMALL[backbone]).backbone
    model = model_of("dex", built)
    seen = input_of(built, SMALL[backbone])
    chips = chips_of(SMALL[backbone])
    np.testing.assert_allclose(
        exported(model, seen, chips, form), trained(model, seen, chips), rtol=0, atol=1e-5
    )


GENDER = AuxiliaryTask("gender", ("female", "male"))


def multi_task(way: str, *others: AuxiliaryTask) -> AgeModel:
    torch.manual_seed(9)
    method, backbone = method_class("dldl-v2")("10-40"), Pooling()
    heads = AUXILIARY[way]([*others, GENDER], backbone.features, backbone.early_features)
    return AgeModel(backbone, method, heads).eval()


@pytest.mark.parametrize("way", AUXILIARY)
def test_what_is_learned_beside_the_age_is_answered_gender_first(way: str) -> None:
    model = multi_task(way, AuxiliaryTask("ethnicity", ("east", "north", "south", "west")))
    seen, chips = input_of(model.backbone, 32), chips_of(32)
    with torch.no_grad():
        pixels = seen.transform(torch.from_numpy(chips).permute(0, 3, 1, 2))
        logits = model(pixels).auxiliary
    told = [logits[name].softmax(dim=1).numpy() for name in ("gender", "ethnicity")]
    before = np.concatenate([trained(model, seen, chips), *told], axis=1)
    for form in FORMATS:
        after = exported(model, seen, chips, form)
        np.testing.assert_allclose(after, before, rtol=0, atol=1e-5)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_each_column_that_is_told_has_an_output_of_its_name(precision: Precision) -> None:
    model = multi_task("parallel", AuxiliaryTask("ethnicity", ("east", "north", "west")))
    seen = input_of(model.backbone, 32)
    pixels = normalised(chips_of(32), seen.chip_input)
    network = ExportNetwork(model, seen)
    content = weights_of(network, [pixels], format="onnx", precision=precision)
    ports = onnxruntime.InferenceSession(content).get_outputs()
    assert {port.name: port.shape[1:] for port in ports} == {
        "answer": [31],
        "gender": [2],
        "ethnicity": [3],
    }
    tolerance = 0.05 if precision == "int8" else 1e-3
    after = exported(model, seen, chips_of(32), "onnx", precision)
    before = exported(model, seen, chips_of(32), "torchscript")
    np.testing.assert_allclose(after, before, rtol=0, atol=tolerance)


def test_columns_called_as_values_inside_have_outputs_too() -> None:
    names = ("linear", "softmax", "chips", "answer", "model.head.bias")
    model = multi_task("parallel", *(AuxiliaryTask(name, ("a", "b", "c")) for name in names))
    seen, chips = input_of(model.backbone, 32), chips_of(32)
    network = ExportNetwork(model, seen)
    content = weights_of(network, [], format="onnx", precision="single")
    onnx.checker.check_model(onnx.load_from_string(content))
    session = onnxruntime.InferenceSession(content)
    assert [port.name for port in session.get_outputs()] == [
        *("answer", "gender", "linear", "softmax"),
        *("chips_told", "answer_told", "model.head.bias"),
    ]
    ours, traced = (exported(model, seen, chips, form) for form in FORMATS)
    np.testing.assert_allclose(ours, traced, rtol=0, atol=1e-5)


@cache
def onnx_of_tinyagenet() -> bytes:
    torch.manual_seed(8)
    model = model_of("coral", build_backbone("tinyagenet", size=64).backbone)
    network = ExportNetwork(model, input_of(model.backbone, 64))
    return weights_of(network, [], format="onnx", precision="single")


def test_batch_norms_are_part_of_the_convolutions() -> None:
    graph = onnx.load_from_string(onnx_of_tinyagenet()).graph
    kinds = [node.op_type for node in graph.node]
    assert kinds.count("Conv") == 13
    assert "BatchNormalization" not in kinds


def test_a_file_says_nothing_of_where_it_was_made() -> None:
    content = onnx_of_tinyagenet()
    here = os.fsencode(Path(agelens.__file__).parents[2])
    for word in (b"site-packages", b"/home/", here, b".py", b"Traceback", b"stack_trace"):
        assert word not in content


def test_a_file_has_one_input_with_a_free_batch_and_one_output() -> None:
    graph = onnx.load_from_string(onnx_of_tinyagenet()).graph
    shapes = [
        [dim.dim_param or dim.dim_value for dim in port.type.tensor_type.shape.dim]
        for port in (*graph.input, *graph.output)
    ]
    assert shapes == [["N", 3, 64, 64], ["N", 30]]
    assert [port.name for port in (*graph.input, *graph.output)] == ["chips", "answer"]
