"""A finished run to a folder with weights and card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from agelens.data.age_data import AgeData
from agelens.data.splits.resolve_split import TRAIN, VALID
from agelens.data.training_input.batches import SplitDataset
from agelens.data.training_input.chip_dataset import NetworkInput
from agelens.errors import TrainingError, UsageError
from agelens.export.bundle import CardFacts, Parity, export_model
from agelens.export.export_network import TrainedInput
from agelens.export.formats import Format, Precision, check_choice
from agelens.foreign_files import decoding
from agelens.models.age_model import AgeModel
from agelens.models.mean_model import MeanModel, mean_weights
from agelens.records import RGB, Floats
from agelens.training.checkpoints import config_diff, data_identity
from agelens.training.model_parts import BackboneChoice
from agelens.training.run import TrainedRun, open_run
from agelens.training.run_folder import RunFolder

_CUT_BY = ("alignment", "template", "size", "margin", "fill")
UNKNOWN_TERMS = "not stated"


def trained_input_of(run: TrainedRun, frame: tuple[str, float] | None = None) -> TrainedInput:
    """How the run's network saw chips; raises as `require_same_crop` and `TrainedInput` do."""
    settings = [store["settings"] for store in run.data["stores"]]
    return TrainedInput(require_same_crop(settings, run.folder), run.transform, frame)


def require_same_crop(
    settings: Sequence[Mapping[str, Any]], folder: RunFolder
) -> Mapping[str, Any]:
    """The settings of a run's stores, which all have to cut chips alike.

    Raises:
        UsageError: they were cut in different ways, so that no single way is the model's.
    """
    ways = {tuple(one.get(key) for key in _CUT_BY) for one in settings}
    if len(ways) > 1:
        raise UsageError(
            f"{folder.path} was trained on stores with chips cut in {len(ways)} ways "
            f"({', '.join(_CUT_BY)}: {sorted(ways, key=str)}), so nobody can say how to cut a "
            "photo for it; prepare the stores alike and train again"
        )
    return settings[0]


def card_from_run(run: TrainedRun) -> CardFacts:
    """What the run's folder says of its model.

    Raises:
        TrainingError: one of its files is damaged.
    """
    with decoding(run.folder.path, "a finished run", TrainingError):
        return _card_facts(run)


def _card_facts(run: TrainedRun) -> CardFacts:
    train = run.data["parts"][TRAIN]
    method, backbone = run.model.method, run.config["backbone"]
    label = BackboneChoice(backbone["name"]).label
    return CardFacts(
        name=run.folder.path.resolve().name,
        summary=f"{method.name} on {label}, trained on {', '.join(train['datasets'])}",
        method=method.name,
        backbone=label,
        paper=method.paper,
        departures=tuple(map(str, method.departures)),
        age_kind=_counted(train["age_kinds"]),
        trained_on=_trained_on(run),
        metrics=_metrics(run),
        licences={
            "code": "MIT (agelens)",
            "weights": "for whoever trained them to say, within the terms of the data and of the "
            f"starting weights ({backbone['weights']})",
            "data": "; ".join(f"{name}: {terms}" for name, terms in _terms(run).items()),
        },
        notes=[*run.data["split"]["notes"], *run.data["notes"]],
    )


def _trained_on(run: TrainedRun) -> list[dict[str, Any]]:
    split = run.data["split"]
    terms = _terms(run)
    return [
        {
            "dataset": name,
            "samples": samples,
            "split": f"{split['protocol'] or split['name']}, part {TRAIN}",
            "split_seed": split["seed"],
            "licence": terms[name],
        }
        for name, samples in run.data["parts"][TRAIN]["datasets"].items()
    ]


def _metrics(run: TrainedRun) -> list[dict[str, Any]]:
    """Each part's figures, with the table that they come from, in the run's folder."""
    folder = run.folder.path.resolve().name
    return [
        {"part": part, **figures, "table": f"{folder}/{run.folder.predictions(part).name}"}
        for part, figures in run.summary["metrics"].items()
    ]


