"""dlib's face network through ours: the same numbers, from chips cut as dlib cuts them."""

from __future__ import annotations

import hashlib
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import cv2
import dlib
import numpy as np
import pytest

from agelens.errors import CardError
from agelens.foreign_files import json_object
from agelens.imaging.align import warp
from agelens.imaging.detectors.retinaface import RetinaFace
from agelens.recognition.extractors import EXTRACTORS, open_extractor
from agelens.recognition.extractors.dlib_resnet29 import (
    DlibFivePoints,
    layer_weights,
    resnet29_onnx,
)
from agelens.recognition.extractors.network import Extractor
from agelens.records import RGB, Face


@pytest.fixture(scope="module")
def weights() -> Path:
    path = "face_recognition_models/models/dlib_face_recognition_resnet_model_v1.dat"
    return Path(str(distribution("face-recognition-models").locate_file(path)))


@pytest.fixture(scope="module")
def extractor() -> Extractor:
    return open_extractor()


@pytest.fixture(scope="module")
def cutter() -> DlibFivePoints:
    return DlibFivePoints()


@pytest.fixture(scope="module")
def face(astronaut: RGB) -> Face:
    return RetinaFace().detect(astronaut)[0]


def test_the_embedding_is_dlibs_own(
    astronaut: RGB, face: Face, weights: Path, extractor: Extractor, cutter: DlibFivePoints
) -> None:
    network = dlib.face_recognition_model_v1(str(weights))
    theirs = np.array(
        network.compute_face_descriptor(astronaut.copy(), cutter.points(astronaut.copy(), face))
    )
    ours = extractor.embed(cutter.align(astronaut, face).rgb[None])[0]
    np.testing.assert_allclose(ours, theirs / np.linalg.norm(theirs), atol=1e-5)


def test_the_chip_is_dlibs_and_its_matrix_says_where_it_lay(
    astronaut: RGB, face: Face, cutter: DlibFivePoints
) -> None:
    chip = cutter.align(astronaut, face)
    points = cutter.points(astronaut.copy(), face)
    theirs = dlib.get_face_chip(astronaut.copy(), points, 150, 0.25)
    np.testing.assert_array_equal(chip.rgb, theirs)
    again = warp(astronaut, chip.matrix, 150).astype(float)
    assert np.abs(again - chip.rgb)[4:-4, 4:-4].mean() < 1.5


@pytest.mark.parametrize("degrees", [-25, 12, 60])
def test_a_turned_face_is_still_the_same_person(
    astronaut: RGB, face: Face, degrees: int, extractor: Extractor, cutter: DlibFivePoints
) -> None:
    turn = cv2.getRotationMatrix2D((256, 256), degrees, 1.0)
    turned = np.asarray(cv2.warpAffine(astronaut, turn, (512, 512)), dtype=np.uint8)
    found = RetinaFace().detect(turned)[0]
    chips = [cutter.align(astronaut, face).rgb, cutter.align(turned, found).rgb]
    upright, other = extractor.embed(np.stack(chips))
    assert float(upright @ other) > 0.99


def test_two_crops_are_the_chip_and_its_mirror_image(
    astronaut: RGB, face: Face, extractor: Extractor, cutter: DlibFivePoints
) -> None:
    chips = cutter.align(astronaut, face).rgb[None]
    one, mirrored = extractor.embed(chips)[0], extractor.embed(chips[:, :, ::-1])[0]
    beside = open_extractor(crops="concatenated").embed(chips)[0]
    np.testing.assert_allclose(beside, np.hstack([one, mirrored]) / np.sqrt(2), atol=1e-6)
    added = open_extractor(crops="added")
    upon = (one + mirrored) / np.linalg.norm(one + mirrored)
    np.testing.assert_allclose(added.embed(chips)[0], upon, atol=1e-6)
    assert (added.model.crops, added.model.dimension) == ("added", 128)


def test_the_card_is_that_of_the_weights(weights: Path) -> None:
    card: dict[str, Any] = json_object(EXTRACTORS["dlib-resnet29"], CardError)
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == card["weights"]["sha256"]
    assert card["licences"]["weights"].startswith("CC0")
    assert card["trained_on"]


def test_the_card_states_measured_rates() -> None:
    for section in json_object(EXTRACTORS["dlib-resnet29"], CardError)["verification"].values():
        rates = [(rate["false_match_rate"], rate["threshold"]) for rate in section["rates"]]
        assert rates == sorted(rates, key=lambda one: (-one[0], one[1]))
        assert all(rate["high"] <= rate["false_match_rate"] for rate in section["rates"])
        assert section["different_pairs"] > 10_000_000


def test_a_damaged_file_is_refused(weights: Path) -> None:
    content = weights.read_bytes()
    with pytest.raises(CardError, match="ends within a tensor"):
        resnet29_onnx(content[:1_000_000])
    with pytest.raises(CardError, match="59 layers"):
        resnet29_onnx(b"dlib")
    with pytest.raises(CardError, match="no number"):
        layer_weights(b"\x01\x05con_4\xff")
    with pytest.raises(CardError, match="tensor version 3"):
        layer_weights(b"\x01\x05con_4\x01\x03")
