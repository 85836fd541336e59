"""A finished run, opened for use: its network with the best epoch's weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors

from agelens.data.training_input.geometry import ChipTransform
from agelens.errors import TrainingError
from agelens.models.age_model import AgeModel
from agelens.training.model_parts import age_model, make_parts
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


def finished_folder(folder: str | Path, command: str = "agelens train") -> RunFolder:
    """The folder of a run that is finished.

    Raises:
        TrainingError: it is not.
    """
    place = RunFolder(Path(folder), command)
    if place.state != "finished":
        raise TrainingError(
            f"{place.path} holds no finished run of {command} (it is {place.state}); finish it "
            f"with {command} --resume"
        )
    return place


def open_run(folder: str | Path) -> TrainedRun:
    """The network of the finished run in `folder`.

    Nothing that the run was trained on needs to be there any more: stores, starting weights.

    Raises:
        TrainingError: the run is not finished, or one of its files is absent, damaged, or
            not the others'.
        UsageError: its configuration names a class that cannot be imported here.
    """
    place = finished_folder(folder)
    data = place.read(place.data)
    try:
        config = yaml.safe_load(place.config.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TrainingError(f"{place.config} is no configuration of a run: {error}") from error
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
        transform=stated_transform(data["input"]),
        store_settings=data["stores"][0]["settings"],
        config=config,
        data=data,
        environment=place.read(place.environment),
        summary=place.read(place.summary),
    )


def stated_transform(stated: Mapping[str, Any]) -> ChipTransform:
    """What makes a network's input of chips, as `data.json` of a run states it."""
    return ChipTransform(
        stated["size"],
        enlarge=stated["resized"] / stated["size"],
        mean=stated["mean"],
        std=stated["std"],
    )
