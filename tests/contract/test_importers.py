"""Every importer: a file in its authors' layout, imported, answers as their network does."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from agelens import AgeEstimator
from agelens.cli import main
from agelens.importing import IMPORTERS
from agelens.importing.contents import read_contents
from agelens.importing.import_file import layout_named
from agelens.importing.layout import Choices
from agelens.inference import import_model
from agelens.inference.answers import read_answers
from agelens.inference.network import ChipNetwork
from agelens.recognition.extractors import open_extractor
from agelens.records import RGB

from . import importer_files as files
from . import importer_public_files as public
from .importer_files import Made

MAKERS: dict[str, Callable[[Path], Made]] = {
    "rapl": files.rapl,
    "ldl, ThinAge": files.thin_age,
    "ldl, TinyAge": files.tiny_age,
    "ldl, ResNet-18": files.ldl_resnet18,
    **{f"ldl, {name}": partial(files.pretrained, name=name) for name in files.PRETRAINED},
    "ldl, gender and ethnicity": files.ldl_multi_task,
    "iefp-age": files.iefp_age,
    "iefp": files.iefp,
    "guide, ResNet-50": files.guide_resnet50,
    "guide, EfficientNet-B0": files.guide_efficientnet,
    "guide, ViT": files.guide_vit,
    "coral-tf, ResNet": public.coral_resnet,
    "coral-tf, VGG": public.coral_vgg,
    "mivolo, face": public.mivolo,
    "mivolo, face and body": public.mivolo_body,
    "vit-age-classifier": public.vit_age_classifier,
    "insightface-genderage": public.insightface_genderage,
    "fairface": public.fairface,
    "timm": public.timm_classes,
    "torchvision": public.torchvision_number,
}


def test_every_importer_has_a_file() -> None:
    assert {name.partition(",")[0] for name in MAKERS} == set(IMPORTERS)


@pytest.mark.parametrize("name", MAKERS)
def test_an_imported_model_answers_as_its_authors_network(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    made = MAKERS[name](tmp_path)
    chips = files.coarse_chips(made.size)
    with torch.no_grad():
        expected = made.years(chips).numpy()
        told = {column: of(chips).numpy() for column, of in made.told.items()}

    if made.exported:
        imported = import_model(made.path, tmp_path / "model", **made.said)
        assert imported.layout.name == name.partition(",")[0]
        keys = imported.keys
        ages, found_told = _by_way_of_photos(tmp_path / "model", made, chips, told)
    else:
        contents = read_contents(made.path)
        filled = layout_named(name.partition(",")[0]).fill(contents, Choices(**made.said))
        keys = filled.keys
        with torch.no_grad():
            answers = filled.network.answers(files.pixels(chips, made.normal))
        answer = torch.cat(answers, dim=1).numpy()
        spec = filled.network.method.spec
        ages = read_answers(answer[:, : spec.width], spec).estimate_years
        found_told = answer[:, spec.width :]
    assert np.ptp(expected) > 0.05
    assert np.abs(ages - expected).max() < 0.01
    assert not keys.of("missing", "unexpected", "mismatched")
    np.testing.assert_allclose(found_told, np.hstack([np.empty((3, 0)), *told.values()]), atol=1e-4)


def _by_way_of_photos(
    folder: Path, made: Made, chips: np.ndarray, told: dict[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Ages, and what is told beside them, of the written bundle."""
    estimator = AgeEstimator(folder, gender="gender" in told)
    card = estimator.card
    assert card.licences["weights"] == "unknown: ask its authors"
    assert card.document["provenance"]["file"] == made.path.name
    assert dict(card.further) == {c: w for c, w in made.words.items() if c != "gender"}
    outputs = [port.name for port in onnxruntime.InferenceSession(card.weights).get_outputs()]
    assert outputs == ["answer", *made.told]
    assert list(card.outputs) == (outputs if made.told else [])
    faces = estimator.estimate_chips(chips)
    if "gender" in told:
        words = np.array(made.words["gender"])[told["gender"].argmax(1)]
        assert [face.gender for face in faces] == words.tolist()
    whole = ChipNetwork(card)._answer(chips)
    return np.array([face.estimate_years for face in faces]), whole[:, card.answer.width :]


