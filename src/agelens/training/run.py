"""A finished run, opened for use: its network with the best epoch's weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors

from agelens.data.training_input.geometry import ChipTransform
from agelens.errors import TrainingError
from agelens.models.age_model import AgeModel
from agelens.training.configuration import make_parts, parse_run, plain_config, run_parser
from agelens.training.model_parts import age_model
from agelens.training.run_folder import RunFolder


@dataclass(frozen=True, slots=True)
class TrainedRun:
    """The network of a run in evaluation mode, and the documents that its folder holds.

    `transform` makes the network's input of the chips of `store_settings`, uint8 [B, 3, S, S].
    """

    folder: RunFolder
    model: AgeModel
    transform: ChipTransform
    store_settings: Mapping[str, Any]
    config: dict[str, Any]
    data: dict[str, Any]
    environment: dict[str, Any]
    summary: dict[str, Any]


def load_run(folder: str | Path) -> TrainedRun:
    """The finished run in `folder`.

    Nothing that the run was trained on needs to be there any more: stores, starting weights.

    Raises:
        TrainingError: the run is not finished, or one of its files is absent, damaged, or
            not the others'.
    """
    place = RunFolder(Path(folder))
    if place.state != "finished":
        raise TrainingError(
            f"{place.path} holds no finished run of agelens train (it is {place.state}); finish "
            "it with agelens train --resume"
        )
    data = place.read(place.data)
    parser = run_parser()
    config = parse_run(parser, ["--config", str(place.config)])
    method, backbone, auxiliary = make_parts(config)
    seen = data["train_ages"]
    method.fit_ages(torch.tensor(seen["years"]).repeat_interleave(torch.tensor(seen["samples"])))
    words = {column: tuple(known) for column, known in data["words"].items()}
    model = age_model(backbone.build_empty(), method, auxiliary, words, backbone.entry())
    try:
        model.load_state_dict(load_safetensors(place.weights.read_bytes()))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise TrainingError(f"{place.weights} does not hold this run's weights: {error}") from error
    model.eval()
    return TrainedRun(
        folder=place,
        model=model,
        transform=_transform(data["input"]),
        store_settings=data["stores"][0]["settings"],
        config=plain_config(config),
        data=data,
        environment=place.read(place.environment),
        summary=place.read(place.summary),
    )


def _transform(stated: Mapping[str, Any]) -> ChipTransform:
    return ChipTransform(
        stated["size"],
        enlarge=stated["resized"] / stated["size"],
        mean=stated["mean"],
        std=stated["std"],
    )
