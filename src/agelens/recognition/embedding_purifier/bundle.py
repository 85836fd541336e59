"""A trained purifier as a folder: the network, its card, and how training went."""

from __future__ import annotations

import csv
import hashlib
import io
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper
from torch import Tensor, nn

from agelens.atomic import write_atomically, write_json
from agelens.errors import ExportError
from agelens.recognition.embedding_purifier.faces import IdentityFaces
from agelens.recognition.embedding_purifier.purifiers import purifier_class
from agelens.recognition.embedding_purifier.settings import IdentityBranch
from agelens.recognition.embedding_purifier.train import Purification
from agelens.recognition.embedding_purifier.training import EpochRow
from agelens.recognition.embeddings.purifier import CARD, FORMAT, INPUT, NETWORK, OUTPUT
from agelens.sessions import flush_subnormals, open_session
from agelens.version import __version__

_FARTHEST: Final = 1e-4
"""Of the two answers for one face, in a unit vector's length."""
_OPSET: Final = 17
_IR_VERSION: Final = 8


def branch_as_onnx(branch: IdentityBranch, examples: Tensor) -> bytes:
    """A network from `embedding` [N, D] to `purified` [N, D], rows of length 1 both.

    Args:
        branch: trained.
        examples: embeddings [N, D] on which both must answer alike.

    Raises:
        ExportError: they do not.
    """
    model = _Graph(branch).model(examples.shape[1])
    checker.check_model(model)
    flush_subnormals(model)
    content: bytes = model.SerializeToString()
    _compare(branch.eval(), content, examples)
    return content


class _Graph:
    """Nodes and constants, as they come."""

    def __init__(self, branch: IdentityBranch) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        scaled = self._add("Mul", INPUT, self._constant(np.float32(branch.scale)))
        impurity = scaled
        for block in branch.unit.impurity:
            norm, _, linear = cast(nn.Sequential, block)
            impurity = self._linear(self._normed(impurity, norm), linear)
        purified = self._add("Sub", scaled, impurity) if branch.unit.blocks else scaled
        self._add("LpNormalization", purified, out=OUTPUT, axis=1, p=2)

    def model(self, features: int) -> ModelProto:
        """The whole of it."""
        ends = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", features])
            for name in (INPUT, OUTPUT)
        ]
        graph = helper.make_graph(
            self.nodes, "agelens purifier", ends[:1], ends[1:], self.constants
        )
        opset = helper.make_opsetid("", _OPSET)
        return helper.make_model(graph, ir_version=_IR_VERSION, opset_imports=[opset])

    def _normed(self, values: str, norm: nn.Module) -> str:
        """Batch norm by its running statistics, then ReLU."""
        kept = {name: value.detach().double() for name, value in norm.state_dict().items()}
        factor = kept["weight"] / (kept["running_var"] + cast(nn.BatchNorm1d, norm).eps).sqrt()
        shift = kept["bias"] - kept["running_mean"] * factor
        moved = self._add("Mul", values, self._constant(factor.float().numpy()))
        return self._add("Relu", self._add("Add", moved, self._constant(shift.float().numpy())))

    def _linear(self, values: str, linear: nn.Module) -> str:
        kept = {name: value.detach().numpy() for name, value in linear.state_dict().items()}
        weight, bias = self._constant(kept["weight"]), self._constant(kept["bias"])
        return self._add("Gemm", values, weight, bias, transB=1)

    def _constant(self, values: NDArray[np.float32] | np.float32) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(values), name))
        return name

    def _add(self, kind: str, *inputs: str, out: str = "", **attributes: int) -> str:
        out = out or f"value_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [out], **attributes))
        return out


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


def write_bundle(purification: Purification, faces: IdentityFaces, folder: Path) -> None:
    """Write network, history and, last, the card: a folder with a card is a whole one.

    Args:
        purification: what was trained.
        faces: on which.
        folder: made where it is absent.

    Raises:
        ExportError: the network does not answer as ONNX as it did.
        OutputError: a file cannot be written.
    """
    network = branch_as_onnx(purification.branch, torch.from_numpy(faces.vectors[:_EXAMPLES]))
    write_atomically(folder / NETWORK, network)
    write_atomically(folder / HISTORY, _history(purification))
    write_json(folder / CARD, _document(purification, faces, hashlib.sha256(network).hexdigest()))


def _document(purification: Purification, faces: IdentityFaces, sha256: str) -> dict[str, Any]:
    settings = purification.settings
    kind = purifier_class(settings.purifier)
    return {
        "format": FORMAT,
        "name": f"{faces.model.name}+{kind.name}",
        "version": f"seed {settings.seed}",
        "sha256": sha256,
        "base": faces.model.to_json(),
        "purifier": {"name": kind.name, "summary": kind.summary, "paper": kind.paper},
        "settings": settings.to_json(),
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


def _history(purification: Purification) -> bytes:
    text = io.StringIO()
    names = ["weight", *(field.name for field in fields(EpochRow))]
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    for one in purification.tried:
        writer.writerows({"weight": one.weight, **asdict(row)} for row in one.rows)
    return text.getvalue().encode()
