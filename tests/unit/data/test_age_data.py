from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agelens.ages import AgeScale
from agelens.data.age_data import AgeData
from agelens.data.splits import HashSplit
from agelens.data.store import ChipStore
from agelens.data.training_input import weights_within
from agelens.data.training_input.chip_dataset import NetworkInput
from agelens.errors import DatasetError, TableError, UnknownNameError, UsageError
from agelens.tables import SampleTable, write_table
from agelens.training.checkpoints import config_diff, data_description, data_identity

NETWORK = NetworkInput(32, (0.1, 0.2, 0.3), (0.5, 0.6, 0.7), AgeScale.yearly(0, 100), {})


@pytest.fixture(scope="module")
def folder(bright_store: Callable[..., Path], tmp_path_factory) -> Path:
    """Stores: `bright` of 60, `more` of 20 with an ethnicity."""
    folder: Path = tmp_path_factory.mktemp("stores")
    bright_store(folder / "bright", samples=60)
    bright_store(folder / "more", samples=20, seed=1, ethnicity=["x", "y"] * 10)
    return folder


def opened(
    *stores: Path, network: NetworkInput = NETWORK, seed: int = 0, **options: Any
) -> AgeData:
    data = AgeData([str(store) for store in stores], **options)
    data.open(network, seed=seed)
    return data


def test_parts_are_the_splits(folder: Path) -> None:
    data = opened(folder / "bright", split_seed=4)
    table = ChipStore.open(folder / "bright").table
    split = HashSplit()(table, seed=4)[0]
    for name, part in data.parts.items():
        assert part.table.frame["sample_id"].tolist() == split.ids(name).tolist()
    assert list(data.parts) == ["train", "valid", "test"]
    assert data.test_names == ["test"]


def test_normalisation_is_the_networks_and_not_the_presets(folder: Path) -> None:
    data = opened(folder / "bright", preset="iefp")
    assert (data.transform.mean, data.transform.std) == ([0.1, 0.2, 0.3], [0.5, 0.6, 0.7])
    own = opened(folder / "bright", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    batch = next(iter(own.val_dataloader()))
    assert batch.images.shape[1:] == (3, 32, 32)
    assert 0 <= float(batch.images.min()) <= float(batch.images.max()) <= 1


def test_several_stores_are_one_table(folder: Path) -> None:
    data = opened(folder / "bright", folder / "more")
    assert sum(map(len, data.parts.values())) == 80
    datasets = data_description(data)["parts"]["train"]["datasets"]
    assert set(datasets) == {"bright", "more"}
    with pytest.raises(TableError, match="more than once"):
        opened(folder / "bright", folder / "bright")


def test_further_tests_are_whole_stores(folder: Path) -> None:
    data = opened(folder / "bright", tests={"other": str(folder / "more")})
    assert data.test_names == ["test", "other"]
    assert len(data.parts["other"]) == 20
    assert len(data.test_dataloader()) == 3
    with pytest.raises(UsageError, match="cannot be called"):
        AgeData("a", tests={"valid": "b"})


def test_labels_of_another_table_count(folder: Path, tmp_path: Path) -> None:
    frame = ChipStore.open(folder / "bright").table.frame.iloc[10:50]
    write_table(SampleTable(frame.assign(age_years=33.0)), tmp_path / "t.parquet")
    data = opened(folder / "bright", table=str(tmp_path / "t.parquet"))
    assert sum(map(len, data.parts.values())) == 40
    assert set(data.parts["train"].age_years.tolist()) == {33.0}


def test_labels_of_samples_that_no_store_has_are_refused(folder: Path, tmp_path: Path) -> None:
    frame = ChipStore.open(folder / "bright").table.frame
    write_table(SampleTable(frame.assign(sample_id="x/" + frame["path"])), tmp_path / "t.parquet")
    for stores in (["bright"], ["bright", "more"]):
        with pytest.raises(TableError, match="not in"):
            opened(*(folder / name for name in stores), table=str(tmp_path / "t.parquet"))


def test_orders_follow_from_the_runs_seed(folder: Path) -> None:
    def rows(seed: int) -> list[int]:
        loader = opened(folder / "bright", seed=seed, batch_size=8).train_dataloader()
        return torch.cat([batch.rows for batch in loader]).tolist()

    assert rows(1) == rows(1) != rows(2)


def test_ages_are_balanced_where_asked(folder: Path) -> None:
    data = opened(folder / "bright", sampling="class-balanced", draws=4000, batch_size=50)
    drawn = np.concatenate(list(data.train_dataloader().order.batches()))
    ages = data.parts["train"].age_years.numpy()
    counts = np.unique(ages[drawn], return_counts=True)[1]
    assert len(drawn) == 4000
    assert counts.std() / counts.mean() < 0.2
    with pytest.raises(UnknownNameError, match="class-balanced"):
        AgeData("a", sampling="balanced")  # type: ignore[arg-type]


def test_ages_are_balanced_within_words_where_asked(folder: Path) -> None:
    plain = opened(folder / "more")
    asked = opened(folder / "more", sampling_within="ethnicity")
    ages = plain.parts["train"].age_years.numpy()
    words = asked.parts["train"].groups("ethnicity")
    expected = weights_within(ages, words, np.ones(len(ages)))
    chances = asked.train_dataloader().order.chances
    assert plain.train_dataloader().order.chances is None
    assert chances is not None
    np.testing.assert_allclose(chances, expected / expected.sum())


def test_balancing_within_words_that_nobody_has_is_refused(folder: Path) -> None:
    data = opened(folder / "bright", sampling_within="ethnicity")
    with pytest.raises(UsageError, match=r"no .ethnicity. is known .* columns of words that"):
        data.train_dataloader()


def test_words_are_the_train_parts(folder: Path) -> None:
    network = NetworkInput(
        32, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), NETWORK.scale, {"ethnicity": (), "gender": GENDERS}
    )
    data = opened(folder / "more", network=network)
    assert data.words == {"ethnicity": ("x", "y"), "gender": GENDERS}
    for part in data.parts.values():
        words = part.table.frame["ethnicity"].astype(object)
        assert part.labels("ethnicity").tolist() == [("x", "y").index(word) for word in words]


