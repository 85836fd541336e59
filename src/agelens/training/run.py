"""A run that was trained: its figures, predictions, exports, and its network opened for use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load as load_safetensors

from agelens.data.age_data import AgeData
from agelens.data.predictions import predict_store
from agelens.data.splits.resolve_split import labels_of, open_store, resolve_split, rows_by_store
from agelens.data.store import ChipStore
from agelens.data.training_input.geometry import ChipTransform
from agelens.errors import TrainingError, UsageError
from agelens.foreign_files import decoding
from agelens.inference.cards import CARD_FILE
from agelens.inference.estimator import AgeEstimator
from agelens.models.age_model import AgeModel
from agelens.tables import PredictionsTable, SampleTable, read_predictions
from agelens.training.model_parts import age_model, make_parts
from agelens.training.run_folder import RunFolder

if TYPE_CHECKING:
    from agelens.export.formats import Format, Precision
    from agelens.training.run_export import Exported


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
        UsageError: there is none, but a model perhaps.
        TrainingError: it is not.
    """
    place = RunFolder(Path(folder), command)
    if not place.config.is_file() and (place.path / CARD_FILE).is_file():
        raise UsageError(
            f"{place.path} is a model already and no run of {command}: --model takes it as it is, "
            "and what it was made from is not here to be exported again"
        )
    place.check_begun()
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
    config = place.read_config()
    method, backbone, auxiliary = make_parts(config)
    seen = data["train_ages"]
    method.fit_ages(torch.tensor(seen["years"]).repeat_interleave(torch.tensor(seen["samples"])))
    words = {column: tuple(known) for column, known in data["words"].items()}
    model = age_model(backbone.build_empty(), method, auxiliary, words, backbone)
    with decoding(place.weights, "this run's weights", TrainingError):
        model.load_state_dict(load_safetensors(place.weights.read_bytes()))
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


_SHOWN = ("samples", "mae", "bias", "cs5", "ca3")


