"""Tiny branches, and chips of people."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from agelens.recognition.margins import ClassWeights, CosFace, MarginLoss
from agelens.recognition.purification import PurifiedBranch
from agelens.recognition.training.branch_choice import BranchChoice, TwoBranches

PEOPLE = 32


@pytest.fixture(scope="session")
def tiny() -> dict[str, Any]:
    """The arguments of a branch of 16 features for chips of 32 pixels."""
    return {
        "name": "iresnet18",
        "size": 32,
        # At least 8: with 4 channels, oneDNN's AVX2 kernel for the gradient of a strided 1 x 1
        # convolution (torch 2.15) writes past its buffer, and the process dies.
        "options": {"widths": [8, 8, 8, 16], "embedding": 16},
    }


@pytest.fixture
def tiny_branch(tiny: dict[str, Any]) -> Callable[[], PurifiedBranch]:
    """Makes such a branch with random weights."""
    return lambda: BranchChoice(**tiny).build().branch


@pytest.fixture
def two_branches(tiny_branch: Callable[[], PurifiedBranch]) -> TwoBranches:
    """Both branches over `PEOPLE` identities."""
    torch.manual_seed(0)
    margin = MarginLoss(ClassWeights(PEOPLE, 16), CosFace())
    return TwoBranches(tiny_branch(), margin, tiny_branch())


@pytest.fixture(scope="session")
def people_store(
    bright_store: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A store of two chips of each of `PEOPLE` people."""
    return bright_store(tmp_path_factory.mktemp("people") / "people", samples=2 * PEOPLE)