GENDERS = ("female", "male")


@pytest.mark.parametrize(
    ("gender", "said"),
    [("female", "none of male"), (None, "none of female, male"), ("male", "none of female")],
)
def test_no_samples_of_a_class_is_refused(
    gender: str | None, said: str, bright_store: Callable[..., Path], tmp_path: Path
) -> None:
    network = NetworkInput(32, NETWORK.mean, NETWORK.std, NETWORK.scale, {"gender": GENDERS})
    store = bright_store(tmp_path / "one", samples=20, gender=gender)
    with pytest.raises(UsageError, match=said) as refused:
        opened(store, network=network)
    assert "auxiliary.columns" in str(refused.value)


def test_ages_outside_the_scale_are_refused_or_dropped(folder: Path) -> None:
    narrow = NetworkInput(32, NETWORK.mean, NETWORK.std, AgeScale.yearly(20, 50), {})
    with pytest.raises(UsageError, match="part have ages outside the method's scale, 20-50"):
        opened(folder / "bright", network=narrow)
    data = opened(folder / "bright", network=narrow, outside_ages="drop")
    for name in ("train", "valid"):
        ages = data.parts[name].age_years
        assert 19.5 <= float(ages.min()) <= float(ages.max()) <= 50.5
    assert float(data.parts["test"].age_years.max()) > 50.5  # nobody's test gets easier
    assert len(data.notes) == 2


def test_a_store_without_chips_is_refused(tmp_path: Path) -> None:
    from agelens.data.store import prepare

    table = SampleTable.from_columns(
        {"sample_id": ["a"], "dataset": "a", "path": ["0"], "age_years": 1.0, "age_kind": "real"}
    )
    prepare(table, tmp_path / "s", root=lambda _dataset, _path: b"torn", aligned=True, size=32)
    with pytest.raises(DatasetError, match="none of its 1 rows has a chip"):
        opened(tmp_path / "s")
    with pytest.raises(DatasetError, match="expected a chip store"):
        opened(tmp_path / "nothing")


def test_the_identity_tells_stores_labels_and_splits_apart(folder: Path, tmp_path: Path) -> None:
    identity = data_identity(opened(folder / "bright"))
    assert data_identity(opened(folder / "bright", workers=0, batch_size=3)) == identity
    other_split = data_identity(opened(folder / "bright", split_seed=1))
    changed = config_diff(identity, other_split)
    assert any(line.startswith("parts.train.samples_sha256") for line in changed)
    frame = ChipStore.open(folder / "bright").table.frame.copy()
    frame.loc[0, "age_years"] += 1
    write_table(SampleTable(frame), tmp_path / "t.parquet")
    other_label = data_identity(opened(folder / "bright", table=str(tmp_path / "t.parquet")))
    (line,) = config_diff(identity, other_label)
    assert "labels_sha256" in line
    other_store = data_identity(opened(folder / "more"))
    assert any(line.startswith("stores.0") for line in config_diff(identity, other_store))


def test_the_description_is_plain(folder: Path) -> None:
    import json

    found = json.loads(json.dumps(data_description(opened(folder / "bright")), allow_nan=False))
    assert found["input"]["size"] == found["input"]["resized"] == 32
    train = found["parts"]["train"]
    assert sum(found["train_ages"]["samples"]) == train["samples"] == train["datasets"]["bright"]
    assert found["split"]["leaks"] == []
    assert found["stores"][0]["settings"]["size"] == 32


def test_a_dataset_is_drawn_more_often_where_asked(folder: Path) -> None:
    stores = (folder / "bright", folder / "more")
    data = opened(*stores, sampling_datasets={"more": 3.0})
    datasets = data.parts["train"].table.frame["dataset"].astype(str).to_numpy()
    chances = data.train_dataloader().order.chances
    assert chances is not None
    ratio = chances[datasets == "more"].mean() / chances[datasets == "bright"].mean()
    assert ratio == pytest.approx(3.0)
    with pytest.raises(UsageError, match="nothing of fgnet"):
        opened(*stores, sampling_datasets={"fgnet": 2.0}).train_dataloader()
