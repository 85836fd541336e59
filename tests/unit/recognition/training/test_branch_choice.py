"""Branches and their starting weights, read safely or refused."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file

from agelens.errors import CardError, UnknownNameError, UsageError
from agelens.recognition.purification import PurifiedBranch
from agelens.recognition.training.branch_choice import BranchChoice
from agelens.recognition.training.stages import AgeGroupModel

Tiny = dict[str, Any]


@pytest.fixture
def weights(tiny_branch: Callable[[], PurifiedBranch], tmp_path: Path) -> tuple[Path, Any]:
    """What a run of the age stage leaves, and the branch that it is of."""
    model = AgeGroupModel(tiny_branch())
    save_file(model.weights(), tmp_path / "weights.safetensors")
    return tmp_path / "weights.safetensors", model.branch


def test_a_run_s_weights_make_the_same_branch(weights: tuple[Path, Any], tiny: Tiny) -> None:
    path, branch = weights
    built = BranchChoice(**tiny, weights=str(path)).build_trained().branch
    expected = branch.state_dict()
    assert built.state_dict().keys() == expected.keys()
    for name, value in built.state_dict().items():
        assert value.equal(expected[name]), name


def test_a_backbone_s_weights_leave_the_unit_at_random(
    weights: tuple[Path, Any], tiny: Tiny, tmp_path: Path
) -> None:
    _, branch = weights
    save_file(branch.backbone.state_dict(), tmp_path / "backbone.safetensors")
    choice = BranchChoice(**tiny, weights=str(tmp_path / "backbone.safetensors"))
    assert "purification (one): random numbers" in choice.build().report
    with pytest.raises(CardError, match="no weights of a self-purification unit"):
        choice.build_trained()
    plain = BranchChoice(
        **tiny, weights=str(tmp_path / "backbone.safetensors"), purification="none"
    )
    assert plain.build_trained().branch.purification.blocks == 0


def test_a_unit_of_other_blocks_is_refused(weights: tuple[Path, Any], tiny: Tiny) -> None:
    with pytest.raises(CardError, match="not of 'two' blocks over 16 features"):
        BranchChoice(**tiny, weights=str(weights[0]), purification="two").build()


def test_an_age_branch_without_trained_weights_is_refused(tiny: Tiny) -> None:
    with pytest.raises(UsageError, match="a run with stage: age"):
        BranchChoice(**tiny).build_trained()


def test_a_pickle_with_code_is_refused_and_not_run(tiny: Tiny, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path(tmp_path / "ran").touch, ())

    path = tmp_path / "age.pth"
    path.write_bytes(pickle.dumps({"net.fc.weight": Bomb()}))
    with pytest.raises(CardError, match="refused"):
        BranchChoice(**tiny, weights=str(path)).build_trained()
    assert not (tmp_path / "ran").exists()


def test_a_file_that_is_not_there_is_named(tiny: Tiny) -> None:
    with pytest.raises(CardError, match=r"absent\.safetensors"):
        BranchChoice(**tiny, weights="absent.safetensors").build_trained()


def test_another_unit_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="self-purification unit 'three'"):
        BranchChoice(purification="three")  # type: ignore[arg-type]
