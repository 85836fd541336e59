"""What `agelens calibrate` does: labelled predictions in, a calibrated card out."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, Final

import pandas as pd

from agelens.cli.read_tables import read_predictions_as_asked
from agelens.cli.registries import show
from agelens.errors import UsageError
from agelens.evaluation.calibrate import CalibrationFinding, calibrate
from agelens.evaluation.conformal import Way
from agelens.evaluation.groups import FEW
from agelens.evaluation.training_overlap import check_training_data
from agelens.inference.calibrated_cards import write_calibration
from agelens.inference.cards import MODELS, Card, card_path, load_card
from agelens.tables import GENDERS, PredictionsTable

_SAMPLES_A_BIN: Final = 50
_MOST_BINS: Final = 10


def run(options: argparse.Namespace) -> int:
    """Calibrate, write the card, and say what became of the intervals."""
    card = load_card(options.model)
    _check_output(options, card)
    predictions = _predictions(options)
    if not options.allow_training_data:
        check_training_data(predictions.frame, card)
    found = calibrate(
        predictions,
        card,
        levels=options.levels,
        way=Way(
            options.score,
            _bins(options, len(predictions)),
            options.bins_of,
            options.by,
            options.each_dataset,
        ),
        bias=options.bias,
        mix_age_kinds=options.allow_mixed_age_kinds,
        seed=options.seed,
    )
    path = write_calibration(options.model, found.calibration, options.output)
    if options.json:
        print(json.dumps({"card": str(path), **found.calibration.document}, ensure_ascii=False))
        return 0
    _tell(found)
    print(f"wrote {path}")
    return 0


def _bins(options: argparse.Namespace, samples: int) -> int:
    """As asked; else as many as there are samples for: one for all misses whole age bands."""
    if options.bins is not None:
        return int(options.bins)
    each = _SAMPLES_A_BIN * (len(GENDERS) if options.by else 1)
    return max(1, min(_MOST_BINS, samples // each))


def _check_output(options: argparse.Namespace, card: Card) -> None:
    """Before any work: a packaged card is not written to, and a folder must be new."""
    if options.output is None and card_path(options.model) in MODELS.values():
        raise UsageError(
            f"{card.name} is a packaged model, whose card is not written to: name a new folder for "
            "a calibrated copy with -o"
        )
    folder = options.output
    if folder is not None and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists and is not empty; name a new folder")


def _predictions(options: argparse.Namespace) -> PredictionsTable:
    data: Path = options.data
    if not data.is_dir():
        if options.split is not None or options.part is not None:
            raise UsageError("--split and --part choose rows of a store; --data is a table")
        return read_predictions_as_asked(data, options)
    # Only for a store: a table is calibrated without onnxruntime.
    from agelens.cli.predict_run import predicted_store  # noqa: PLC0415

    return predicted_store(options.model, data, options, own=True)


def _tell(found: CalibrationFinding) -> None:
    measured = found.measured
    everybody = measured[measured["grouping"] == "everybody"]
    show(_rows(everybody, "level"), as_json=False)
    at = max(everybody["level"], key=lambda level: (level == 0.9, level))
    rest = measured[(measured["level"] == at) & (measured["grouping"] != "everybody")]
    print(f"{100 * at:g} % intervals by true age (few: under {FEW} samples):")
    show(_rows(rest, "group"), as_json=False)
    document = found.calibration.document
    print(
        f"{document['samples']:,} samples of {document['people']:,} people, "
        f"{document['left_out']:,} rows left out; coverage is of people whom the corrections "
        "were found without"
    )


def _rows(measured: pd.DataFrame, first: str) -> list[dict[str, Any]]:
    return [
        {
            first: f"{100 * row['level']:g} %" if first == "level" else _name(row),
            "samples": f"{row['samples']:,}",
            "own coverage": f"{100 * row['own_coverage']:.1f} %",
            "own width": f"{row['own_width_years']:.1f}",
            "coverage": f"{100 * row['coverage']:.1f} %",
            "width": f"{row['width_years']:.1f}",
        }
        for _, row in measured.iterrows()
    ]


def _name(row: pd.Series) -> str:
    return f"{row['group']} (few)" if row["samples"] < FEW else str(row["group"])
