from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agelens.errors import TrainingError, UnknownNameError, UsageError
from agelens.recognition.embedding_purifier.faces import IdentityFaces, identity_faces
from agelens.recognition.embedding_purifier.purifiers import PURIFIERS, purifier_class
from agelens.recognition.embedding_purifier.settings import IdentityBranch, PurifierSettings
from agelens.recognition.embedding_purifier.train import (
    TrainedAgeBranch,
    TrainingFolder,
    asked_of,
    split_by_subject,
    train_age_branch,
    train_purifier,
)
from agelens.recognition.embedding_purifier.training import LightTraining, across_age
from agelens.recognition.embeddings import EmbeddingTable
from agelens.recognition.protocols.age_probe import probe_errors

QUICK: dict[str, Any] = {"epochs": 2, "age_epochs": 2, "batch": 64}


@pytest.fixture(scope="module")
def faces(aged_people: Callable[..., EmbeddingTable]) -> IdentityFaces:
    return identity_faces(aged_people())


@pytest.fixture(scope="module")
def age(aged_people: Callable[..., EmbeddingTable]) -> TrainedAgeBranch:
    train, valid = split_by_subject(identity_faces(aged_people(60, 8, seed=1, pull=3)), 0.3, 0)
    return train_age_branch(train, valid, PurifierSettings(age_epochs=30, batch=32, age_rate=0.01))


def _training(faces: IdentityFaces, age: TrainedAgeBranch, **asked: Any) -> LightTraining:
    settings = PurifierSettings(**(QUICK | asked))
    train, valid = split_by_subject(faces, 0.3, 0)
    pairs = across_age(valid)
    return LightTraining(
        train, valid, age.branch, pairs, settings=settings, weight=settings.weights[0]
    )


@pytest.mark.parametrize("blocks", [0, 1, 2])
def test_the_identity_branch_begins_as_no_change(blocks: Any) -> None:
    branch = IdentityBranch(16, blocks).eval()
    vectors = torch.nn.functional.normalize(torch.randn(5, 16))
    torch.testing.assert_close(branch(vectors), 4 * vectors)


def test_the_age_branch_is_frozen_and_tells_people_it_has_not_seen(age: TrainedAgeBranch) -> None:
    assert age.accuracy > age.majority + 0.1
    assert not age.branch.training
    assert not any(parameter.requires_grad for parameter in age.branch.parameters())


@pytest.mark.parametrize("name", PURIFIERS)
def test_a_training_moves_what_it_should_and_nothing_else(
    faces: IdentityFaces, age: TrainedAgeBranch, name: str
) -> None:
    training = _training(faces, age, purifier=name, weights=(0.1,))
    modules = {"branch": training.branch, "centres": training.loss, "adversary": training.purifier}
    before = {key: _copied(module) for key, module in modules.items()}
    frozen = _copied(age.branch)
    (first,) = (row for row in training.epochs() if row.epoch == 1)
    for key, module in modules.items():
        for parameter in before[key]:
            moved = not torch.equal(before[key][parameter], module.state_dict()[parameter])
            assert moved, f"{key}: {parameter}"
    assert all(torch.equal(frozen[key], value) for key, value in age.branch.state_dict().items())
    assert np.isfinite([first.margin_loss, first.penalty, first.adversary_loss]).all()
    assert (first.penalty == 0) == (name == "none")


@pytest.mark.parametrize("name", PURIFIERS)
def test_a_stopped_training_ends_as_an_unbroken_one(
    faces: IdentityFaces, age: TrainedAgeBranch, name: str
) -> None:
    whole = _training(faces, age, purifier=name)
    rows = list(whole.epochs())
    stopped = _training(faces, age, purifier=name)
    next(stopped.epochs())
    kept = stopped.state()
    torch.manual_seed(99)
    again = _training(faces, age, purifier=name)
    again.restore(kept)
    assert list(again.epochs()) == rows[1:]
    assert again.rows == rows
    for one, other in zip(_weights(whole), _weights(again), strict=True):
        assert torch.equal(one, other)


