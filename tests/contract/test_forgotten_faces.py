"""What is handed on of a trained network holds no feature vector of a training face."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load
from torch import Tensor, nn

from agelens.data.training_input.geometry import ChipTransform
from agelens.export.export_network import ExportNetwork, TrainedInput
from agelens.export.formats import weights_of
from agelens.models.age_model import AgeModel
from agelens.models.backbones import Backbone
from agelens.models.methods import METHODS, method_class
from agelens.models.methods.base import AgeTargets, LearningHead
from agelens.training.training_loop import weights_file

LEAST_RUN = 8
"""So many numbers of a face's feature in a row are no accident."""
KEEPERS = ("drf", "rapl")
WAYS = [("onnx", "single"), ("onnx", "half"), ("torchscript", "single"), ("torchscript", "half")]


class Grid(Backbone):
    """A chip's four by four means, mixed."""

    name, features, early_features, size = "grid", 48, 48, 32
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
    stages = (("mix.",),)

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(48, 48)

    def with_early(self, images: Tensor) -> tuple[Tensor, Tensor]:
        means = nn.functional.adaptive_avg_pool2d(images, 4).flatten(1)
        return self.mix(means), means


def taught(name: str) -> tuple[AgeModel, Tensor]:
    """A model that has seen an epoch and a batch of training faces, and what it saw of them."""
    torch.manual_seed(3)
    method = method_class(name)("10-40")
    ages = torch.linspace(10, 40, 31)
    method.fit_ages(ages)
    model = AgeModel(Grid(), method)
    seen = []
    with torch.no_grad():
        for _ in range(2):
            images = torch.randn(31, 3, 32, 32)
            outputs = model(images).age
            seen.append(outputs.units if hasattr(outputs, "units") else model.features(images))
            if isinstance(model.head, LearningHead):
                model.head.after_step(outputs, AgeTargets(ages, torch.full((31,), torch.nan)))
                model.head.after_epoch(torch.tensor([1.0, -2.0]), best=len(seen) == 1)
    return model.eval(), torch.cat(seen)


def trained_input() -> TrainedInput:
    settings = {"size": 32, "alignment": "similarity", "template": "dlib-64", "margin": 0.0}
    return TrainedInput(settings, ChipTransform(32, mean=Grid.mean, std=Grid.std))


def held(content: bytes, features: Tensor) -> int:
    """Of how many faces `content` holds a part of the feature, in single or half precision."""
    parts = (features[:, :LEAST_RUN], features[:, :LEAST_RUN].half())
    rows = (row.numpy().tobytes() for part in parts for row in part.contiguous())
    return sum(row in content for row in rows)


def state_bytes(model: AgeModel) -> bytes:
    """As a checkpoint holds it."""
    return b"".join(value.numpy().tobytes() for value in model.state_dict().values())


@pytest.mark.parametrize("method", METHODS)
def test_some_checkpoints_hold_what_learning_goes_on_by(method: str) -> None:
    model, features = taught(method)
    assert (held(state_bytes(model), features) > 0) == (method in KEEPERS)


@pytest.mark.parametrize(("form", "precision"), WAYS)
@pytest.mark.parametrize("method", KEEPERS)
def test_an_export_holds_no_face(method: str, form: str, precision: str) -> None:
    model, features = taught(method)
    before = state_bytes(model)
    network = ExportNetwork(model, trained_input())
    content = weights_of(network, [], format=form, precision=precision)  # type: ignore[arg-type]
    assert held(content, features) == 0
    assert state_bytes(model) == before


@pytest.mark.parametrize("method", METHODS)
def test_the_weights_of_a_run_hold_no_face_and_answer_alike(method: str) -> None:
    model, features = taught(method)
    content = weights_file(model)
    assert held(content, features) == 0
    images = torch.from_numpy(np.random.default_rng(4).normal(size=(5, 3, 32, 32))).float()
    with torch.no_grad():
        before = model.answer(images)
        model.load_state_dict(load(content))
        torch.testing.assert_close(model.answer(images), before, rtol=0, atol=0)
