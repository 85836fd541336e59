"""A finished run to a folder with weights and card."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agelens.errors import TrainingError
from agelens.export.bundle import export_model
from agelens.export.formats import Format, Precision, check_choice
from agelens.export.parity import Parity
from agelens.export.part_sample import PartSample
from agelens.export.run_facts import facts_of, trained_input_of
from agelens.training.age_data import AgeData
from agelens.training.chosen_split import TRAIN, VALID
from agelens.training.data_identity import data_identity, differences
from agelens.training.network_input import NetworkInput
from agelens.training.trained_run import TrainedRun, load_run

COMPARED = 256
"""So many chips of the validation part prove an export; int8 takes the whole part."""

CALIBRATED = 256
"""So many chips of the training part tell int8 what values to expect."""


@dataclass(frozen=True, slots=True)
class ExportedRun:
    """Where an export lies, and how it compares with the trained network."""

    folder: Path
    format: Format
    precision: Precision
    parity: Parity


def export_run(
    folder: str | Path,
    *,
    format: Format = "onnx",
    precision: Precision = "single",
    output: str | Path | None = None,
) -> ExportedRun:
    """Export the best epoch of the run in `folder`, and prove it on validation chips.

    Args:
        folder: of a finished run of `agelens train`; the stores that it was trained on have
            to be where they were.
        format: see `export_model`.
        precision: see `export_model`.
        output: where to; by default `default_folder` in the run's.

    Raises:
        UsageError: a choice that there is not; stores whose chips were cut in different ways.
        TrainingError: the run is not finished or damaged, or its data are not those any more.
        DatasetError: a store is gone or damaged.
        ExportError: the export does not answer as the run's network does.
        OutputError: it cannot be written.
    """
    check_choice(format, precision)
    run = load_run(folder)
    trained_input = trained_input_of(run)
    parts = _data_of(run).parts
    target = Path(output) if output else run.folder.path / default_folder(format, precision)
    parity = export_model(
        run.model,
        facts_of(run),
        trained_input,
        target,
        chips=PartSample(parts[VALID], None if precision == "int8" else COMPARED),
        format=format,
        precision=precision,
        calibration=(chips for chips, _ in PartSample(parts[TRAIN], CALIBRATED)),
    )
    return ExportedRun(target, format, precision, parity)


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
    data.open(NetworkInput(backbone.size, backbone.mean, backbone.std, model.method.scale, {}))
    now = data_identity(data)["parts"]
    was = {
        name: {key: run.data["parts"].get(name, {}).get(key) for key in part}
        for name, part in now.items()
    }
    if changed := differences(was, now, "data"):
        raise TrainingError(
            f"the data of {run.folder.path} are no longer those that it was trained on "
            f"({'; '.join(changed)}), so an export cannot be compared with the run's network; "
            "give them back"
        )
    return data