# Age has an axis of its own here without noise, of which a probe reads whatever is left.
@pytest.mark.parametrize(
    ("name", "weight", "least"), [("iefp", 5.0, 1.05), ("gradient-reversal", 1.0, 1.2)]
)
def test_purification_takes_age_out(
    faces: IdentityFaces, age: TrainedAgeBranch, name: str, weight: float, least: float
) -> None:
    settings: dict[str, Any] = {
        "epochs": 60,
        "rate": 3e-3,
        "decay": 0.0,
        "scale": 16.0,
        "hold": 1.0,
    }
    errors = {}
    for one, its_weight in (("none", 0.0), (name, weight)):
        training = _training(faces, age, purifier=one, weights=(its_weight,), **settings)
        assert len(list(training.epochs())) == 60
        with torch.no_grad():
            purified = training.branch.eval()(torch.from_numpy(faces.vectors))
        vectors = torch.nn.functional.normalize(purified).numpy()  # as embeddings are compared
        errors[one] = probe_errors(vectors, faces.ages, faces.people)[0].mean()
    assert errors[name] > least * errors["none"]


def test_the_best_weight_and_epoch_by_validation_are_kept(faces: IdentityFaces) -> None:
    settings = PurifierSettings(purifier="iefp", weights=(0.001, 0.1), **QUICK)
    told = []
    found = train_purifier(faces, settings, tell=lambda weight, row: told.append((weight, row)))
    assert [one.weight for one in found.tried] == [0.001, 0.1]
    assert len(told) == 4
    best = max([found.raw_across_age, *(row.across_age for _, row in told)])
    assert found.chosen.across_age == best
    valid = split_by_subject(faces, settings.valid_share, settings.seed)[1]
    with torch.no_grad():
        vectors = torch.nn.functional.normalize(found.branch(torch.from_numpy(valid.vectors)))
    assert across_age(valid, settings.seed).true_match_rate(vectors.numpy()) == best


class _KilledError(Exception):
    pass


@pytest.mark.parametrize("epochs_done", [1, 2, 3])
def test_a_killed_folder_goes_on_to_the_same_purifier(
    faces: IdentityFaces, tmp_path: Path, epochs_done: int
) -> None:
    settings = PurifierSettings(purifier="dal", weights=(0.1, 1.0), **QUICK)
    asked = asked_of(faces, settings)
    whole = train_purifier(faces, settings)
    seen = []

    def killed(_weight: float, _row: object) -> None:
        seen.append(1)
        if len(seen) == epochs_done:
            raise _KilledError

    with pytest.raises(_KilledError):
        train_purifier(faces, settings, TrainingFolder(tmp_path, asked, resume=False), killed)
    with pytest.raises(UsageError, match="--resume"):
        TrainingFolder(tmp_path, asked, resume=False)
    folder = TrainingFolder(tmp_path, asked, resume=True)
    again = train_purifier(faces, settings, folder)
    assert again.tried == whole.tried
    for one, other in zip(
        whole.branch.state_dict().values(), again.branch.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other)
    folder.finish()
    assert not list(tmp_path.iterdir())


def test_progress_of_other_faces_or_settings_is_refused(
    faces: IdentityFaces, tmp_path: Path
) -> None:
    asked = asked_of(faces, PurifierSettings())
    TrainingFolder(tmp_path, asked, resume=False).keep([])
    others = [
        asked_of(faces, PurifierSettings(seed=1)),
        asked_of(faces.take(faces.people > 0), PurifierSettings()),
    ]
    for other in others:
        with pytest.raises(UsageError, match="other faces or settings"):
            TrainingFolder(tmp_path, other, resume=True)
    assert TrainingFolder(tmp_path, asked, resume=True).progress == []


def test_damaged_progress_is_said_to_be(faces: IdentityFaces, tmp_path: Path) -> None:
    (tmp_path / "progress.pt").write_bytes(b"no checkpoint")
    with pytest.raises(TrainingError, match="cannot be read"):
        TrainingFolder(tmp_path, asked_of(faces, PurifierSettings()), resume=True)


def test_a_loss_that_is_no_number_ends_the_training(
    faces: IdentityFaces, age: TrainedAgeBranch
) -> None:
    training = _training(faces, age, purifier="iefp", weights=(1.0,), rate=1e20)
    with pytest.raises(TrainingError, match="are no numbers"):
        list(training.epochs())


@pytest.mark.parametrize(
    "asked",
    [{"weights": (-1.0,)}, {"epochs": 0}, {"batch": 1}, {"valid_share": 1.0}, {"rate": -1.0}],
)
def test_numbers_out_of_range_are_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        PurifierSettings(**asked)


def test_an_unknown_purifier_is_told_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="gradient-reversal"):
        purifier_class("gradient_reversal")


def _copied(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in module.state_dict().items()}


def _weights(training: LightTraining) -> list[torch.Tensor]:
    modules = (training.branch, training.loss, training.purifier, training.best_branch())
    return [value for module in modules for value in module.state_dict().values()]