def _terms(run: TrainedRun) -> dict[str, str]:
    """What the owner of each training dataset allows, as its store has it."""
    stated: dict[str, str] = {}
    for store in run.data["stores"]:
        stated |= store["settings"]["licences"]
    return {name: stated.get(name, UNKNOWN_TERMS) for name in run.data["parts"][TRAIN]["datasets"]}


def _counted(kinds: dict[str, int]) -> str:
    return " and ".join(f"{kind} ({samples} samples)" for kind, samples in kinds.items())


_BATCH = 32


class PartSample:
    """Batches of chips uint8 [N, S, S, 3] and ages in years [N]; may be drawn repeatedly.

    Args:
        part: what the chips are of.
        at_most: how many, spread evenly over the part; None for all.
    """

    def __init__(self, part: SplitDataset, at_most: int | None = None) -> None:
        self.part = part
        count = len(part) if at_most is None else min(at_most, len(part))
        self.places = np.linspace(0, len(part) - 1, count).round().astype(np.int64)

    def __len__(self) -> int:
        return len(self.places)

    def __iter__(self) -> Iterator[tuple[RGB, Floats]]:
        ages = self.part.age_years.numpy().astype(np.float64)
        for start in range(0, len(self.places), _BATCH):
            places = self.places[start : start + _BATCH]
            yield np.stack([self._chip(int(place)) for place in places]), ages[places]

    def _chip(self, place: int) -> RGB:
        home = int(np.searchsorted(self.part.starts, place, side="right")) - 1
        data = self.part.datasets[home]
        return data.store[int(data.rows[place - self.part.starts[home]])]


Average = Literal["answers", "weights"]
COMPARED = 256
"""So many chips of the validation part prove an export; int8 takes the whole part."""

CALIBRATED = 256
"""So many chips of the training part tell int8 what values to expect."""


@dataclass(frozen=True, slots=True)
class Exported:
    """Where an export lies, and how it compares with the trained network."""

    folder: Path
    format: Format
    precision: Precision
    parity: Parity


def export_run(
    source: str | Path | TrainedRun,
    *,
    format: Format = "onnx",
    precision: Precision = "single",
    output: str | Path | None = None,
    template: str | None = None,
    margin: float = 0.0,
) -> Exported:
    """Export the best epoch of a run, and prove it on validation chips.

    Args:
        source: a finished run, or its folder; the stores that it was trained on have to be
            where they were.
        format: see `export_model`.
        precision: see `export_model`.
        output: where to; by default `default_folder` in the run's.
        template: which frame chips show that their owner had aligned; photos are cut by it.
        margin: how much more than that frame they show.

    Raises:
        UsageError: a choice that there is not; stores whose chips were cut in different ways; a
            template or margin for chips that were cut here.
        UnknownNameError: no such template.
        TrainingError: the run is not finished or damaged, or its data are not those any more.
        DatasetError: a store is gone or damaged.
        ExportError: the export does not answer as the run's network does.
        OutputError: it cannot be written.
    """
    check_choice(format, precision)
    run = source if isinstance(source, TrainedRun) else open_run(source)
    if template is None and margin:
        raise UsageError("a margin goes with a template: give --template as well")
    trained_input = trained_input_of(run, None if template is None else (template, margin))
    facts = card_from_run(run)
    if template is not None:
        told = f"photos are cut by {template} with margin {margin:g}, as whoever exported it said"
        facts = replace(facts, notes=[*facts.notes, f"Trained on aligned chips; {told}."])
    parts = _data_of(run).parts
    target = Path(output) if output else run.folder.path / default_folder(format, precision)
    parity = export_model(
        run.model,
        facts,
        trained_input,
        target,
        chips=PartSample(parts[VALID], None if precision == "int8" else COMPARED),
        format=format,
        precision=precision,
        calibration=(chips for chips, _ in PartSample(parts[TRAIN], CALIBRATED)),
    )
    return Exported(target, format, precision, parity)


