"""The figures of IEFP's FG-NET test, against plain loops over the same networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agelens.data.store import ChipStore
from agelens.errors import TrainingError
from agelens.recognition.training.age_information import _Networks, age_information
from agelens.recognition.training.branch_choice import BranchChoice
from agelens.recognition.training.configuration import IdentityRun
from agelens.recognition.training.identity_data import IdentityData
from agelens.recognition.training.train import train_identity
from agelens.training.run_folder import RunFolder


@pytest.fixture(scope="module")
def runs(
    people_store: Path, tiny: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Both stages after one epoch."""
    place = tmp_path_factory.mktemp("iefp")
    trainer = {"max_epochs": 1, "accelerator": "cpu"}

    def data() -> IdentityData:
        return IdentityData(str(people_store), batch_size=32, workers=0)

    options: dict[str, Any] = {"branch": BranchChoice(**tiny), "trainer": trainer}
    age = IdentityRun(stage="age", data=data(), initial="iefp", **options)
    train_identity(age, place / "age", quiet=True)
    trained = BranchChoice(**tiny, weights=str(place / "age" / "weights.safetensors"))
    identity = IdentityRun(stage="identity", data=data(), age_branch=trained, **options)
    train_identity(identity, place / "identity", quiet=True, export=False)
    return {"age": place / "age", "identity": place / "identity"}


def test_the_figures_are_those_of_plain_loops(runs: dict[str, Path], people_store: Path) -> None:
    found = age_information(runs["identity"], people_store, batch_size=40, seed=3)
    networks = _Networks.of(RunFolder(runs["identity"], "agelens identity train"))
    store = ChipStore.open(people_store)
    assert found.pictures == len(store)
    ages = store.table.frame["age_years"].to_numpy()
    groups = np.array([sum(age > cut for cut in (12, 18, 25, 35, 45, 55, 65)) for age in ages])
    chance = torch.Generator().manual_seed(3)
    distances, bounds, likelihoods = [], [], []
    with torch.no_grad():
        for start in range(0, len(store), 40):
            rows = range(start, min(start + 40, len(store)))
            chips = torch.from_numpy(np.stack([store[row] for row in rows])).permute(0, 3, 1, 2)
            answers = 0
            for seen in (chips, torch.flip(chips, [3])):
                images = networks.transform(seen)
                x, y = networks.age(images), networks.identity(images)
                mean, log_variance = networks.club.mean(x), networks.club.log_variance(x)
                others = y[torch.randperm(len(y), generator=chance)]
                own = (-((mean - y) ** 2) / log_variance.exp()).sum(1)
                strange = (-((mean - others) ** 2) / log_variance.exp()).sum(1)
                bounds += [float((own - strange).mean() / 2)] * len(rows)
                likelihoods += [float((own - log_variance.sum(1)).mean())] * len(rows)
                answers = answers + networks.head(x).softmax(1)
            distances += np.abs(answers.argmax(1).numpy() - groups[list(rows)]).tolist()
    assert found.group_distance == pytest.approx(np.mean(distances))
    assert found.bound_nats == pytest.approx(np.mean(bounds), rel=1e-4, abs=1e-6)
    assert found.likelihood == pytest.approx(np.mean(likelihoods), rel=1e-4)


def test_an_age_stage_has_no_bound(runs: dict[str, Path], people_store: Path) -> None:
    with pytest.raises(TrainingError, match="holds no bound to measure by"):
        age_information(runs["age"], people_store)
