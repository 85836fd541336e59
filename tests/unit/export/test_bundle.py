"""A model to a folder that estimating takes, or to nothing at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from agelens.errors import ExportError, OutputError, UsageError
from agelens.export import bundle
from agelens.export.bundle import CardFacts, Parity, export_model
from agelens.export.export_network import TrainedInput
from agelens.export.formats import weights_of
from agelens.inference.answers import read_answers
from agelens.inference.cards import load_card
from agelens.inference.estimator import AgeEstimator
from agelens.models.age_model import AgeModel
from agelens.models.auxiliary import AuxiliaryTask, ParallelHeads
from agelens.models.mean_model import MeanModel
from agelens.records import RGB, Floats

Export = Callable[..., Parity]
SUFFIX = {"onnx": "model.onnx", "torchscript": "model.ts.pt"}


@pytest.fixture
def export(
    small_model: Callable[..., AgeModel],
    seen: Callable[..., TrainedInput],
    facts: CardFacts,
    labelled: Callable[..., list[tuple[RGB, Floats]]],
) -> Export:
    """Exports the small network to a folder, as TorchScript unless said otherwise."""

    def make(folder: Path, *, ages: str = "10-40", chip_size: int = 16, **choice: Any) -> Parity:
        model = small_model("dldl-v2", ages)
        choice = {"format": "torchscript", "chips": labelled(chip_size)} | choice
        return export_model(model, facts, seen(chip_size), folder, **choice)

    return make


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("precision", ["single", "half"])
@pytest.mark.parametrize("form", ["onnx", "torchscript"])
def test_a_bundle_is_read_as_what_it_is(
    form: str, precision: str, tmp_path: Path, export: Export
) -> None:
    out = tmp_path / "new" / "out"
    parity = export(out, chip_size=24, format=form, precision=precision)
    assert names(out) == {"card.json", SUFFIX[form]}
    card = load_card(out)
    assert card.document["export"] == {
        "format": form,
        "precision": precision,
        "parity": parity.to_json(),
    }
    assert parity.chips == 15
    assert (card.name, card.input.size, card.width) == ("small", 24, 31)


def test_a_bundle_estimates_as_the_model_does(
    tmp_path: Path,
    export: Export,
    small_model: Callable[..., AgeModel],
    seen: Callable[..., TrainedInput],
) -> None:
    export(tmp_path, chip_size=24, format="onnx")
    chips = np.random.default_rng(3).integers(0, 256, (40, 24, 24, 3), dtype=np.uint8)
    model = small_model("dldl-v2")
    with torch.no_grad():
        answer = model.answer(seen(24).transform(torch.from_numpy(chips).permute(0, 3, 1, 2)))
    expected = read_answers(answer.double().numpy(), model.method.spec).estimate_years
    estimates = AgeEstimator(tmp_path).estimate_chips(chips)
    np.testing.assert_allclose([face.estimate_years for face in estimates], expected, atol=1e-3)


def test_int8_says_what_it_costs(
    tmp_path: Path, export: Export, labelled: Callable[..., list[tuple[RGB, Floats]]]
) -> None:
    seen_chips = (batch for batch, _ in labelled())
    parity = export(tmp_path, format="onnx", precision="int8", calibration=seen_chips)
    section = json.loads((tmp_path / "card.json").read_text(encoding="utf-8"))["export"]
    assert section["parity"] == parity.to_json()
    assert section["parity"]["mae_change_years"] != 0
    assert section["layers"]["whole_numbers"] == 1
    assert len(AgeEstimator(tmp_path).estimate_chips(labelled()[0][0])) == 5


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"format": "keras"}, "an export's format is onnx or torchscript, got 'keras'"),
        ({"precision": "int4"}, "an export's precision is single, half, int8, got 'int4'"),
        ({"format": "torchscript", "precision": "int8"}, "torch is withdrawing its quantised"),
        ({"format": "onnx", "precision": "int8"}, "int8 needs chips of the training part"),
    ],
)
def test_a_choice_that_there_is_not(
    choice: dict[str, Any], words: str, tmp_path: Path, export: Export
) -> None:
    with pytest.raises(UsageError, match=words):
        export(tmp_path / "out", **choice)
    assert names(tmp_path) == set()


@pytest.fixture
def other_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written is not the network that is to be exported."""

    def of_another(network: Any, calibration: Any, **choice: Any) -> bytes:
        with torch.no_grad():
            network.model.head.bias[5] += 1
        return weights_of(network, calibration, **choice)

    monkeypatch.setattr(bundle, "weights_of", of_another)


