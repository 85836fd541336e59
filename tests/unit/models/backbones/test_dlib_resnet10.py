from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

from agelens.ages import AgeScale
from agelens.inference.cards import load_card
from agelens.models.backbones import Backbone, build_backbone
from agelens.models.backbones.dlib_resnet10 import public_name
from agelens.records import RGB


@pytest.fixture(scope="module")
def packaged() -> Backbone:
    return build_backbone("dlib-resnet10", weights="packaged").backbone


@pytest.fixture(scope="module")
def session() -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(load_card("cc0-resnet10").read_weights())


def normalised(backbone: Backbone, chips: RGB) -> np.ndarray:
    """Pixels of uint8 chips [N, 64, 64, 3] as the backbone states that they should be."""
    pixels = (chips / 255 - backbone.mean) / backbone.std
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), dtype=np.float32)


def assert_answers_as_the_file(
    backbone: Backbone, session: onnxruntime.InferenceSession, images: np.ndarray
) -> None:
    (expected,) = session.run(None, {"images": images})
    assert backbone.packaged_head is not None
    weight, bias = backbone.packaged_head
    with torch.inference_mode():
        logits = torch.nn.functional.linear(backbone(torch.from_numpy(images)), weight, bias)
        found = logits.softmax(dim=1).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_answers_as_the_packaged_file_on_random_chips(
    packaged: Backbone, session: onnxruntime.InferenceSession
) -> None:
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 256, (12, 64, 64, 3), dtype=np.uint8)
    flat = np.full((3, 64, 64, 3), [[[[0]]], [[[128]]], [[[255]]]], dtype=np.uint8)
    assert_answers_as_the_file(
        packaged, session, normalised(packaged, np.concatenate([noise, flat]))
    )
    wild = rng.normal(0, 3, (4, 3, 64, 64)).astype(np.float32)
    assert_answers_as_the_file(packaged, session, wild)


def test_answers_as_the_packaged_file_on_a_face(
    packaged: Backbone, session: onnxruntime.InferenceSession, head: RGB
) -> None:
    chips = [
        np.asarray(Image.fromarray(view).resize((64, 64)))
        for view in (head, head[:, ::-1], head[10:80, 10:80])
    ]
    assert_answers_as_the_file(packaged, session, normalised(packaged, np.stack(chips)))


@pytest.mark.real_data
def test_answers_as_the_packaged_file_on_real_faces(
    packaged: Backbone, session: onnxruntime.InferenceSession, real_data: Path
) -> None:
    paths = sorted((real_data / "utkface").rglob("*.jpg"))[::500][:40]
    assert len(paths) > 10
    chips = [np.asarray(Image.open(path).convert("RGB").resize((64, 64))) for path in paths]
    assert_answers_as_the_file(packaged, session, normalised(packaged, np.stack(chips)))


def test_the_packaged_head_is_of_the_81_ages(packaged: Backbone) -> None:
    assert packaged.packaged_head is not None
    weight, bias = packaged.packaged_head
    ages = len(AgeScale.parse("0.25,1-80").years)
    assert weight.shape == (ages, packaged.features)
    assert bias.shape == (ages,)
    assert not weight.requires_grad
    assert build_backbone("dlib-resnet10").backbone.packaged_head is None


def test_states_the_pixels_of_the_card(packaged: Backbone) -> None:
    np.testing.assert_allclose(np.multiply(packaged.mean, 255), (122.782, 117.001, 104.298), 1e-6)
    np.testing.assert_allclose(packaged.std, [256 / 255] * 3)
    assert packaged.size == 64


def test_every_weight_of_the_file_is_accounted_for() -> None:
    report = build_backbone("dlib-resnet10", weights="packaged").report
    assert len(report.of("renamed")) == 11 * 4
    assert [line.source for line in report.of("unused")] == ["layer_1_weights", "layer_1_bias"]
    assert len(report.lines) == 11 * 4 + 2
    assert report.flushed > 1000


def test_no_subnormal_weight_is_left(packaged: Backbone) -> None:
    assert packaged.packaged_head is not None
    tiny = torch.finfo(torch.float32).tiny
    for weights in (*packaged.parameters(), *packaged.packaged_head):
        assert not ((weights != 0) & (weights.abs() < tiny)).any()


@pytest.mark.parametrize(
    ("public", "ours"),
    [
        ("layer_52_weights", "stem.conv.weight"),
        ("layer_46_scale", "block1.first.scale"),
        ("layer_5_offset", "block5.second.offset"),
        ("layer_1_weights", "layer_1_weights"),
        ("layer_99_bias", "layer_99_bias"),
        ("layer_x_bias", "layer_x_bias"),
        ("stem.scale", "stem.scale"),
    ],
)
def test_names_of_the_file(public: str, ours: str) -> None:
    assert public_name(public) == ours


@pytest.mark.parametrize("size", [33, 48, 65, 112])
def test_other_sizes_pass(packaged: Backbone, size: int) -> None:
    with torch.inference_mode():
        assert packaged(torch.zeros(1, 3, size, size)).shape == (1, 256)
