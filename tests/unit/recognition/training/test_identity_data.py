"""People of stores: told apart, counted, and not learned from where seen once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from agelens.errors import UnknownNameError, UsageError
from agelens.recognition.age_groups import age_groups
from agelens.recognition.training.identity_data import BranchInput, IdentityData, data_facts
from agelens.recognition.training.stages import groups_of

WANTED = BranchInput(32, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@pytest.fixture(scope="module")
def store(bright_store: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pictures each of a and b, one of c, one of nobody known, one with an issue of d."""
    return bright_store(
        tmp_path_factory.mktemp("few") / "few",
        samples=8,
        subject=["a", "a", "b", "b", "c", None, "d", "d"],
        age_years=[10.0, 20.0, 30.0, 40.0, 50.0, 60.0, None, None],
        age_kind=["estimated"] * 6 + [None, None],
        issue=[None] * 7 + ["odd"],
        gender=None,
    )


def _opened(store: Path | list[str], **options: object) -> IdentityData:
    stores = store if isinstance(store, list) else str(store)
    data = IdentityData(stores, batch_size=4, workers=0, **options)  # type: ignore[arg-type]
    data.open("identity", WANTED)
    return data


def test_people_with_one_picture_are_refused_by_name(store: Path) -> None:
    """d's second picture has an issue, so that d is seen once as well."""
    with pytest.raises(UsageError, match=r"2 of 4 identities have one picture only \(c, d\)"):
        _opened(store)


def test_people_with_one_picture_are_dropped_and_counted(store: Path) -> None:
    data = _opened(store, lone_identities="drop")
    assert data.people == ("a", "b")
    assert len(data.chips) == 4
    assert data.left_out == {
        "no subject": 1,
        "label has an issue": 1,
        "only picture of its identity": 2,
    }
    assert data.chips.labels("subject").tolist() == [0, 0, 1, 1]
    facts = data_facts(data)
    assert facts["identities"] == 2
    assert facts["pictures_of_an_identity"] == {"least": 2.0, "mean": 2.0, "greatest": 2.0}
    assert facts["age_kinds"] == {"estimated": 4}


def test_people_with_one_picture_may_be_kept(store: Path) -> None:
    data = _opened(store, lone_identities="keep")
    assert data.people == ("a", "b", "c", "d")
    assert data.left_out == {"no subject": 1, "label has an issue": 1}


def test_people_of_two_datasets_are_not_the_same(
    bright_store: Callable[..., Path], tmp_path: Path
) -> None:
    stores = [
        str(bright_store(tmp_path / name, samples=4, seed=seed))
        for seed, name in enumerate(("one", "two"))
    ]
    data = _opened(stores)
    assert data.people == ("one/s0", "one/s1", "two/s0", "two/s1")
    frame = data.chips.table.frame
    names = [data.people[code] for code in data.chips.labels("subject").tolist()]
    assert names == frame["subject"].tolist()
    assert [name.partition("/")[0] for name in names] == frame["dataset"].tolist()


def test_a_store_without_subjects_is_refused(
    bright_store: Callable[..., Path], tmp_path: Path
) -> None:
    nobody = bright_store(tmp_path / "nobody", samples=4, subject=None)
    with pytest.raises(UsageError, match="none of the 4 samples says who it is"):
        _opened(nobody)


def test_the_age_stage_takes_every_chip_with_an_age(store: Path) -> None:
    data = IdentityData(str(store), batch_size=6, workers=0)
    data.open("age", WANTED)
    assert data.left_out == {"no age_years": 1, "label has an issue": 1}
    batch = next(iter(data.train_dataloader()))
    assert sorted(batch.labels["age_years"].tolist()) == [10, 20, 30, 40, 50, 60]
    assert batch.images.shape == (6, 3, 32, 32)


def test_age_groups_are_those_of_the_package() -> None:
    ages = np.array([0, 11.9, 12, 12.5, 13, 18, 25, 35.0, 36, 45, 55, 65, 65.1, 100])
    assert groups_of(torch.from_numpy(ages)).tolist() == age_groups(ages).tolist()


def test_another_word_for_lone_identities_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="lone identities 'skip'"):
        IdentityData("store", lone_identities="skip")  # type: ignore[arg-type]