class Run:
    """A finished run of `Engine.fit` or `agelens train`.

    Args:
        folder: of the run.

    Raises:
        TrainingError: there is none, or it is not finished.
    """

    def __init__(self, folder: str | Path) -> None:
        self._place = finished_folder(folder)
        self.folder = self._place.path
        self.summary = self._place.read(self._place.summary)

    @property
    def metrics(self) -> dict[str, dict[str, float]]:
        """The figures of each part by name: ``run.metrics["test"]["mae"]``, in years."""
        metrics: dict[str, dict[str, float]] = self.summary["metrics"]
        return metrics

    @cached_property
    def history(self) -> pd.DataFrame:
        """One row an epoch: losses, learning rate, figures of the valid part, seconds."""
        return self._place.read_epochs()

    @cached_property
    def config(self) -> dict[str, Any]:
        """The configuration that it was trained with, in plain types."""
        return self._place.read_config()

    @cached_property
    def trained(self) -> TrainedRun:
        """The network with the best epoch's weights, and all that its folder says of it."""
        return open_run(self.folder)

    def predict(
        self, data: AgeData | ChipStore | str | Path | None = None, *, part: str | None = None
    ) -> PredictionsTable:
        """What the run's network says of every chip of `data`, with labels beside it.

        Args:
            data: chips to predict; by default those of the run itself, whose valid and test
                predictions are read from its folder.
            part: only this part of the split: that of an `AgeData`, else the run's own.

        Raises:
            UsageError: no such part; or chips that were cut in another way than the run's.
            DatasetError: no store.
        """
        if data is None:
            kept = self._kept(part)
            if kept is not None:
                return kept
        chips = data if isinstance(data, AgeData) else self._own_data(data)
        stores = [open_store(folder, verify=False) for folder in chips.folders]
        table = labels_of(stores, chips.labels_file)
        rows = np.ones(len(table), dtype=bool)
        if part is not None:
            split = resolve_split(table, chips.split_options)
            if part not in split.part_names:
                raise UsageError(f"no part {part!r}; parts: {', '.join(split.part_names)}")
            rows = split.codes_for(table) == split.part_names.index(part)
        estimator = self.estimator()
        chosen = SampleTable(table.frame[rows], table.extra)
        return PredictionsTable.concat(
            [
                _predicted(estimator, store, piece, part)
                for store, piece in rows_by_store(chosen, stores)
            ]
        )

    def export(
        self,
        format: Format | Literal["int8"] = "onnx",
        folder: str | Path | None = None,
        *,
        precision: Precision = "single",
        template: str | None = None,
        margin: float = 0.0,
    ) -> Exported:
        """Write the network as weights with their card, once they are proved to answer alike.

        Args:
            format: ``onnx``, ``torchscript``, or ``int8`` for ONNX that reckons in whole numbers.
            folder: where to; by default into the run's own.
            precision: ``single``, ``half``, or ``int8``.
            template: which frame chips show that their owner had aligned, see `export_run`.
            margin: how much more than that frame.

        Raises:
            AgelensError: see `agelens.training.run_export.export_run`.
        """
        from agelens.training.run_export import export_run  # noqa: PLC0415 - loads ONNX

        if format == "int8":
            format, precision = "onnx", "int8"
        return export_run(
            self.trained,
            format=format,
            precision=precision,
            output=folder,
            template=template,
            margin=margin,
        )

    def estimator(self, **options: Any) -> AgeEstimator:
        """An `agelens.AgeEstimator` with this run's network, exported first where it is not.

        Args:
            options: those of `AgeEstimator`, such as ``detector`` or ``mirror``.
        """
        if not (self.folder / CARD_FILE).is_file():
            self.export()
        return AgeEstimator(str(self.folder), **options)

    def __repr__(self) -> str:
        told = ", ".join(f"{part} MAE {one['mae']:.2f}" for part, one in self.metrics.items())
        epochs = self.summary["epochs"]
        return (
            f"Run({str(self.folder)!r}: {self.summary['method']} on {self.summary['backbone']}, "
            f"{epochs} {'epoch' if epochs == 1 else 'epochs'}, {told} years)"
        )

    def _repr_html_(self) -> str:
        """The figures as a table below the run's name, as notebooks show it."""
        rows = {p: {name: one[name] for name in _SHOWN} for p, one in self.metrics.items()}
        table = pd.DataFrame.from_dict(rows, orient="index").to_html(float_format="{:.3f}".format)
        name = repr(self).replace("&", "&amp;").replace("<", "&lt;")
        return f"<p>{name}</p>{table}"

    def _kept(self, part: str | None) -> PredictionsTable | None:
        """The predictions that the run left, of one part or of all; None where it left none."""
        parts = list(self.metrics) if part is None else [part]
        files = [self._place.predictions(one) for one in parts]
        if not all(file.is_file() for file in files):
            return None
        return PredictionsTable.concat([read_predictions(file) for file in files])

    def _own_data(self, other: ChipStore | str | Path | None) -> AgeData:
        """The run's data, or another store on the run's split."""
        own = {**self.config["data"], "augmentations": None}
        if other is not None:
            folder = other.folder if isinstance(other, ChipStore) else other
            own |= {"stores": str(folder), "table": None}
        return AgeData(**own)


def load_run(folder: str | Path) -> Run:
    """The finished run in `folder`, of `Engine.fit` or of `agelens train`.

    Raises:
        TrainingError: there is none, or it is not finished.
    """
    return Run(folder)


def _predicted(
    estimator: AgeEstimator, store: ChipStore, samples: SampleTable, part: str | None
) -> PredictionsTable:
    """Predictions of the rows of `store` that `samples` names, with the labels of `samples`."""
    places = pd.Index(store.table.frame["sample_id"]).get_indexer(samples.frame["sample_id"])
    found = predict_store(estimator, store, rows=places).with_labels(samples)
    frame = found.frame if part is None else found.frame.assign(split=part)
    return PredictionsTable(frame, found.distribution, found.scale)
