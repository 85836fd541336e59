"""A run's documents in the words of a card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agelens.data.training_input.geometry import ChipTransform
from agelens.errors import UsageError
from agelens.models.age_model import AgeModel
from agelens.training.run import TrainedRun
from agelens.training.run_export import card_from_run, default_folder, trained_input_of
from agelens.training.run_folder import RunFolder

SETTINGS = {
    "size": 64,
    "alignment": "similarity",
    "template": "dlib-64",
    "margin": 0.0,
    "detector": "retinaface",
    "licences": {"one": "research only"},
}


@pytest.fixture
def run_of(small_model: Callable[..., AgeModel], tmp_path: Path) -> Callable[..., TrainedRun]:
    """A run on stores with the given settings over the usual ones."""

    def make(*changes: dict[str, Any]) -> TrainedRun:
        stores = [{"settings": SETTINGS | change} for change in changes or ({},)]
        return TrainedRun(
            folder=RunFolder(tmp_path / "mine"),
            model=small_model("corn"),
            transform=ChipTransform(32),
            store_settings=stores[0]["settings"],
            config={"backbone": {"name": "resnet18", "weights": "packaged"}},
            data={
                "stores": stores,
                "split": {"name": "s", "protocol": "hash", "seed": 3, "notes": ["a split's"]},
                "parts": {
                    "train": {
                        "datasets": {"one": 70, "two": 30},
                        "age_kinds": {"real": 70, "apparent": 30},
                    }
                },
                "notes": ["the data's"],
            },
            environment={},
            summary={"metrics": {"valid": {"mae": 5.0}, "fgnet": {"mae": 6.0}}},
        )

    return make


def test_a_card_says_what_the_run_was(run_of: Callable[..., TrainedRun]) -> None:
    facts = card_from_run(run_of())
    assert (facts.name, facts.method, facts.backbone) == ("mine", "corn", "resnet18")
    assert facts.summary == "corn on resnet18, trained on one, two"
    assert "Raschka" in facts.paper
    assert facts.age_kind == "real (70 samples) and apparent (30 samples)"
    assert facts.notes == ["a split's", "the data's"]
    assert facts.trained_on == [
        {
            "dataset": name,
            "samples": samples,
            "split": "hash, part train",
            "split_seed": 3,
            "licence": licence,
        }
        for name, samples, licence in (("one", 70, "research only"), ("two", 30, "not stated"))
    ]
    assert facts.licences["data"] == "one: research only; two: not stated"
    assert "packaged" in facts.licences["weights"]


def test_figures_name_their_tables(run_of: Callable[..., TrainedRun]) -> None:
    assert card_from_run(run_of()).metrics == [
        {"part": "valid", "mae": 5.0, "table": "mine/predictions-valid.parquet"},
        {"part": "fgnet", "mae": 6.0, "table": "mine/predictions-test-fgnet.parquet"},
    ]


def test_stores_that_are_cut_alike_are_one_input(run_of: Callable[..., TrainedRun]) -> None:
    run = run_of({}, {"licences": {"two": "CC0"}, "encoding": "png"})
    assert trained_input_of(run).chip_size == 64
    assert card_from_run(run).licences["data"] == "one: research only; two: CC0"


@pytest.mark.parametrize(
    "change", [{"size": 112}, {"template": "arcface-112"}, {"margin": 0.4}], ids=str
)
def test_stores_that_are_cut_in_other_ways_are_refused(
    change: dict[str, Any], run_of: Callable[..., TrainedRun]
) -> None:
    with pytest.raises(UsageError, match="stores with chips cut in 2 ways"):
        trained_input_of(run_of({}, change))


@pytest.mark.parametrize(
    ("form", "precision", "folder"),
    [
        ("onnx", "single", "."),
        ("onnx", "half", "onnx-half"),
        ("onnx", "int8", "onnx-int8"),
        ("torchscript", "single", "torchscript"),
        ("torchscript", "half", "torchscript-half"),
    ],
)
def test_each_export_has_its_folder(form: Any, precision: Any, folder: str) -> None:
    assert default_folder(form, precision) == folder


def test_a_card_says_where_the_method_departs_from_its_authors_code(
    run_of: Callable[..., TrainedRun], small_model: Callable[..., AgeModel]
) -> None:
    plain = replace(run_of(), model=small_model("huber"))
    assert card_from_run(plain).departures == ()
    forest = replace(run_of(), model=small_model("drf"))
    assert any("leaf that no sample reaches" in each for each in card_from_run(forest).departures)
