"""Extractors from cards: what they answer, and cards that are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agelens.errors import CardError, PhotoError, TableError, UnknownNameError, UsageError
from agelens.imaging.detectors.retinaface import RetinaFace
from agelens.recognition.extractors import EXTRACTORS, open_extractor


def chips(count: int = 5, size: int = 16) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (count, size, size, 3), dtype=np.uint8)


def test_a_card_and_its_folder_open_the_same_extractor(colour_card: Path) -> None:
    by_folder, by_card = open_extractor(colour_card), open_extractor(colour_card / "card.json")
    assert by_folder.model == by_card.model
    vectors = by_folder.embed(chips(70))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors[40:], by_card.embed(chips(70)[40:]), atol=1e-6)
    assert by_folder.embed(chips(0)).shape == (0, 81)


def test_the_chips_are_cut_as_the_card_says(colour_card: Path) -> None:
    aligner: Any = open_extractor(colour_card).aligner(RetinaFace())
    assert (aligner.template.name, aligner.size) == ("arcface-112", 16)


def test_chips_of_another_size_are_refused(colour_card: Path) -> None:
    with pytest.raises(PhotoError, match=r"\(16, 16, 3\)"):
        open_extractor(colour_card).embed(chips(size=32))


def test_unknown_names_crops_and_folders_are_refused(colour_card: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=next(iter(EXTRACTORS))):
        open_extractor("dlib-resnet")
    with pytest.raises(TableError, match="concatenated"):
        open_extractor(colour_card, crops="both")  # type: ignore[arg-type]
    with pytest.raises(CardError, match=r"no card\.json"):
        open_extractor(tmp_path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"task": "age"}, "answers age"),
        ({"output": {"kind": "posterior", "ages_years": [1, 2]}}, "posterior"),
        ({"output": {"kind": "embedding"}}, "lacks 'dimension'"),
        ({"output": {"kind": "embedding", "dimension": 80}}, r"one output \[N, 80\]"),
        ({"weights": {"path": "toy.onnx", "sha256": "00"}}, "not the file its card describes"),
        ({"weights": {"path": "../toy.onnx", "sha256": "00"}}, "leads out"),
        ({"weights": {"path": "toy.pth", "sha256": "00"}}, r"end in \.onnx"),
        ({"input": {"size": 16}}, "lacks 'mean'"),
    ],
)
def test_cards_that_do_not_fit_are_refused(
    changed: dict[str, Any],
    message: str,
    write_embedding_card: Callable[..., Path],
    tmp_path: Path,
) -> None:
    with pytest.raises(CardError, match=message):
        open_extractor(write_embedding_card(tmp_path, **changed))


def test_a_card_without_what_people_read_is_none(
    write_embedding_card: Callable[..., Path], tmp_path: Path
) -> None:
    path = write_embedding_card(tmp_path)
    path.write_text(path.read_text().replace('"licences"', '"rights"'))
    with pytest.raises(CardError, match="lacks 'licences'"):
        open_extractor(path)
    path.write_text("[1]")
    with pytest.raises(CardError, match="JSON object"):
        open_extractor(path)


def test_chips_that_only_their_owner_could_cut_need_a_store(
    write_embedding_card: Callable[..., Path], tmp_path: Path
) -> None:
    shipped = {
        "size": 16, "color_order": "RGB", "mean": [0, 0, 0], "std": [255, 255, 255],
        "alignment": "as-shipped", "template": "as-shipped", "margin": 0.0,
    }  # fmt: skip
    extractor = open_extractor(write_embedding_card(tmp_path, input=shipped))
    with pytest.raises(UsageError, match="chip store"):
        extractor.aligner(RetinaFace())
