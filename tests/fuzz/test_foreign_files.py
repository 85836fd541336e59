"""Every reader of foreign files, given damaged ones: no signal, hang, traceback or lost row.

`make fuzz` runs the same for longer: FUZZ_SECONDS says how long each reader is tried, FUZZ_SEED
begins elsewhere. Without them the trials are the same few hundred on every machine, or the first
of these on a slow one.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from tests.contract.dataset_trees import TREES
from tests.fuzz import trials

from agelens.records import RGB

HERE = Path(__file__).parent
SECONDS = os.environ.get("FUZZ_SECONDS", "2")
TRIALS = "400" if "FUZZ_SECONDS" not in os.environ else "1000000000"
SEED = os.environ.get("FUZZ_SEED", "0")
MOST_MB = 2000
PICTURES = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "HEIF")
Found = dict[str, Any]


def tried(reader: str, file: Path, target: Path | None = None) -> Found:
    """What became of the trials; the file that ended the process stays where it was written."""
    command = [sys.executable, HERE / "trials.py", reader, file, target or file]
    ran = subprocess.run(
        [*map(str, command), "--seed", SEED, "--seconds", SECONDS, "--trials", TRIALS],
        check=False,
        capture_output=True,
        text=True,
        timeout=float(SECONDS) + 600,
    )
    assert ran.returncode == 0, f"status {ran.returncode} on {file}: {ran.stderr[-2000:]}"
    found: Found = json.loads(ran.stdout[ran.stdout.rindex('{"trials"') :])
    assert not found["wrong"], "\n".join(found["wrong"])
    assert found["grown_mb"] < MOST_MB
    assert found["trials"] >= 20
    return found


@pytest.mark.parametrize("form", PICTURES)
def test_photos(form: str, tmp_path: Path, astronaut: RGB) -> None:
    if form == "HEIF":
        from pillow_heif import register_heif_opener

        register_heif_opener()
    options: dict[str, Any] = {"progressive": True} if form == "JPEG" else {}
    Image.fromarray(astronaut[:120, :160]).save(tmp_path / "photo", form, **options)
    tried("photo", tmp_path / "photo")


def test_a_video(tmp_path: Path, astronaut: RGB) -> None:
    writer = cv2.VideoWriter(
        str(tmp_path / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 64)
    )
    for _ in range(6):
        writer.write(astronaut[100:164, 200:264, ::-1])
    writer.release()
    tried("video", tmp_path / "clip.avi")


def test_a_network_and_its_card(tmp_path: Path, write_card: Callable[..., Path]) -> None:
    card = write_card(tmp_path)
    tried("network", tmp_path / "toy.onnx")
    tried("card", card)


def test_a_configuration(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("trainer: {max_epochs: 3}\n", "utf-8")
    text = "base: [base.yaml]\nseed: 1\nmethod: {class_path: dldl-v2}\ndata:\n  stores: [a, b]\n"
    text += "backbone: &name ir50\ncallbacks: []\nschedule: {class_path: cosine}\n"
    (tmp_path / "run.yaml").write_text(text + "optimizer: {lr: 1e-3}\n", "utf-8")
    tried("configuration", tmp_path / "run.yaml")


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_weights(suffix: str, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    path = tmp_path / f"weights{suffix}"
    weights = {"layer.weight": torch.rand(8, 8), "layer.bias": torch.rand(8)}
    if suffix == ".pt":
        torch.save({"state_dict": weights}, path)
        tried("checkpoint", path)
    else:
        save_file(weights, path)
    tried("weights", path)


def test_a_chip_store(tmp_path: Path, bright_store: Callable[..., Path]) -> None:
    store = bright_store(tmp_path / "store", samples=8, size=16)
    tried("store", store / "chips-00000.arrow", store)
    tried("store", store / "store.json", store)


def test_tables(tmp_path: Path) -> None:
    from agelens.tables import SampleTable, write_table

    columns = {
        "sample_id": [f"d/{row}" for row in range(30)],
        "dataset": "d",
        "path": [f"{row}.jpg" for row in range(30)],
        "age_years": [float(row) for row in range(30)],
        "age_kind": "real",
        "subject": ["a", "b", "ü"] * 10,
    }
    table = SampleTable.from_columns(columns)
    for suffix in (".parquet", ".csv"):
        write_table(table, tmp_path / f"samples{suffix}")
    table.frame.to_excel(tmp_path / "samples.xlsx", index=False)
    tried("table", tmp_path / "samples.parquet")
    tried("table", tmp_path / "samples.xlsx")
    tried("csv", tmp_path / "samples.csv")


def test_predictions(tmp_path: Path) -> None:
    rows = [f"d/{row},{row}.5,{row},{row}" for row in range(30)]
    text = "\n".join(["sample_id,estimate_years,age_years,subject", *rows, ""])
    (tmp_path / "predictions.csv").write_text(text, "utf-8")
    tried("predictions", tmp_path / "predictions.csv")


def test_embeddings(tmp_path: Path) -> None:
    import pandas as pd

    from agelens.recognition.embedding_table import (
        EmbeddingModel,
        EmbeddingTable,
        write_embeddings,
    )

    vectors = np.eye(4, dtype=np.float32)
    names = list("abcd")
    frame = pd.DataFrame({"sample_id": names, "dataset": "d", "subject": names, "path": names})
    frame = frame.assign(age_years=1.0, status="ok", age_kind="real")
    model = EmbeddingModel("toy", "1", "ab" * 32, 4)
    write_embeddings(EmbeddingTable(frame, vectors, model), tmp_path / "e.parquet")
    tried("embeddings", tmp_path / "e.parquet")


def test_datasets_in_their_owners_layouts(tmp_path: Path) -> None:
    trees = TREES
    matlab = {"cacd2000", "imdb", "wiki", "imdb-wiki"}  # each trial is a process: see below
    for name in set(trees) - matlab:
        (tmp_path / name).mkdir()
        trees[name](tmp_path / name)
    tried("datasets", tmp_path)


def test_matlab_files(tmp_path: Path) -> None:
    from scipy.io import savemat

    names = np.array([["a.jpg"], ["b.jpg"]], dtype=object)
    savemat(tmp_path / "imdb.mat", {"imdb": {"dob": [[1.0], [2.0]], "full_path": names}})
    tried("mat", tmp_path / "imdb.mat")


def test_lists_and_databases(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text('file\tage\n"a b.jpg"\t20\nb.jpg\t30\n', "utf-8")
    tried("labels", tmp_path / "list.txt")
    entry = {
        "img_path": "a.jpg",
        "age": 20,
        "database": "UTKFace",
        "bbox": [0, 0, 5, 0, 5, 5, 0, 5],
    }
    (tmp_path / "database.json").write_text(json.dumps([entry] * 3), "utf-8")
    tried("database", tmp_path / "database.json")


def test_results(tmp_path: Path) -> None:
    from agelens.inference.result_files import write_csv

    face = {"box_xyxy": [0, 0, 9, 9], "landmarks": [[3, 4]] * 5, "quality": {"sharpness": 1.5}}
    face |= {"estimate_years": 3.5, "low_years": 1.0, "high_years": 9.0, "interval_level": 0.9}
    row = {"photo": "a.jpg", "status": "ok", "message": "", "faces": [face], "model": "toy"}
    (tmp_path / "ages.jsonl").write_text(2 * (json.dumps(row) + "\n"), "utf-8")
    tried("results", tmp_path / "ages.jsonl")
    labels = "sample_id,dataset,path,age_years,age_kind\nd/a.jpg,d,a.jpg,20,real\n"
    (tmp_path / "labels.csv").write_text(labels, "utf-8")
    (tmp_path / "ages.jsonl").write_text(json.dumps(row) + "\n", "utf-8")
    tried("result table", tmp_path / "ages.jsonl")
    write_csv([row], tmp_path / "ages.csv")
    tried("result table", tmp_path / "ages.csv")


def test_gates_and_splits(tmp_path: Path) -> None:
    gate = {"legal_years": 18, "challenge_years": 25, "promised": True}
    (tmp_path / "gate.json").write_text(json.dumps(gate), "utf-8")
    tried("gate", tmp_path / "gate.json")
    split = tmp_path / "splits" / "split"
    split.mkdir(parents=True)
    report = {"split": "s", "protocol": "p", "seed": 1, "notes": [], "samples": {"train": 2}}
    (split / "split.json").write_text(json.dumps(report), "utf-8")
    (split / "train.csv").write_text("sample_id\nd/1\nd/2\n", "utf-8")
    tried("split", split.parent)


def test_trained_files_of_others(tmp_path: Path) -> None:
    import torch

    torch.save({"model": {"state_dict": {"module.a": torch.ones(3)}}, "e": 1}, tmp_path / "a.pt")
    (tmp_path / "config.json").write_text('{"image_size": 32, "labels": ["a", "b"]}', "utf-8")
    tried("trained file", tmp_path / "a.pt")
    weights = [{"name": "a", "shape": [2], "dtype": "float32"}]
    graph = {"weightsManifest": [{"paths": ["a.bin"], "weights": weights}]}
    (tmp_path / "a.bin").write_bytes(bytes(8))
    (tmp_path / "graph.json").write_text(json.dumps(graph), "utf-8")
    tried("graph", tmp_path / "graph.json")


def test_every_damaged_photo_has_its_row(
    tmp_path: Path, astronaut: RGB, agelens: Callable[..., Any]
) -> None:
    import random

    damaged = trials.damaged
    file = io.BytesIO()
    Image.fromarray(astronaut[::4, ::4]).save(file, "JPEG")
    names = [f"{number:03d}.jpg" for number in range(60)]
    for number, name in enumerate(names):
        content = damaged(file.getvalue(), random.Random(f"{SEED}/{number}"))
        (tmp_path / name).write_bytes(content)
    ran = agelens("estimate", tmp_path)
    assert [Path(row["photo"]).name for row in ran.rows] == names
    assert ran.status in (0, 3)
