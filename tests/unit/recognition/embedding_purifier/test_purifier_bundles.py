from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agelens.errors import CardError, TableError
from agelens.recognition.embedding_purifier.result import Purification
from agelens.recognition.embedding_purifier.train import train_purifier
from agelens.recognition.embedding_table import EmbeddingTable, read_embeddings, write_embeddings
from agelens.recognition.purifier import Purifier


@pytest.fixture(scope="module")
def people(aged_people: Callable[..., EmbeddingTable]) -> EmbeddingTable:
    return aged_people()


@pytest.fixture(scope="module")
def trained(people: EmbeddingTable) -> Purification:
    found = train_purifier(
        people, weights=(0.1,), epochs=3, age_epochs=2, batch_size=64, lr=0.01, identity_weight=0.1
    )
    with torch.no_grad():  # validation may prefer no change, which would test nothing
        for parameter in found.branch.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    return found


@pytest.fixture(scope="module")
def bundle(trained: Purification, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "purifier"
    trained.write(folder)
    return folder


def test_it_answers_as_the_branch_that_was_trained(
    people: EmbeddingTable, trained: Purification, bundle: Path
) -> None:
    with torch.no_grad():
        purified = trained.branch(torch.from_numpy(people.vectors))
    expected = torch.nn.functional.normalize(purified).numpy()
    found = Purifier.open(bundle).purify(people)
    np.testing.assert_allclose(found.vectors, expected, atol=1e-5)
    assert np.abs(found.vectors - people.vectors).max() > 0.01
    assert found.frame.equals(people.frame)


def test_its_model_is_another_one_and_kept_in_files(
    people: EmbeddingTable, bundle: Path, tmp_path: Path
) -> None:
    purified = Purifier.open(bundle).purify(people)
    assert purified.model.name == "made-up+iefp"
    assert purified.model.sha256 != people.model.sha256
    write_embeddings(purified, tmp_path / "purified.parquet")
    assert read_embeddings(tmp_path / "purified.parquet").model == purified.model


def test_rows_without_embedding_stay_without(people: EmbeddingTable, bundle: Path) -> None:
    frame, vectors = people.frame.copy(), people.vectors.copy()
    frame["status"] = ["no_face", *["ok"] * (len(people) - 1)]
    vectors[0] = np.nan
    found = Purifier.open(bundle).purify(EmbeddingTable(frame, vectors, people.model))
    assert np.isnan(found.vectors[0]).all()
    assert np.isfinite(found.vectors[1:]).all()


def test_concatenated_crops_are_purified_each_by_itself(
    people: EmbeddingTable, bundle: Path
) -> None:
    purifier = Purifier.open(bundle)
    mirrored = np.roll(people.vectors, 1, axis=0)
    both = np.hstack([people.vectors, mirrored]) / np.sqrt(2).astype(np.float32)
    model = replace(people.model, crops="concatenated", dimension=32)
    found = purifier.purify(EmbeddingTable(people.frame, both, model))
    expected = np.hstack([purifier.apply(people.vectors), purifier.apply(mirrored)]) / np.sqrt(2)
    np.testing.assert_allclose(found.vectors, expected, atol=1e-5)


def test_embeddings_of_another_model_are_refused(people: EmbeddingTable, bundle: Path) -> None:
    purifier = Purifier.open(bundle)
    for other in ({"version": "2"}, {"sha256": "0" * 64}, {"crops": "added"}):
        model = replace(people.model, **other)
        with pytest.raises(TableError, match="not of made-up"):
            purifier.purify(EmbeddingTable(people.frame, people.vectors, model))


def test_the_card_says_what_it_was_trained_on_and_why_this_one(bundle: Path) -> None:
    card = json.loads((bundle / "card.json").read_text())
    assert card["base"]["name"] == "made-up"
    assert card["trained_on"]["age_kinds"] == {"estimated": 200}
    assert card["trained_on"]["age_models"] == ["toy 1"]
    assert card["trained_on"]["people"] == {"train": 28, "valid": 12}
    assert set(card["chosen"]) >= {"weight", "epoch", "across_age", "across_age_raw"}
    rows = (bundle / "history.csv").read_text().splitlines()
    assert rows[0] == "weight,epoch,margin_loss,penalty,adversary_loss,across_age"
    assert len(rows) == 4


def test_no_path_of_this_machine_is_in_the_network(bundle: Path) -> None:
    content = (bundle / "purifier.onnx").read_bytes()
    assert b"/agelens/" not in content
    assert b".py" not in content


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("card.json", b"{", "cannot be read"),
        ("card.json", b'{"format": "agelens 1"}', "format must be"),
        ("card.json", b'{"format": "agelens purifier 1"}', "lacks 'name'"),
        ("purifier.onnx", b"x", "SHA-256"),
        ("purifier.onnx", None, "cannot read weights"),
        ("card.json", None, "cannot be read"),
    ],
)
def test_a_damaged_bundle_is_refused(
    bundle: Path, tmp_path: Path, file: str, content: bytes | None, message: str
) -> None:
    for path in bundle.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    if content is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(CardError, match=message):
        Purifier.open(tmp_path)


def test_it_is_applied_without_torch(bundle: Path) -> None:
    code = (
        "import sys, numpy as np\n"
        "from agelens.recognition.purifier import Purifier\n"
        f"Purifier.open({str(bundle)!r}).apply(np.eye(16, dtype=np.float32))\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


class TestCommand:
    @pytest.fixture
    def table(self, people: EmbeddingTable, tmp_path: Path) -> Path:
        write_embeddings(people, tmp_path / "people.parquet")
        return tmp_path / "people.parquet"

    def test_it_writes_a_bundle_and_says_what_was_left_out(
        self, agelens: Callable[..., Any], people: EmbeddingTable, tmp_path: Path
    ) -> None:
        alone = people.take(np.arange(len(people)) < len(people) - 4)  # the last has one face left
        write_embeddings(alone, tmp_path / "people.parquet")
        out = tmp_path / "out"
        asked = ("--purifier", "none", "--epochs", 1, "-o", out)
        ran = agelens("identity", "purify", tmp_path / "people.parquet", *map(str, asked))
        assert ran.status == 0, ran.err
        assert "195 faces of 39 people, ages: 195 estimated" in ran.out
        assert "1 rows left out: the only face of its person" in ran.out
        assert Purifier.open(out).name == "made-up+none"
        again = agelens("identity", "purify", tmp_path / "people.parquet", *map(str, asked))
        assert again.status == 2
        assert "name a new folder" in again.err

    @pytest.mark.parametrize(
        ("asked", "message"),
        [
            (("--purifier", "iefb"), "Did you mean 'iefp'?"),
            (("--weights", "-1"), "--weights: must be a number from 0"),
        ],
    )
    def test_wrong_usage_is_said_before_any_work(
        self,
        agelens: Callable[..., Any],
        table: Path,
        tmp_path: Path,
        asked: tuple[str, ...],
        message: str,
    ) -> None:
        ran = agelens("identity", "purify", table, *asked, "-o", tmp_path / "out")
        assert ran.status == 2
        assert message in ran.err
        assert not (tmp_path / "out").exists()

    def test_a_table_without_ages_is_refused(
        self,
        agelens: Callable[..., Any],
        aged_people: Callable[..., EmbeddingTable],
        tmp_path: Path,
    ) -> None:
        table = tmp_path / "ageless.parquet"
        write_embeddings(aged_people(age_years=np.nan, age_kind=None), table)
        ran = agelens("identity", "purify", table, "-o", tmp_path / "out")
        assert ran.status == 2
        assert "have no ages" in ran.err
