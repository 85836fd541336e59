"""IEFP's two branches, tiny, on an embedding that stays as it is; `purification.py` runs it.

The trunk is fixed, so what it says of each face and of its mirror image is made once, and stands
byte for byte in the left and the right half of a picture: `agelens identity train`'s own data,
flips, steps and checkpoints then do as they do with photos, and a flip is the mirror image's
embedding. Each branch has a residual block of its own on the trunk and a self-purification unit;
the age branch is trained first and frozen, and its whole embedding goes into the bound.

    agelens identity embed TABLE --crops concatenated -o WORK/DATASET-mirrored.parquet
    python benchmarks/purification.py ../shared/data --work WORK --purifiers two-branches
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from agelens.data.store import prepare
from agelens.models.backbones import Backbone
from agelens.recognition import IdentityData, IdentityRun, train_identity
from agelens.recognition.embedding_purifier.faces import across_age, identity_faces
from agelens.recognition.embedding_table import EmbeddingTable
from agelens.recognition.purification import PurifiedBranch
from agelens.recognition.training.branch_choice import BranchChoice
from agelens.recognition.training.configuration import CLUBOptions, SGDOptions
from agelens.tables import SampleTable
from agelens.training.optimizers import MultiStep
from agelens.training.run_folder import RunFolder
from agelens.training.run_options import CheckpointTimes

NETWORKS: Final = ("two-branches", "two-branches-none")
"""With age branch and bound, and the identity branch alone, without its unit."""

WIDTH: Final = 128
SIDE: Final = 32
"""Of the pictures: a half has 1,536 bytes, 512 of which are an embedding's."""

BOUND_WEIGHTS: Final = (0.001, 0.03, 0.3)
"""The paper's, and larger ones."""

RATES: Final = (0.1, 0.01)
EPOCHS: Final = {"lfw": 100, "both": 100, "fgnet": 400}
BATCH: Final = {"lfw": 256, "both": 256, "fgnet": 64}
_HALF: Final = SIDE * SIDE // 2 * 3
_BYTES: Final = 4 * WIDTH