def export_mean(
    folders: Sequence[str | Path],
    output: str | Path,
    *,
    average: Average = "answers",
    shares: Sequence[float] | None = None,
    format: Format = "onnx",
    precision: Precision = "single",
) -> Exported:
    """Export several runs as one network; see `MeanModel` and `mean_weights`.

    Args:
        folders: of finished runs on chips that were cut alike; the parts of the first one's data
            prove the export, and its card is what the new one starts from.
        output: where to; its name becomes the model's.
        average: the runs' ``answers``, or their ``weights``.
        shares: how much each run's weights count; all alike by default.
        format: see `export_model`.
        precision: see `export_model`.

    Raises:
        UsageError: as `export_run` does, and where the runs saw chips in different ways or
            their answers cannot be averaged.
        TrainingError, DatasetError, ExportError, OutputError: as `export_run` does.
    """
    check_choice(format, precision)
    runs = [open_run(folder) for folder in folders]
    inputs = [trained_input_of(run) for run in runs]
    if any(one.to_json() != inputs[0].to_json() for one in inputs):
        raise UsageError("runs that are averaged in one network have to see the same chips alike")
    first, target = runs[0], Path(output)
    facts = card_from_run(first)
    names = ", ".join(run.folder.path.resolve().name for run in runs)
    models = [run.model for run in runs]
    if average == "weights":
        model: AgeModel | MeanModel = mean_weights(models, shares)
        summary = f"mean weights of {len(runs)} runs, each {facts.summary}"
        told = f" by {', '.join(f'{share:g}' for share in shares)}" if shares else ""
        note = (
            f"The weights are the mean of those of the runs {names}{told}; metrics are each "
            "run's own."
        )
    else:
        model = MeanModel(models)
        summary = f"mean of {len(runs)} networks, each {facts.summary}"
        note = f"The answer is the mean of those of the runs {names}."
    facts = replace(
        facts,
        name=target.resolve().name,
        summary=summary,
        metrics=[metric for run in runs for metric in _metrics(run)],
        notes=[*facts.notes, note],
    )
    parts = _data_of(first).parts
    parity = export_model(
        model,
        facts,
        inputs[0],
        target,
        chips=PartSample(parts[VALID], None if precision == "int8" else COMPARED),
        format=format,
        precision=precision,
        calibration=(chips for chips, _ in PartSample(parts[TRAIN], CALIBRATED)),
    )
    return Exported(target, format, precision, parity)


def default_folder(format: Format, precision: Precision) -> str:
    """Where in a run's folder an export goes: ONNX in single precision into the folder itself.

    ``agelens estimate --model RUN`` then takes it; others are ``onnx-half``, ``onnx-int8``,
    ``torchscript``, and ``torchscript-half``.
    """
    if precision != "single":
        return f"{format}-{precision}"
    return "." if format == "onnx" else format


def _data_of(run: TrainedRun) -> AgeData:
    """The run's data opened again, with its parts as they were.

    Raises:
        TrainingError: they have changed since.
    """
    model = run.model
    # Steps that only augment are not needed, nor whole hashes: the identity is compared.
    data = AgeData(**{**run.config["data"], "augmentations": None, "verify": False})
    backbone = model.backbone
    scale = model.method.stated_scale
    data.open(NetworkInput(backbone.size, backbone.mean, backbone.std, scale, {}))
    now = data_identity(data)["parts"]
    was = {
        name: {key: run.data["parts"].get(name, {}).get(key) for key in part}
        for name, part in now.items()
    }
    if changed := config_diff(was, now, "data"):
        raise TrainingError(
            f"the data of {run.folder.path} are no longer those that it was trained on "
            f"({'; '.join(changed)}), so an export cannot be compared with the run's network; "
            "give them back"
        )
    return data
