"""A trained purifier as a folder: the network, its card, and how training went."""

from __future__ import annotations

import csv
import hashlib
import io
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Final

import torch

from agelens.recognition.embeddings.purifier import CARD, FORMAT, NETWORK
from agelens.recognition.light.faces import IdentityFaces
from agelens.recognition.light.onnx_branch import branch_as_onnx
from agelens.recognition.light.purifiers import purifier_class
from agelens.recognition.light.train import Purification
from agelens.recognition.light.training import EpochRow
from agelens.version import __version__
from agelens.whole_file import write_json, write_whole

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
    write_whole(folder / NETWORK, network)
    write_whole(folder / HISTORY, _history(purification))
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
