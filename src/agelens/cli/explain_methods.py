"""The method of explaining that `agelens explain` is asked for, on the model that it names."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agelens.errors import UsageError
from agelens.evaluation.heat_maps import Explainer, OcclusionExplainer, Windows
from agelens.inference.cards import Card, card_path
from agelens.inference.estimator import AgeEstimator

if TYPE_CHECKING:
    from agelens.models.attribution import ExplainedNetwork

_RUN_FILE: Final = "config.yaml"


def explainer_as_asked(
    options: argparse.Namespace, estimator: AgeEstimator
) -> tuple[Explainer, dict[str, Any]]:
    """What makes the maps, and its settings as JSON.

    Raises:
        UsageError: a gradient method for a model that torch does not hold, a backbone without
            maps, or windows that the chip cannot have.
        UnknownNameError: a fill or a layer that does not exist.
        TrainingError: the run is not finished or is damaged.
    """
    side = estimator.card.input.size
    stride = options.stride
    if options.by_age and stride is None and options.method == "occlusion":
        stride = Windows.over(side, options.patch).patch  # four times as quick, over many faces
    windows = Windows.over(side, options.patch, stride)
    stated = {
        "model": estimator.card.name,
        "method": options.method,
        "patch_px": windows.patch,
    }
    if options.method == "occlusion":
        fill = options.fill or "mean"
        stated |= {"stride_px": windows.stride, "fill": fill}
        return OcclusionExplainer(estimator, windows, fill), stated
    network = _network(options.model, estimator.card)
    return _by_gradients(options, network, windows.patch, stated)


def _by_gradients(
    options: argparse.Namespace, network: ExplainedNetwork, patch: int, stated: dict[str, Any]
) -> tuple[Explainer, dict[str, Any]]:
    # Loads torch, which occlusion does without.
    from agelens.models.attribution import (  # noqa: PLC0415
        INTEGRATED_GRADIENTS,
        ClassActivationExplainer,
        IntegratedGradientsExplainer,
    )

    if options.method == INTEGRATED_GRADIENTS:
        steps = 32 if options.steps is None else options.steps
        explain = IntegratedGradientsExplainer(network, patch, options.fill or "blur", steps)
        return explain, stated | {"fill": explain.fill, "steps": steps}
    cam = ClassActivationExplainer.of(network, options.method, patch=patch, layer=options.layer)
    return cam, stated | {"layer": cam.layer}


def _network(model: str, card: Card) -> ExplainedNetwork:
    """The run's network, with the weights that its export was made from."""
    folder = _run_folder(model, card)
    from agelens.models.attribution import ExplainedNetwork  # noqa: PLC0415
    from agelens.training.trained_run import open_run  # noqa: PLC0415

    run = open_run(folder)
    return ExplainedNetwork(run.model, run.transform)


def _run_folder(model: str, card: Card) -> Path:
    folder = card_path(model).parent
    if not (folder / _RUN_FILE).is_file():
        raise UsageError(
            f"{card.name} is known by {card.weights.name} alone, through which no gradient "
            "flows: use --method occlusion, or name the run folder of agelens train that it was "
            "exported from"
        )
    return folder