class CachedTrunk(Backbone):
    """The embedding in the left half of the picture, and a residual block that learns.

    Args:
        hidden: width of the block.
    """

    smallest = SIDE

    def __init__(self, *, hidden: int = 256) -> None:
        super().__init__()
        self.name = "cached-trunk"
        self.features = self.early_features = WIDTH
        self.size = SIDE
        self.mean, self.std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
        self.stages = (("block.",),)
        self.block = nn.Sequential(
            nn.Linear(WIDTH, hidden), nn.BatchNorm1d(hidden), nn.PReLU(), nn.Linear(hidden, WIDTH)
        )

    def with_early(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """See `Backbone`."""
        left = images[..., : SIDE // 2].permute(0, 2, 3, 1).reshape(len(images), _HALF)
        stored = (255 * left[:, :_BYTES]).round().to(torch.uint8).contiguous()
        features = self.of_vectors(stored.view(torch.float32))
        return features, features

    def of_vectors(self, vectors: Tensor) -> Tensor:
        """Features [B, 128] of the trunk's embeddings, which have length 1."""
        scaled = WIDTH**0.5 * vectors
        features: Tensor = scaled + self.block(scaled)
        return features


def picture(plain: NDArray[np.float32], mirrored: NDArray[np.float32]) -> bytes:
    """The PNG that holds both embeddings of a face."""
    halves = []
    for vector in (plain, mirrored):
        padded = np.zeros(_HALF, np.uint8)
        padded[:_BYTES] = np.frombuffer(np.ascontiguousarray(vector, "<f4").tobytes(), np.uint8)
        halves.append(padded.reshape(SIDE, SIDE // 2, 3))
    rgb = np.concatenate([halves[0], halves[1][:, ::-1]], axis=1)
    return cv2.imencode(".png", rgb[..., ::-1])[1].tobytes()


def both_crops(table: EmbeddingTable) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The embeddings [N, 128] of faces and of their mirror images, out of concatenated crops."""
    return tuple(
        half / np.linalg.norm(half, axis=1, keepdims=True)
        for half in np.split(table.vectors, 2, axis=1)
    )


def make_store(folder: Path, table: EmbeddingTable) -> Path:
    """The faces of `table` (concatenated crops) as a chip store, made once."""
    table = table.take(table.has_embedding)
    plain, mirrored = both_crops(table)
    frame = table.frame[["sample_id", "dataset", "age_years", "age_kind", "subject"]].copy()
    frame["path"] = [str(row) for row in range(len(frame))]

    def source(_: str, path: str) -> bytes:
        return picture(plain[int(path)], mirrored[int(path)])

    samples = SampleTable.from_columns({name: frame[name].tolist() for name in frame})
    prepare(samples, folder, root=source, aligned=True, size=SIDE, encoding="png")
    return folder


class Chosen(NamedTuple):
    """The branch that validated best, as vectors to vectors, with what was chosen."""

    branch: PurifiedBranch
    settings: dict[str, Any]

    @torch.no_grad()
    def __call__(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Purified [N, 128] of length 1."""
        return purified(self.branch, vectors)


@torch.no_grad()
def purified(branch: PurifiedBranch, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The trunk's embeddings [N, 128] through a trained branch, of length 1."""
    features = branch.backbone.of_vectors(torch.from_numpy(np.ascontiguousarray(vectors)))
    return nn.functional.normalize(branch.purification(features)).numpy()


def trained(
    name: str,
    source: str,
    train: Sequence[EmbeddingTable],
    choose: EmbeddingTable,
    *,
    seed: int,
    work: Path,
) -> Chosen:
    """Both stages for every weight and rate, in folders below `work` that a killed run goes on in.

    Args:
        name: of `NETWORKS`.
        source: what `train` is called in `EPOCHS`.
        train: a table for each dataset, of concatenated crops.
        choose: faces of other people, one crop.
        seed: of every random choice.
        work: an own folder.
    """
    stores = [
        str(make_store(work / f"store-{number}", table)) for number, table in enumerate(train)
    ]
    bounded = name == NETWORKS[0]
    age = work / "age" / "weights.safetensors"
    if bounded:
        train_identity(_run("age", stores, source, seed), age.parent, quiet=True)
    faces = identity_faces(choose, least_people=2)
    pairs = across_age(faces)
    tried = []
    for weight in BOUND_WEIGHTS if bounded else (0.0,):
        for rate in RATES:
            run = _run("identity", stores, source, seed, rate=rate, weight=weight, age=age)
            folder = work / f"identity-{weight:g}-{rate:g}"
            train_identity(run, folder, quiet=True, export=False)
            branch = run.branch.build_empty()
            branch.load_state_dict(load_file(RunFolder(folder, "").weights))
            branch.eval()
            score = pairs.true_match_rate(purified(branch, faces.vectors))
            settings = {"bound_weight": weight, "lr": rate, "across_age": score}
            tried.append(Chosen(branch, settings))
    best = max(tried, key=lambda one: one.settings["across_age"])
    facts = {"raw_across_age": pairs.true_match_rate(faces.vectors), "epochs": EPOCHS[source]}
    return best._replace(settings=best.settings | facts)


def _run(
    stage: Any,
    stores: list[str],
    source: str,
    seed: int,
    *,
    rate: float = 0.1,
    weight: float = 0.001,
    age: Path | None = None,
) -> IdentityRun:
    def branch(weights: str = "random", unit: Any = "one") -> BranchChoice:
        return BranchChoice(
            f"{__name__}.CachedTrunk", weights=weights, size=None, purification=unit
        )

    epochs = EPOCHS[source]
    return IdentityRun(
        stage=stage,
        seed=seed,
        data=IdentityData(
            stores, batch_size=BATCH[source], workers=0, verify=False, lone_identities="drop"
        ),
        branch=branch(unit="one" if weight else "none"),
        age_branch=branch(str(age)) if age is not None and weight else branch(),
        club=CLUBOptions(bound_weight=weight),
        optimizer=SGDOptions(lr=rate),
        schedule=MultiStep([epochs * share // 25 for share in (10, 18, 22)], 0.1),
        clip_centres=True,
        initial="iefp",
        checkpoints=CheckpointTimes(every_epochs=25),
        trainer={"max_epochs": epochs, "accelerator": "cpu"},
    )
