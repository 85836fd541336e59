"""`agelens identity test`: figures printed and written, with what they are not for."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from agelens.recognition.embedding_table import EmbeddingModel, EmbeddingTable, write_embeddings
from agelens.recognition.protocols.report import LIMITS, MODEL_MADE_AGES, SUBJECTS_UNKNOWN


@pytest.fixture
def embeddings(tmp_path: Path):
    return lambda name, **columns: _embeddings(tmp_path / f"{name}.parquet", **columns)


def _embeddings(file, *, people=30, pictures=3, version="1", **columns):
    rng = np.random.default_rng(0)
    who = np.repeat(np.arange(people), pictures)
    vectors = rng.normal(size=(people, 8))[who] + rng.normal(size=(len(who), 8))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    vectors[5] = np.nan
    names = [f"{file.stem}/{row:04d}.jpg" for row in range(len(who))]
    frame = {
        "sample_id": names,
        "path": names,
        "dataset": "toy",
        "subject": [f"s{one}" for one in who],
        "age_years": rng.integers(0, 60, len(who)).astype(float),
        "age_kind": "estimated",
        "status": np.where(np.arange(len(who)) == 5, "no_face", "ok"),
    }
    model = EmbeddingModel("toy", version, "0" * 64, 8)
    write_embeddings(EmbeddingTable(pd.DataFrame(frame | columns), vectors, model), file)
    return file


def html_of(folder: Path) -> str:
    return (folder / "index.html").read_text(encoding="utf-8").replace("&#x27;", "'")


@pytest.mark.parametrize("protocol", ["leave-one-out", "megaface"])
def test_a_search_writes_everything(agelens, embeddings, tmp_path, protocol):
    out = tmp_path / "out"
    table = embeddings("t")
    ran = agelens("identity", "test", protocol, table, "-o", out, "--draws", "50")
    assert ran.status == 0, ran.err
    assert "rank-1" in ran.out
    assert "left out: no embedding: no_face: 1" in ran.out
    assert {path.name for path in out.iterdir()} == {
        *("result.json", "figures.csv", "by_age_gap.csv", "left_out.csv"),
        *("index.html", "cmc.png", "cmc.svg", "cmc.csv", "by_age_gap.png", "by_age_gap.svg"),
    }
    result = json.loads((out / "result.json").read_text())
    assert result["protocol"] == protocol
    assert (
        result["rank"]["1"]["low"] <= result["rank"]["1"]["value"] <= result["rank"]["10"]["value"]
    )
    with (out / "left_out.csv").open(newline="") as file:
        assert [row["sample_id"] for row in csv.DictReader(file)] == ["t/0005.jpg"]
    page = html_of(out)
    assert all(limit in page for limit in (*LIMITS, MODEL_MADE_AGES))
    assert "t/0005.jpg" not in page


def test_probes_and_gallery(agelens, embeddings, tmp_path):
    probes, gallery, other = embeddings("p"), embeddings("g"), embeddings("o", version="2")
    command = ("identity", "test", "probe-gallery", probes, "--draws", "0")
    ran = agelens(*command, "--gallery", gallery, "--json")
    assert ran.status == 0, ran.err
    found = json.loads(ran.out)
    assert found["trials"] == 89
    assert found["left_out"] == {"no embedding: no_face": 2}
    assert found["rank"]["1"]["low"] is None
    refused = agelens(*command, "--gallery", other)
    assert refused.status == 2
    assert "two models" in refused.err
    assert "--gallery" in agelens(*command).err


def test_pairs_of_a_list(agelens, embeddings, tmp_path):
    table, out = embeddings("t", subject=None), tmp_path / "out"
    lines = [
        f"{3 * person:04d}.jpg {3 * person + 1 if same else (3 * person + 3) % 90:04d}.jpg {same}"
        for person in range(30)
        for same in (1, 0)
    ]
    listed = tmp_path / "pairs.txt"
    listed.write_text("\n".join([*lines[:-1], "0000.jpg 9999.jpg 0"]) + "\n")
    command = ("identity", "test", "verification", table)
    ran = agelens(*command, "--pairs", listed, "-o", out, "--draws", "50", "--iefp-thresholds")
    assert ran.status == 0, ran.err
    assert {path.name for path in out.iterdir()} == {
        *("result.json", "figures.csv", "by_age_gap.csv", "left_out.csv", "folds.csv"),
        *("index.html", "roc.png", "roc.svg", "roc.csv", "by_age_gap.png", "by_age_gap.svg"),
    }
    result = json.loads((out / "result.json").read_text())
    assert (result["expected_pairs"], result["pairs"]) == (60, 59)
    assert result["left_out"] == {"not in the table": 1}
    assert len(result["folds"]) == 10
    assert all(
        100 * fold["threshold"] == pytest.approx(round(100 * fold["threshold"]))
        for fold in result["folds"]
    )
    assert SUBJECTS_UNKNOWN in html_of(out)
    assert "--pairs" in agelens(*command).err


def test_cacd_vs_needs_no_list(agelens, embeddings, tmp_path):
    names = [
        f"{pair:04d}_{side}.jpg" for pair in (0, 1, 300, 301, 400, 401, 700, 701) for side in (0, 1)
    ]
    names += [f"x{row}.jpg" for row in range(90 - len(names))]
    table = embeddings("t", path=names, age_years=np.nan, age_kind=None)
    out = tmp_path / "out"
    ran = agelens("identity", "test", "cacd-vs", table, "-o", out, "--draws", "20")
    assert ran.status == 0, ran.err
    result = json.loads((out / "result.json").read_text())
    assert (result["expected_pairs"], result["pairs"], result["same"]) == (4000, 7, 4)
    assert "No two ages are known" in html_of(out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fgnet",), "Valid protocols: cacd-vs, leave-one-out"),
        (("leave-one-out", "--pairs", "x"), "--pairs does not go with leave-one-out"),
        (("cacd-vs", "--gallery", "x"), "--gallery does not go with cacd-vs"),
        (("megaface", "--draws", "-1"), "--draws: must be a whole number from 0"),
        (("megaface", "--level", "1"), "--level between 0 and 1"),
    ],
)
def test_what_does_not_go_together_is_refused(agelens, arguments, message):
    protocol, *others = arguments
    ran = agelens("identity", "test", protocol, "absent.parquet", *others)
    assert ran.status == 2
    assert message in ran.err


def test_a_folder_that_exists_is_kept(agelens, embeddings, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    ran = agelens(
        *("identity", "test", "megaface", embeddings("t")),
        *("-o", tmp_path / "out", "--draws", "0"),
    )
    assert ran.status == 2
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]
