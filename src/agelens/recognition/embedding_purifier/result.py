"""A trained purifier: how it was chosen, and its folder of network, card and history."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import pandas as pd
import torch
from onnx import checker
from torch import Tensor, nn

from agelens.atomic import atomic_folder, write_json
from agelens.errors import ExportError
from agelens.recognition.embedding_purifier.branches import (
    IdentityBranch,
    PurifierSettings,
    TrainedAgeBranch,
)
from agelens.recognition.embedding_purifier.faces import IdentityFaces
from agelens.recognition.embedding_purifier.purifiers import purifier_class
from agelens.recognition.onnx_graph import OnnxGraph
from agelens.recognition.purifier import CARD, FORMAT, INPUT, NETWORK, OUTPUT
from agelens.sessions import flush_subnormals, open_session
from agelens.version import __version__

_FARTHEST: Final = 1e-4
"""Of the two answers for one face, in a unit vector's length."""


def branch_as_onnx(branch: IdentityBranch, examples: Tensor) -> bytes:
    """A network from `embedding` [N, D] to `purified` [N, D], rows of length 1 both.

    Args:
        branch: trained.
        examples: embeddings [N, D] on which both must answer alike.

    Raises:
        ExportError: they do not.
    """
    shape = ["N", examples.shape[1]]
    model = _graph(branch).model("agelens purifier", (INPUT, shape), (OUTPUT, shape))
    checker.check_model(model)
    flush_subnormals(model)
    content: bytes = model.SerializeToString()
    _compare(branch.eval(), content, examples)
    return content


def _graph(branch: IdentityBranch) -> OnnxGraph:
    graph = OnnxGraph()
    scaled = graph.add("Mul", INPUT, graph.constant(np.float32(branch.scale)))
    impurity = scaled
    for block in branch.unit.impurity:
        norm, _, linear = cast(nn.Sequential, block)
        values = _normed(graph, impurity, cast(nn.BatchNorm1d, norm))
        impurity = _linear(graph, values, cast(nn.Linear, linear))
    purified = graph.add("Sub", scaled, impurity) if branch.unit.blocks else scaled
    graph.add("LpNormalization", purified, output=OUTPUT, axis=1, p=2)
    return graph


def _normed(graph: OnnxGraph, values: str, norm: nn.BatchNorm1d) -> str:
    """Batch norm by its running statistics, then ReLU."""
    kept = {name: value.detach().double() for name, value in norm.state_dict().items()}
    factor = kept["weight"] / (kept["running_var"] + norm.eps).sqrt()
    shift = kept["bias"] - kept["running_mean"] * factor
    moved = graph.add("Mul", values, graph.constant(factor.float().numpy()))
    return graph.add("Relu", graph.add("Add", moved, graph.constant(shift.float().numpy())))


def _linear(graph: OnnxGraph, values: str, linear: nn.Linear) -> str:
    weight, bias = (graph.constant(one.detach().numpy()) for one in (linear.weight, linear.bias))
    return graph.add("Gemm", values, weight, bias, transB=1)


@torch.no_grad()
def _compare(branch: IdentityBranch, content: bytes, examples: Tensor) -> None:
    session = open_session(content, name="the purifier")
    answer = session.run([OUTPUT], {INPUT: examples.numpy()})[0]
    expected = nn.functional.normalize(branch(examples)).numpy()
    apart = float(np.linalg.norm(answer - expected, axis=1).max())
    if not apart <= _FARTHEST:
        raise ExportError(
            f"the purifier answers {apart:.1e} apart as ONNX, more than {_FARTHEST:g}; "
            "nothing was written"
        )


HISTORY: Final = "history.csv"
_EXAMPLES: Final = 256


@dataclass(frozen=True, slots=True)
class EpochRow:
    """Means over one epoch's batches, and `across_age` on validation people after it."""

    epoch: int
    margin_loss: float
    penalty: float
    adversary_loss: float
    across_age: float