def test_every_command_that_takes_a_model_takes_an_imported_one(
    agelens: Callable[..., Any], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model, table, store = tmp_path / "tiny", tmp_path / "people.parquet", tmp_path / "store"
    made = files.tiny_age(tmp_path)

    def run(command: str, *rest: object) -> str:
        ran = agelens(*command.split(), *map(str, rest))
        assert ran.status == 0, ran.err
        return str(ran.out + ran.err)

    import_model(made.path, model, **made.said)
    run("data sample --count 20", "-o", tmp_path / "sample")
    people = tmp_path / "sample" / "people.csv"
    columns = "path=file,age_years=age,gender=gender,subject=person"
    run(f"data read --columns {columns} --age-kind apparent", people, "-o", table)
    root = ("--root", people.parent / "photos")
    photo = min(root[1].iterdir())
    run("data prepare --size 32 --two-pass", table, *root, "-o", store)
    for taken, name in ((table, "of-photos"), (store, "of-chips")):
        output = tmp_path / f"{name}.csv"
        where = root if taken == table else ()
        run("predict", taken, *where, "--model", model, "-o", output)
        assert pd.read_csv(output)["estimate_years"].notna().sum() > 10
    run(
        "compare --draws 20",
        f"one={model}",
        f"two={model}",
        "--on",
        store,
        "-o",
        tmp_path / "compared",
    )
    run("explain --patch 16 --stride 8", photo, "--model", model, "-o", tmp_path / "explained")
    run(
        "stress --corruptions noise --draws 0 --limit 4",
        *(store, "--model", model, "-o", tmp_path / "stressed"),
    )
    run("calibrate --anyway --levels 0.9", tmp_path / "of-chips.csv", "--model", model)
    (face,) = agelens("estimate", photo, "--model", model).rows[0]["faces"]
    assert face["low_years"] < face["estimate_years"] < face["high_years"]


def test_the_identity_branch_of_a_whole_model_embeds_faces(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = files.iefp_network()
    torch.save(net.state_dict(), tmp_path / "whole.pth")
    chips = files.coarse_chips(32)
    with torch.no_grad():
        expected = nn.functional.normalize(net.backbone_id(files.pixels(chips, files.HALF)))
    made = import_model(tmp_path / "whole.pth", tmp_path / "identity", task="embedding")
    assert {line.source.partition(".")[0] for line in made.keys.of("unused")} == {
        *("backbone_ae", "margin_fc", "clubmi", "age_estimator")
    }
    extractor = open_extractor(tmp_path / "identity")
    np.testing.assert_allclose(extractor.embed(chips), expected.numpy(), atol=1e-4)
    assert extractor.document["licences"]["weights"] == "unknown: ask its authors"


def test_the_command_imports_and_estimate_takes_it(
    tmp_path: Path, astronaut: RGB, capsys: pytest.CaptureFixture[str]
) -> None:
    made = public.insightface_genderage(tmp_path)
    model, photo = tmp_path / "model", tmp_path / "photo.png"
    Image.fromarray(astronaut).save(photo)
    words = ["import", str(made.path), "--from", "insightface-genderage", "-o", str(model)]
    assert main([*words, "--licence", "CC0-1.0", "--show-keys"]) == 0
    told = capsys.readouterr().out
    assert "5 taken" in told
    assert "filters" in told
    assert "licence of the weights: CC0-1.0" in told
    assert main(["estimate", str(photo), "--model", str(model), "--gender"]) == 0
    (face,) = json.loads(capsys.readouterr().out)["faces"]
    assert face["gender"] in ("female", "male")
    assert 0 <= face["estimate_years"] <= 100
    assert face["low_years"] is None  # nobody has measured its intervals
    assert main([*words[:-1], str(tmp_path / "other"), "--from", "rapl"]) == 2
    refusal = capsys.readouterr().err
    assert "--from insightface-genderage" in refusal
