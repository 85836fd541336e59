from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from benchmarks.age_probe import probe_errors

from agelens.errors import TrainingError, UnknownNameError, UsageError
from agelens.recognition.embedding_purifier.branches import (
    IdentityBranch,
    PurifierSettings,
    TrainedAgeBranch,
    train_age_branch,
)
from agelens.recognition.embedding_purifier.faces import (
    IdentityFaces,
    across_age,
    identity_faces,
    split_by_subject,
)
from agelens.recognition.embedding_purifier.purifiers import PURIFIERS, purifier_class
from agelens.recognition.embedding_purifier.train import (
    PurifierTraining,
    train_on_faces,
    train_purifier,
)
from agelens.recognition.embedding_table import EmbeddingTable

QUICK: dict[str, Any] = {"epochs": 2, "age_epochs": 2, "batch_size": 64}


@pytest.fixture(scope="module")
def faces(aged_people: Callable[..., EmbeddingTable]) -> IdentityFaces:
    return identity_faces(aged_people())


@pytest.fixture(scope="module")
def age(aged_people: Callable[..., EmbeddingTable]) -> TrainedAgeBranch:
    train, valid = split_by_subject(identity_faces(aged_people(60, 8, seed=1, pull=3)), 0.3, 0)
    return train_age_branch(
        train, valid, PurifierSettings(age_epochs=30, batch_size=32, age_lr=0.01)
    )


def _training(faces: IdentityFaces, age: TrainedAgeBranch, **asked: Any) -> PurifierTraining:
    settings = PurifierSettings(**(QUICK | asked))
    train, valid = split_by_subject(faces, 0.3, 0)
    pairs = across_age(valid)
    return PurifierTraining(
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


def test_the_same_seed_trains_the_same_purifier(
    faces: IdentityFaces, age: TrainedAgeBranch
) -> None:
    one, other = (_training(faces, age, purifier="iefp") for _ in range(2))
    assert list(one.epochs()) == list(other.epochs())
    for mine, others in zip(_weights(one), _weights(other), strict=True):
        assert torch.equal(mine, others)


# Age has an axis of its own here without noise, of which a probe reads whatever is left.
@pytest.mark.parametrize(
    ("name", "weight", "least"), [("iefp", 5.0, 1.05), ("gradient-reversal", 1.0, 1.2)]
)
def test_purification_takes_age_out(
    faces: IdentityFaces, age: TrainedAgeBranch, name: str, weight: float, least: float
) -> None:
    settings: dict[str, Any] = {
        "epochs": 60,
        "lr": 3e-3,
        "weight_decay": 0.0,
        "scale": 16.0,
        "identity_weight": 1.0,
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
    found = train_on_faces(faces, settings, lambda done, epochs: told.append((done, epochs)))
    assert [one.weight for one in found.tried] == [0.001, 0.1]
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    best = max([found.raw_across_age, *(row.across_age for one in found.tried for row in one.rows)])
    assert found.chosen.across_age == best
    valid = split_by_subject(faces, settings.valid_share, settings.seed)[1]
    with torch.no_grad():
        vectors = torch.nn.functional.normalize(found.branch(torch.from_numpy(valid.vectors)))
    assert across_age(valid, settings.seed).true_match_rate(vectors.numpy()) == best


def test_a_loss_that_is_no_number_ends_the_training(
    faces: IdentityFaces, age: TrainedAgeBranch
) -> None:
    training = _training(faces, age, purifier="iefp", weights=(1.0,), lr=1e20)
    with pytest.raises(TrainingError, match="are no numbers"):
        list(training.epochs())


@pytest.mark.parametrize(
    "asked",
    [{"weights": (-1.0,)}, {"epochs": 0}, {"batch_size": 1}, {"valid_share": 1.0}, {"lr": -1.0}],
)
def test_numbers_out_of_range_are_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        PurifierSettings(**asked)


def test_an_unknown_setting_is_told_the_known_ones(
    aged_people: Callable[..., EmbeddingTable],
) -> None:
    with pytest.raises(UnknownNameError, match="weight_decay"):
        train_purifier(aged_people(), decay=0.1)


def test_an_unknown_purifier_is_told_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="gradient-reversal"):
        purifier_class("gradient_reversal")


def _copied(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in module.state_dict().items()}


def _weights(training: PurifierTraining) -> list[torch.Tensor]:
    modules = (training.branch, training.loss, training.purifier, training.best_branch)
    return [value for module in modules for value in module.state_dict().values()]
