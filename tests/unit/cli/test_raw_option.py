"""`agelens estimate --raw`: the logits behind an ordinal network's age."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agelens.inference.result_files import RAW_FIELDS

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def coral(
    tmp_path_factory: pytest.TempPathFactory, write_card: Callable[..., Path], toy_network: Any
) -> Path:
    """A model with 80 ordinal logits."""
    folder = tmp_path_factory.mktemp("coral")

    def change(document: dict[str, Any]) -> None:
        document["name"] = "coral"
        document["output"] |= {"kind": "ordinal-logits", "point": "rank"}

    write_card(folder, toy_network(classes=80, last="Identity"), change)
    return folder


def test_each_face_gets_the_five_fields(coral: Path, astronaut_png: Path, agelens: Run) -> None:
    ran = agelens("estimate", astronaut_png, "--model", coral, "--raw")
    assert ran.status == 0
    (face,) = ran.rows[0]["faces"]
    assert set(RAW_FIELDS) <= set(face)
    probabilities = 1 / (1 + np.exp(-np.array(face["raw_logits"])))
    np.testing.assert_allclose(face["raw_probas"], probabilities, atol=2e-6)
    assert face["thresholded_probas"] == [int(p > face["threshold"]) for p in face["raw_probas"]]
    assert face["result_value"] == face["estimate_years"] == sum(face["thresholded_probas"])


def test_a_mirrored_answer_has_logits_too(coral: Path, astronaut_png: Path, agelens: Run) -> None:
    (face,) = agelens("estimate", astronaut_png, "--model", coral, "--raw", "--mirror").rows[0][
        "faces"
    ]
    assert len(face["raw_logits"]) == len(face["raw_probas"]) == 80


def test_without_raw_there_are_none(coral: Path, astronaut_png: Path, agelens: Run) -> None:
    (face,) = agelens("estimate", astronaut_png, "--model", coral).rows[0]["faces"]
    assert set(RAW_FIELDS).isdisjoint(face)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_tables_hold_no_lists(suffix: str, tmp_path: Path, agelens: Run) -> None:
    output = tmp_path / f"ages{suffix}"
    ran = agelens("estimate", "a.jpg", "--raw", "-o", output)
    assert (ran.status, ran.out) == (2, "")
    assert "--raw adds lists to each face, which a table cannot hold: use .jsonl" in ran.err
    assert not output.exists()


def test_other_models_have_no_logits(tmp_path: Path, agelens: Run) -> None:
    output = tmp_path / "ages.jsonl"
    ran = agelens("estimate", "a.jpg", "--raw", "-o", output)
    assert ran.status == 2
    assert "agelens-1 answers with a posterior. Leave out --raw" in ran.err
    assert not output.exists()


def test_a_resumed_run_is_as_raw_as_before(
    coral: Path, tmp_path: Path, astronaut_png: Path, agelens: Run
) -> None:
    output = tmp_path / "ages.jsonl"
    command = ("estimate", astronaut_png, "--model", coral, "-o", output)
    assert agelens(*command, "--raw").status == 0
    refused = agelens(*command, "--resume")
    assert refused.status == 2
    assert "was made with --raw" in refused.err
    assert agelens(*command, "--raw", "--resume").status == 0
    assert len([json.loads(line) for line in output.read_text("utf-8").splitlines()]) == 1


def test_a_spread_is_no_distribution(
    tmp_path: Path, write_card: Callable[..., Path], toy_network: Any, agelens: Run
) -> None:
    card = write_card(
        tmp_path,
        toy_network(classes=2, last="Relu"),
        lambda document: document["output"].update(kind="mean-spread"),
    )
    ran = agelens("estimate", "a.jpg", "--model", card, "--distribution")
    assert ran.status == 2
    assert "toy answers with an age and its spread, so there is no --distribution" in ran.err


def test_chips_as_shipped_take_no_photos(
    tmp_path: Path, write_card: Callable[..., Path], agelens: Run
) -> None:
    card = write_card(
        tmp_path, change=lambda document: document["input"].update(alignment="as-shipped")
    )
    output = tmp_path / "ages.jsonl"
    output.write_text("mine\n", encoding="utf-8")
    ran = agelens("estimate", "a.jpg", "--model", card, "-o", output, "--overwrite")
    assert ran.status == 2
    assert "does not know how to cut photos alike" in ran.err
    assert output.read_text(encoding="utf-8") == "mine\n"


def test_another_threshold_gives_another_rank(
    coral: Path, astronaut_png: Path, agelens: Run
) -> None:
    words = ("estimate", astronaut_png, "--model", coral, "--raw")
    (face,) = agelens(*words).rows[0]["faces"]
    known = np.unique(face["raw_probas"])
    gap = int(np.diff(known).argmax())  # half way in the widest gap, where no rounding matters
    limit = float((known[gap] + known[gap + 1]) / 2)
    (other,) = agelens(*words, "--threshold", str(limit)).rows[0]["faces"]
    assert other["raw_probas"] == face["raw_probas"]
    assert other["threshold"] == limit
    expected = int((np.array(face["raw_probas"]) > limit).sum())
    assert other["result_value"] == other["estimate_years"] == expected
    assert type(other["result_value"]) is int


@pytest.mark.parametrize("number", ["0", "1", "nan", "much"])
def test_a_threshold_is_a_probability(number: str, coral: Path, agelens: Run) -> None:
    ran = agelens("estimate", "a.jpg", "--model", coral, "--threshold", number)
    assert ran.status == 2
    assert "above 0 and below 1" in ran.err


def test_a_model_without_ranks_has_no_threshold(agelens: Run) -> None:
    ran = agelens("estimate", "a.jpg", "--threshold", "0.4")
    assert ran.status == 2
    assert "agelens-1 answers a posterior" in ran.err


def test_each_photo_has_a_file(
    coral: Path, astronaut_png: Path, tmp_path: Path, agelens: Run
) -> None:
    (tmp_path / "more").mkdir()
    other = tmp_path / "more" / astronaut_png.name
    other.write_bytes(astronaut_png.read_bytes())
    words = ("--model", coral, "--raw", "--json-dir", tmp_path / "json")
    ran = agelens("estimate", astronaut_png, other, *words)
    assert ran.status == 0, ran.err
    stem = astronaut_png.stem
    files = sorted(path.name for path in (tmp_path / "json").iterdir())
    assert files == [f"{stem}-2.json", f"{stem}.json"]
    rows = [json.loads((tmp_path / "json" / name).read_text()) for name in sorted(files)[::-1]]
    assert rows == ran.rows
    refused = agelens("estimate", astronaut_png, *words, "-o", tmp_path / "x.jsonl", "--resume")
    assert refused.status == 2
    assert "--json-dir" in refused.err
