"""What a run leaves for use: weights, predictions, figures."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from safetensors.torch import save

from agelens.models.age_model import AgeModel
from agelens.records import Floats
from agelens.tables import write_predictions
from agelens.training.chosen_split import TEST, TRAIN, VALID
from agelens.training.run_folder import RunFolder
from agelens.training.run_options import RunOptions
from agelens.training.run_predictions import predictions_of
from agelens.training.validation_metrics import validation_metrics


def weights_file(model: AgeModel) -> bytes:
    """Weights and buffers of `model` as safetensors, without features of training faces."""
    shared = copy.deepcopy(model)
    shared.forget_faces()
    return save({name: value.contiguous() for name, value in shared.state_dict().items()})


def origin(run: RunOptions) -> dict[str, Any]:
    """Method, backbone and training data in words."""
    datasets = run.data.parts[TRAIN].table.frame["dataset"].unique()
    return {
        "method": run.method.name,
        "backbone": run.backbone.name,
        "train_data": "+".join(sorted(map(str, datasets))),
    }


def write_predictions_of(
    answers: Mapping[str, Floats], run: RunOptions, folder: RunFolder
) -> dict[str, Any]:
    """Write the predictions of each part; returns what the summary says of them.

    Raises:
        OutputError: a table cannot be written.
    """
    made_by = origin(run)
    metrics = {}
    for part, rows in answers.items():
        samples = run.data.parts[part].table
        table = predictions_of(
            rows,
            run.method.spec,
            samples,
            split=VALID if part == VALID else TEST,
            model=folder.path.name,
            seed=run.seed,
            **made_by,
        )
        write_predictions(table, folder.predictions(part))
        estimates, ages = table.frame["estimate_years"], table.frame["age_years"]
        metrics[part] = {"samples": len(table), **validation_metrics(estimates, ages)}
    return {**made_by, "metrics": metrics}
