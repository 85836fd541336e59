"""From a run of `agelens identity train` to a folder with the identity branch and its card."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors.torch import load as load_safetensors

from agelens.errors import ExportError, TrainingError
from agelens.export.bundle import CardFacts, put_in_place, trial_folder
from agelens.export.export_network import ExportNetwork, TrainedInput
from agelens.export.formats import WEIGHTS_FILE, to_onnx
from agelens.foreign_files import decoding
from agelens.inference.cards import CARD_FILE
from agelens.inference.runtimes import OnnxRuntime
from agelens.recognition.extractors.network import TASK
from agelens.recognition.purification import PurifiedBranch
from agelens.recognition.training.branch_choice import BranchChoice
from agelens.training.run import finished_folder, stated_transform
from agelens.training.run_export import UNKNOWN_TERMS, require_same_crop
from agelens.training.run_folder import RunFolder

PAPER: Final = (
    "Xie, Pun and Lam, Implicit and Explicit Feature Purification for Age-Invariant Facial "
    "Representation Learning, IEEE TIFS 17, 2022"
)
_LEAST_COSINE: Final = 0.9999


def export_identity_run(folder: RunFolder) -> Path:
    """Write the identity branch of a finished run as ONNX with its card into the run's folder.

    The network takes normalised chips [N, 3, S, S] of the run's stores and answers with
    embeddings [N, D] of any length. The run's data need not be there any more.

    Raises:
        TrainingError: the run is not finished, of the age stage, or damaged.
        UsageError: stores whose chips were cut in different ways.
        ExportError: the exported network does not answer as the trained one; nothing is left.
        OutputError: it cannot be written.
    """
    finished_folder(folder.path, folder.command)
    summary, data = folder.read(folder.summary), folder.read(folder.data)
    if summary.get("stage") != "identity":
        raise TrainingError(f"{folder.path} is of the age stage: its branch embeds no identity")
    branch, transform = _branch(folder), stated_transform(data["input"])
    settings = require_same_crop([store["settings"] for store in data["folders"]], folder)
    trained_input = TrainedInput(settings, transform)
    facts = _facts(folder, data, summary)
    export_branch(branch, facts, trained_input, folder.path)
    return folder.path


def export_branch(
    branch: PurifiedBranch, facts: CardFacts, trained_input: TrainedInput, folder: Path
) -> dict[str, Any]:
    """Write a branch that embeds identity as ONNX with its card; what the card says of that.

    Raises:
        ExportError: the exported network does not answer as `branch`; nothing is left.
        OutputError: it cannot be written.
    """
    network = ExportNetwork(branch, trained_input)
    content: bytes = to_onnx(network).SerializeToString()
    cosine = _least_cosine(network, content, branch.features)
    made = {"format": "onnx", "precision": "single", "least_cosine": cosine}
    card = facts.to_json(
        weights={
            "path": WEIGHTS_FILE["onnx"],
            "sha256": hashlib.sha256(content).hexdigest(),
        },
        chips=trained_input.to_json(),
        export=made,
        spec=None,
    )
    card |= {
        "task": TASK,
        "output": {"kind": TASK, "dimension": branch.features},
        "verification": None,
    }
    with trial_folder(folder) as trial:
        (trial / WEIGHTS_FILE["onnx"]).write_bytes(content)
        text = json.dumps(card, indent=2, ensure_ascii=False, allow_nan=False)
        (trial / CARD_FILE).write_text(f"{text}\n", encoding="utf-8")
        put_in_place(trial, folder, WEIGHTS_FILE["onnx"])
    return made


def _branch(folder: RunFolder) -> PurifiedBranch:
    config = folder.read_config()
    branch = BranchChoice(**config["branch"]).build_empty()
    with decoding(folder.weights, "this run's weights", TrainingError):
        branch.load_state_dict(load_safetensors(folder.weights.read_bytes()))
    return branch.eval()


def _facts(folder: RunFolder, data: dict[str, Any], summary: dict[str, Any]) -> CardFacts:
    environment = folder.read(folder.environment)
    terms: dict[str, str] = {}
    for store in data["folders"]:
        terms |= store["settings"]["licences"]
    datasets = data["datasets"]
    licences = {dataset: terms.get(dataset, UNKNOWN_TERMS) for dataset in datasets}
    return CardFacts(
        name=folder.path.resolve().name,
        summary=f"identity branch on {environment['backbone']}, {summary['identities']} people "
        f"of {', '.join(datasets)}",
        method="iefp",
        backbone=environment["backbone"],
        paper=PAPER,
        age_kind=" and ".join(data["age_kinds"]) or "none",
        trained_on=[
            {"dataset": dataset, "samples": samples, "licence": licences[dataset]}
            for dataset, samples in datasets.items()
        ],
        metrics=[],
        licences={
            "code": "MIT (agelens)",
            "weights": "for whoever trained them to say, within the terms of the data and of the "
            "starting weights",
            "data": "; ".join(f"{dataset}: {stated}" for dataset, stated in licences.items()),
        },
        notes=[
            "It tells people apart: see the README for what recognition must not be used for.",
            "No test is part of a run: agelens identity test measures it.",
        ],
    )


def _least_cosine(network: ExportNetwork, content: bytes, features: int) -> float:
    """The least cosine of an exported embedding with the trained network's, on noise.

    Raises:
        ExportError: it is below what rounding explains.
    """
    chips = network.example()
    with torch.no_grad():
        trained = network(chips).numpy().astype(np.float64)
    run = OnnxRuntime(content, name="the export", size=network.chip_size, width=features)
    exported = np.asarray(run(chips.numpy()), dtype=np.float64)
    norms = np.linalg.norm(trained, axis=1) * np.linalg.norm(exported, axis=1)
    least = float(np.min((trained * exported).sum(1) / norms))
    if not least >= _LEAST_COSINE:
        raise ExportError(
            f"the exported branch has cosine {least:.6f} with the trained one, below "
            f"{_LEAST_COSINE}; nothing was written"
        )
    return round(least, 9)
