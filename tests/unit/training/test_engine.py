"""Runs made in Python: the same folder as the command's, and what can be done with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from tests import forked
from torch import Tensor, nn

from agelens.data import AgeData
from agelens.data.store import ChipStore
from agelens.errors import TrainingError, UsageError
from agelens.evaluation.metrics.errors import mae
from agelens.models import DLDLv2
from agelens.models.backbones import Backbone
from agelens.models.methods.base import AgeClassification
from agelens.training import AdamW, BackboneChoice, Engine, Run, WeightEMA, load_run
from agelens.training.configuration import parse_run, plain_config, run_parser

SIZE = 32
FILES = {
    *("config.yaml", "environment.json", "data.json", "metrics.csv", "summary.json"),
    *("weights.safetensors", "starting-weights.txt", "curves.png"),
    *("predictions-valid.parquet", "predictions-test.parquet", "model.onnx", "card.json"),
}


class ToyNet(Backbone):
    """Two convolutions."""

    name, features, early_features, size = "toy-net", 8, 8, SIZE
    mean, std = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
    stages = (("first.",), ("second.",))

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, width, 3, stride=2)
        self.second = nn.Conv2d(width, 8, 3, stride=2)

    def with_early(self, images: Tensor) -> tuple[Tensor, Tensor]:
        early = torch.relu(self.first(images))
        return self.second(early).mean((2, 3)), early.mean((2, 3))


class ToyMethod(AgeClassification):
    """Cross entropy, scaled."""

    def __init__(self, ages: str = "0-100", *, weight: float = 1.0) -> None:
        super().__init__(ages)
        self.weight = weight

    def loss(self, outputs: Tensor, targets: Any) -> Tensor:
        classes = self.classes(targets.age_years)
        return self.weight * nn.functional.cross_entropy(outputs, classes)


def worst(y_true: Any, y_pred: Any) -> float:
    return float(np.abs(y_true - y_pred).max())


@pytest.fixture(scope="module")
def store(bright_store: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bright_store(tmp_path_factory.mktemp("engine") / "bright", samples=60)


@pytest.fixture(scope="module")
def data(store: Path) -> Callable[..., AgeData]:
    return lambda **options: AgeData(
        str(store), **{"batch_size": 16, "preset": "regression", "workers": 0, **options}
    )


@pytest.fixture(scope="module")
def finished(data: Callable[..., AgeData], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of a method, a backbone and a metric that are defined here."""
    engine = Engine(
        tmp_path_factory.mktemp("runs") / "toy",
        max_epochs=2,
        optimizer=AdamW(3e-3),
        metrics={"worst": worst},
        accelerator="cpu",
        quiet=True,
    )
    return engine.fit(ToyMethod(weight=2.0), data(), backbone=ToyNet, auxiliary={"gender": 0.1})


@pytest.fixture(scope="module")
def again(finished: Run) -> Callable[..., Engine]:
    """An engine for the finished run's folder, alike but for what is named."""
    options: dict[str, Any] = {
        **{"max_epochs": 2, "optimizer": AdamW(3e-3), "accelerator": "cpu", "quiet": True}
    }
    return lambda **changes: Engine(finished.folder, **{**options, **changes})


def test_the_folder_is_that_of_the_command(finished: Run) -> None:
    assert {path.name for path in finished.folder.iterdir()} >= FILES
    config = yaml.safe_load((finished.folder / "config.yaml").read_text())
    assert config["method"] == {
        "class_path": f"{__name__}.ToyMethod",
        "init_args": {"ages": "0-100", "weight": 2.0},
    }
    assert config["backbone"]["name"] == f"{__name__}.ToyNet"
    assert config["auxiliary"]["columns"] == {"gender": 0.1}


