"""Make a model's intervals hold as often as they say, by labelled faces it was not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import pandas as pd

from agelens.errors import UsageError
from agelens.evaluation.conformal import Way
from agelens.evaluation.given_tables import Labels, Reading, one_table
from agelens.evaluation.groups import FEW
from agelens.evaluation.model_calibration import (
    EVERYBODY,
    LEVELS,
    CalibrationFinding,
    calibrate_model,
)
from agelens.evaluation.reports.page import Page, Section
from agelens.evaluation.reports.result import Result
from agelens.evaluation.training_overlap import check_training_data
from agelens.inference.calibrated_cards import write_calibration
from agelens.inference.calibration import BinsOf, IntervalScore
from agelens.progress import Progress
from agelens.tables import GENDERS, ColumnMapping, PredictionsTable
from agelens.workflows.chosen import Chosen, card_of

_SAMPLES_A_BIN: Final = 50
_MOST_BINS: Final = 10


@dataclass(frozen=True, eq=False, repr=False)
class CalibrationReport(Result):
    """What `agelens.evaluation.calibrate` hands back; the model is as before until `apply`."""

    kind: ClassVar[str] = "calibration"
    model: str
    found: CalibrationFinding

    def apply(self) -> Path:
        """Write the calibration into the model's own card; returns the card's path."""
        return write_calibration(self.model, self.found.calibration, None)

    def save(self, folder: str | Path) -> Path:
        """Write a calibrated copy of the model into a new `folder`; returns its card's path."""
        return write_calibration(self.model, self.found.calibration, Path(folder))

    def document(self) -> dict[str, Any]:
        """What the card then says."""
        return dict(self.found.calibration.document)

    def to_frame(self) -> pd.DataFrame:
        """Coverage and width, before and after, a row for each level and group."""
        return self.found.measured

    def levels(self) -> pd.DataFrame:
        """In words, a row for each level, of everybody."""
        measured = self.found.measured
        return _in_words(measured[measured["grouping"] == EVERYBODY], "level")

    def groups(self) -> pd.DataFrame:
        """In words, a row for each group, at 90 % or the highest level there is."""
        measured = self.found.measured
        at = max(measured["level"], key=lambda level: (level == 0.9, level))
        rest = measured[(measured["level"] == at) & (measured["grouping"] != EVERYBODY)]
        return _in_words(rest, f"at {100 * at:g} %")

    def sentences(self) -> list[str]:
        """On whom it was measured."""
        document = self.found.calibration.document
        return [
            f"{document['samples']:,} samples of {document['people']:,} people, "
            f"{document['left_out']:,} rows left out; coverage is of people whom the corrections "
            "were found without"
        ]

    def page(self) -> Page:
        """Both tables."""
        by_age = f"few: under {FEW} samples"
        return Page(
            f"Calibration of {self.model}",
            [
                Section("What was found", self.sentences(), [("", self.levels())]),
                Section("By true age", [by_age], [("", self.groups())]),
            ],
        )


def calibrate(
    data: Any,
    *,
    model: Any,
    score: IntervalScore = "quantile",
    bins: int | None = None,
    bins_of: BinsOf = "estimate",
    by: str | None = None,
    each_dataset: float | None = None,
    levels: Sequence[float] = LEVELS,
    bias: bool = False,
    allow_training_data: bool = False,
    chosen: Chosen | None = None,
    columns: ColumnMapping | None = None,
    labels: Labels | None = None,
    age_kind: str | None = None,
    mix_age_kinds: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
) -> CalibrationReport:
    """Find on labelled faces how wide a model's intervals must be.

    >>> calibrate("valid.parquet", model="runs/first").save("calibrated")  # doctest: +SKIP

    Args:
        data: the model's predictions with labels, or a chip store to make them from.
        model: a name, a card, a folder with card and weights, or a run.
        score: ``quantile`` moves both ends by the same years, ``normalised`` widens by a factor,
            ``absolute`` puts the same years on both sides of the estimate.
        bins: of age, each corrected by itself; one for every 50 samples, at most 10, by default.
        bins_of: ``estimate``: people who look alike are held as often as promised; ``age``:
            people who are alike, so that the old and the young are not missed; a little wider.
        by: ``gender`` corrects each gender by itself.
        each_dataset: hold every dataset of the table, not only their mix, at most so far below
            the level as this share, such as 0.03.
        levels: shares that intervals are to hold.
        bias: also remove bias, for people of the same mix of ages as here.
        allow_training_data: calibrate on what the model may have been trained on.
        chosen: which of a store's faces.
        columns: see `agelens.evaluation.evaluate`.
        labels: see `agelens.evaluation.evaluate`.
        age_kind: see `agelens.evaluation.evaluate`.
        mix_age_kinds: whether real, apparent and estimated ages may be taken together.
        seed: of the folds that coverage is measured by.
        progress: called with faces done and faces in all.

    Raises:
        TableError: no row has an age.
        UsageError: another model's predictions; the model was trained on them; too few rows; see
            `calibrate_model`.
    """
    card = card_of(model)
    predictions = _predictions(
        data, model, chosen or Chosen(), Reading(columns, labels, age_kind), progress
    )
    if not allow_training_data:
        check_training_data(predictions.frame, card)
    each = _SAMPLES_A_BIN * (len(GENDERS) if by else 1)
    # As many as there are samples for: one for all misses whole age bands.
    several = max(1, min(_MOST_BINS, len(predictions) // each))
    found = calibrate_model(
        predictions,
        card,
        levels=levels,
        way=Way(score, several if bins is None else bins, bins_of, by, each_dataset),
        bias=bias,
        mix_age_kinds=mix_age_kinds,
        seed=seed,
    )
    return CalibrationReport(str(getattr(model, "folder", model)), found)


def _predictions(
    data: Any, model: Any, chosen: Chosen, reading: Reading, progress: Progress | None
) -> PredictionsTable:
    is_store = hasattr(data, "has_chip") or (isinstance(data, str | Path) and Path(data).is_dir())
    if is_store:
        from agelens.workflows.predict import predict  # noqa: PLC0415 - loads onnxruntime

        return predict(data, model=model, chosen=chosen, own_intervals=True, progress=progress)
    if chosen.split is not None or chosen.part is not None:
        raise UsageError("--split and --part choose rows of a store, not of a table")
    return one_table(data, reading).predictions


def _in_words(measured: pd.DataFrame, first: str) -> pd.DataFrame:
    rows = []
    for _, row in measured.iterrows():
        few = " (few)" if row["samples"] < FEW else ""
        level = f"{100 * row['level']:g} %"
        rows.append(
            {
                first: level if first == "level" else f"{row['group']}{few}",
                "samples": f"{row['samples']:,}",
                "own coverage": f"{100 * row['own_coverage']:.1f} %",
                "own width": f"{row['own_width_years']:.1f}",
                "coverage": f"{100 * row['coverage']:.1f} %",
                "width": f"{row['width_years']:.1f}",
            }
        )
    return pd.DataFrame(rows)