@dataclass(frozen=True, slots=True)
class WeightTried:
    """What validation says of one weight: the score of its best epoch, 0 being no training."""

    weight: float
    best_epoch: int
    across_age: float
    rows: tuple[EpochRow, ...]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Purification:
    """A trained identity branch, and how it was chosen.

    `faces` are those it was trained on, `raw_across_age` is what the extractor's own embedding
    scores on the same validation pairs. `people` counts those of each part.
    """

    branch: IdentityBranch
    faces: IdentityFaces
    settings: PurifierSettings
    age: TrainedAgeBranch
    tried: tuple[WeightTried, ...]
    chosen: WeightTried
    raw_across_age: float
    people: dict[str, int]

    def sentences(self) -> list[str]:
        """What it was trained on, and what was chosen."""
        faces, chosen = self.faces, self.chosen
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in faces.age_kinds.items())
        lines = [
            f"{len(faces):,} faces of {len(faces.names):,} people, ages: {kinds}; "
            f"{self.people['valid']:,} of the people validate",
            *(f"{count:,} rows left out: {why}" for why, count in faces.left_out.items()),
            f"the age branch tells {100 * self.age.accuracy:.0f} % of their age groups (the most "
            f"frequent one: {100 * self.age.majority:.0f} %)",
            f"weight {chosen.weight:g}, epoch {chosen.best_epoch}: at 1 false match in 1,000 among "
            f"faces of one age, {100 * chosen.across_age:.1f} % of pairs far apart in age match "
            f"({100 * self.raw_across_age:.1f} % before)",
        ]
        if not chosen.best_epoch:
            lines.append(
                "no epoch validated better than no change, so this purifier changes nothing"
            )
        return lines

    def to_frame(self) -> pd.DataFrame:
        """A row for each weight and epoch: losses, and `across_age` on validation people."""
        rows = [{"weight": one.weight} | asdict(row) for one in self.tried for row in one.rows]
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        return f"<Purification by {self.settings.purifier}: {self.sentences()[-1]}>"

    def _repr_html_(self) -> str:
        lines = "".join(f"<p>{escape(line)}</p>" for line in self.sentences())
        return lines + self.to_frame().to_html(index=False)

    def write(self, folder: Path) -> None:
        """Write network, history and card, all of them or, where it is killed, nothing.

        Args:
            folder: a new one. `agelens.recognition.purifier.Purifier.open` opens it, and it is an
                extractor by its name.

        Raises:
            ExportError: the network does not answer as ONNX as it did.
            UsageError: the folder holds something.
            OutputError: a file cannot be written.
        """
        network = branch_as_onnx(self.branch, torch.from_numpy(self.faces.vectors[:_EXAMPLES]))
        with atomic_folder(folder, "purifier") as partial:
            (partial / NETWORK).write_bytes(network)
            self.to_frame().to_csv(partial / HISTORY, index=False)
            write_json(partial / CARD, _document(self, hashlib.sha256(network).hexdigest()))


def _document(purification: Purification, sha256: str) -> dict[str, Any]:
    faces, settings = purification.faces, purification.settings
    kind = purifier_class(settings.purifier)
    return {
        "format": FORMAT,
        "name": f"{faces.model.name}+{kind.name}",
        "version": f"seed {settings.seed}",
        "sha256": sha256,
        "base": asdict(faces.model),
        "purifier": {"name": kind.name, "summary": kind.summary, "paper": kind.paper},
        "settings": asdict(settings),
        "chosen": _chosen(purification),
        "trained_on": {
            "faces": len(faces),
            "people": purification.people,
            "datasets": list(faces.datasets),
            "age_kinds": dict(faces.age_kinds),
            "age_models": list(faces.age_models),
            "left_out": dict(faces.left_out),
        },
        "licences": {
            "code": "MIT (agelens)",
            "weights": "for whoever trained them to say, within the terms of the data and of the "
            "extractor's weights",
            "data": "see the datasets named above",
        },
        "agelens_version": __version__,
    }


def _chosen(purification: Purification) -> dict[str, Any]:
    chosen, age = purification.chosen, purification.age
    return {
        "weight": chosen.weight,
        "epoch": chosen.best_epoch,
        "across_age": chosen.across_age,
        "across_age_raw": purification.raw_across_age,
        "across_age_by_weight": {f"{one.weight:g}": one.across_age for one in purification.tried},
        "age_group_accuracy": age.accuracy,
        "age_group_majority": age.majority,
    }