def test_what_is_left_out_is_what_the_command_takes(
    data: Callable[..., AgeData], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stated: dict[str, Any] = {}
    monkeypatch.setattr(
        "agelens.training.engine.train_in",
        lambda folder, run, config, **_: stated.update(yaml.safe_load(config), run=run),
    )
    callbacks = [WeightEMA(0.9)]
    Engine(tmp_path / "run", callbacks=callbacks).fit(DLDLv2(sigma=3.0), data(workers=1))
    assert stated.pop("run").callbacks == callbacks
    words = ["--method", "dldl-v2", "--method.sigma", "3", "--data.stores", str(data().folders[0])]
    words += ["--data.batch_size", "16", "--data.preset", "regression"]
    words += ["--callbacks", '[{"class_path": "WeightEMA", "init_args": {"decay": 0.9}}]']
    assert stated == plain_config(parse_run(run_parser(), words))


def test_a_run_tells_its_figures(finished: Run) -> None:
    assert set(finished.metrics) == {"valid", "test"}
    history = finished.history
    assert list(history["epoch"]) == [0, 1]
    best = history.loc[history["valid/mae"].idxmin()]
    assert finished.metrics["valid"]["mae"] == pytest.approx(best["valid/mae"], rel=1e-5)
    assert finished.metrics["valid"]["worst"] == pytest.approx(best["valid/worst"], rel=1e-5)
    assert repr(finished).startswith(f"Run({str(finished.folder)!r}: ToyMethod on ToyNet, 2 epochs")
    assert "<td>" in finished._repr_html_()


def test_the_kept_predictions_are_the_figures_source(finished: Run) -> None:
    test = finished.predict(part="test").frame
    assert mae(test["estimate_years"], test["age_years"]) == finished.metrics["test"]["mae"]
    parts = finished.predict().frame["split"].value_counts()
    assert dict(parts) == {part: one["samples"] for part, one in finished.metrics.items()}


def test_chips_are_predicted_as_they_were_in_the_test(finished: Run, store: Path) -> None:
    kept = finished.predict(part="test").frame.set_index("sample_id")["estimate_years"]
    table = finished.predict(store, part="test").frame.set_index("sample_id")
    assert set(table["split"]) == {"test"}
    pd.testing.assert_series_equal(table["estimate_years"], kept[table.index], atol=0.05)
    assert len(finished.predict(AgeData(str(store)))) == 60
    with pytest.raises(UsageError, match="parts: train"):
        finished.predict(store, part="tset")


def test_a_run_is_an_estimator(finished: Run, store: Path) -> None:
    estimator = finished.estimator(interval_level=0.5)
    (estimate,) = estimator.estimate_chips([ChipStore.open(store)[3]])
    kept = finished.predict(store).frame["estimate_years"]
    assert estimator.card.name == finished.folder.name
    assert estimate.estimate_years == pytest.approx(kept[3], abs=1e-4)
    assert estimate.interval_level == 0.5


def test_exports_go_where_they_are_asked_to(finished: Run, tmp_path: Path) -> None:
    made = finished.export("torchscript", tmp_path / "ts")
    assert made.folder == tmp_path / "ts"
    assert made.parity.largest_years < 0.05
    assert (tmp_path / "ts" / "model.ts.pt").is_file()


def test_a_finished_run_is_returned_as_it_is(
    finished: Run, again: Callable[..., Engine], data: Callable[..., AgeData]
) -> None:
    before = (finished.folder / "weights.safetensors").stat().st_mtime_ns
    run = again().fit(ToyMethod(weight=2.0), data(), backbone=ToyNet, auxiliary={"gender": 0.1})
    assert run.metrics == finished.metrics
    assert (run.folder / "weights.safetensors").stat().st_mtime_ns == before
    assert load_run(run.folder).summary == run.summary
    assert Engine.resume(run.folder).summary == run.summary


def test_a_missing_bundle_is_made_up_for(finished: Run) -> None:
    (finished.folder / "card.json").unlink()
    Engine.resume(finished.folder, quiet=True)
    assert (finished.folder / "card.json").is_file()


def test_another_configuration_is_refused_by_name(
    again: Callable[..., Engine], data: Callable[..., AgeData]
) -> None:
    words = r"method\.init_args\.weight: there 2\.0, now 3\.0"
    with pytest.raises(UsageError, match=words):
        again().fit(ToyMethod(weight=3.0), data(), backbone=ToyNet, auxiliary={"gender": 0.1})
    with pytest.raises(UsageError, match=r"trainer\.max_epochs: there 2, now 5"):
        again(max_epochs=5).fit(
            ToyMethod(weight=2.0), data(), backbone=ToyNet, auxiliary={"gender": 0.1}
        )


def test_other_data_are_refused_by_name(
    again: Callable[..., Engine], bright_store: Callable[..., Path], tmp_path: Path
) -> None:
    other = bright_store(tmp_path / "bright", samples=60, seed=7)
    options: dict[str, Any] = {"batch_size": 16, "preset": "regression", "workers": 0}
    with pytest.raises(UsageError, match=r"data\.stores\.0: there"):
        again().fit(
            ToyMethod(weight=2.0),
            AgeData(str(other), **options),
            backbone=ToyNet,
            auxiliary={"gender": 0.1},
        )


def test_a_given_backbone_s_weights_are_the_start(
    data: Callable[..., AgeData], tmp_path: Path
) -> None:
    mine = ToyNet(width=16)
    before = mine.first.weight.clone()
    engine = Engine(tmp_path / "run", max_epochs=1, accelerator="cpu", quiet=True, export=False)
    run = engine.fit(ToyMethod(), data(), backbone=mine)
    assert torch.equal(mine.first.weight, before)  # a copy is trained
    choice = BackboneChoice(**yaml.safe_load((run.folder / "config.yaml").read_text())["backbone"])
    assert torch.equal(choice.build().backbone.first.weight, before)
    assert run.trained.model.backbone.first.weight.shape == before.shape
    other = ToyNet(width=16)
    with pytest.raises(UsageError, match=r"backbone\.weights: there"):
        engine.fit(ToyMethod(), data(), backbone=other)


def test_nothing_is_written_before_all_is_checked(
    data: Callable[..., AgeData], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    for engine, words in (
        (Engine(folder, accelerator="no-such"), "trainer is refused"),
        (Engine(folder, precision="15-bit"), "precision"),
    ):
        with pytest.raises(UsageError, match=words):
            engine.fit(DLDLv2(), data(), backbone=ToyNet)
    with pytest.raises(UsageError, match="no train part"):
        Engine(folder).fit(DLDLv2(), data(split="column"), backbone=ToyNet)
    assert not folder.exists()


def test_what_no_configuration_can_name_is_refused(
    data: Callable[..., AgeData], tmp_path: Path
) -> None:
    class Inside(ToyMethod):
        pass

    with pytest.raises(UsageError, match="inside a function"):
        Engine(tmp_path / "run").fit(Inside(), data(), backbone=ToyNet)


def test_there_has_to_be_a_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no run"):
        Engine.resume(tmp_path)
    with pytest.raises(UsageError, match=r"holds no run of agelens train: it has no config\.yaml"):
        load_run(tmp_path)
    (tmp_path / "config.yaml").write_text("seed: 0\n", encoding="utf-8")
    with pytest.raises(TrainingError, match="holds no finished run"):
        load_run(tmp_path)


NOTEBOOK = """
import sys
from agelens.models import AgeClassification
from agelens.training import BackboneChoice, Engine
from agelens.data import AgeData

class Mine(AgeClassification):
    def loss(self, outputs, targets):
        return outputs.square().mean()

data = AgeData(sys.argv[1], batch_size=16, preset="regression", workers=0)
backbone = BackboneChoice("tinyagenet", size=32)
engine = Engine(sys.argv[2], max_epochs=1, accelerator="cpu", quiet=True, export=False)
print(engine.fit(Mine(), data, backbone=backbone).trained.model.method.name)
"""


def test_what_a_notebook_defined_is_its_own(store: Path, tmp_path: Path) -> None:
    program = tmp_path / "notebook.py"
    program.write_text(NOTEBOOK)
    folder = tmp_path / "run"
    log = tmp_path / "log.txt"
    ran = forked.end(forked.start_program(program, store, folder, log=log), log)
    assert ran.returncode == 0, ran.output
    assert ran.output.split()[-1] == "Mine"
    for go_on in (lambda: Engine.resume(folder), lambda: load_run(folder).trained):
        with pytest.raises(UsageError, match=r"Mine was defined in a notebook"):
            go_on()