@pytest.mark.usefixtures("other_weights")
class TestNoParity:
    def test_nothing_is_left(self, tmp_path: Path, export: Export) -> None:
        with pytest.raises(ExportError, match=r"small: on 15 chips .* years from the trained one"):
            export(tmp_path / "out")
        assert names(tmp_path) == set()

    def test_what_was_there_stays(self, tmp_path: Path, export: Export) -> None:
        there = {"card.json", "model.ts.pt", "config.yaml"}
        for name in there:
            (tmp_path / name).write_text(name, encoding="utf-8")
        with pytest.raises(ExportError):
            export(tmp_path)
        assert {path.name: path.read_text("utf-8") for path in tmp_path.iterdir()} == {
            name: name for name in there
        }


def test_an_older_export_is_replaced_and_other_files_stay(tmp_path: Path, export: Export) -> None:
    (tmp_path / "config.yaml").write_text("mine", encoding="utf-8")
    for ages in ("10-40", "0-50"):
        export(tmp_path, ages=ages)
        card = load_card(tmp_path)
        card.read_weights()
        assert str(card.age_scale) == ages
    assert names(tmp_path) == {"card.json", "model.ts.pt", "config.yaml"}


def test_a_folder_that_cannot_be_made(tmp_path: Path, export: Export) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    with pytest.raises(OutputError, match="cannot write the export to"):
        export(tmp_path / "file" / "out")


def test_a_full_disk_leaves_no_card_beside_other_weights(
    tmp_path: Path, export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    move = Path.replace

    def full(path: Path, target: Path) -> Path:
        if target.name == "card.json":
            raise OSError(28, "No space left on device")
        return move(path, target)

    export(tmp_path)
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OutputError, match="No space left"):
        export(tmp_path)
    assert names(tmp_path) == {"model.ts.pt"}


def test_genders_are_exported_with_the_ages(
    tmp_path: Path,
    seen: Callable[..., TrainedInput],
    facts: CardFacts,
    labelled: Callable[..., list[tuple[RGB, Floats]]],
    small_model: Callable[..., AgeModel],
) -> None:
    plain = small_model("dldl-v2", "10-40")
    torch.manual_seed(12)
    tasks = [
        AuxiliaryTask("ethnicity", ("a", "b", "c")),
        AuxiliaryTask("gender", ("female", "male")),
    ]
    heads = ParallelHeads(tasks, 8, 6)
    models = [AgeModel(plain.backbone, plain.method, heads).eval() for _ in range(2)]
    chips = labelled(16)
    export_model(MeanModel(models), facts, seen(16), tmp_path / "out", chips=chips)
    card = load_card(tmp_path / "out")
    assert card.labels == ("female", "male")
    assert dict(card.further) == {"ethnicity": ("a", "b", "c")}
    assert dict(card.outputs) == {"answer": 31, "gender": 2, "ethnicity": 3}
    assert card.width == 31 + 2 + 3
    estimator = AgeEstimator(tmp_path / "out", gender=True)
    batch = chips[0][0]
    told = estimator.estimate_chips(list(batch))
    transform = seen(16).transform
    with torch.inference_mode():
        pixels = transform(torch.from_numpy(np.ascontiguousarray(batch.transpose(0, 3, 1, 2))))
        whole = [torch.cat(model.answers(pixels), dim=1) for model in models]
        rows = torch.stack(whole).mean(0).numpy()
    for one, row in zip(told, rows, strict=True):
        assert one.distribution == pytest.approx(row[:31], abs=1e-4)
        assert one.gender == ("female", "male")[int(row[31:33].argmax())]
        assert one.gender_score == pytest.approx(row[31:33].max(), abs=1e-4)
    older = AgeEstimator(_with_one_output(tmp_path / "out", tmp_path / "older"), gender=True)
    for one, before in zip(told, older.estimate_chips(list(batch)), strict=True):
        assert (one.estimate_years, one.gender) == (before.estimate_years, before.gender)
        assert one.gender_score == before.gender_score
    silent = AgeEstimator(tmp_path / "out").estimate_chips(list(batch))
    assert all(one.gender is None for one in silent)
    assert [one.estimate_years for one in silent] == [one.estimate_years for one in told]


def _with_one_output(bundle: Path, folder: Path) -> Path:
    """`bundle` as cards were before: one output holds ages, genders and further columns."""
    card = load_card(bundle)
    document = dict(card.document)
    model = onnx.load(card.weights)
    model.graph.node.append(onnx.helper.make_node("Concat", [*card.outputs], ["all"], axis=1))
    floats = onnx.TensorProto.FLOAT
    del model.graph.output[:]
    model.graph.output.append(onnx.helper.make_tensor_value_info("all", floats, ["N", card.width]))
    content = model.SerializeToString()
    folder.mkdir()
    (folder / "model.onnx").write_bytes(content)
    document["weights"] |= {"sha256": hashlib.sha256(content).hexdigest()}
    del document["output"]["outputs"]
    (folder / "card.json").write_text(json.dumps(document), encoding="utf-8")
    return folder
