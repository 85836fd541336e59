"""Make a model's intervals hold as often as they say, by labelled faces it was not trained on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Final

import pandas as pd

from agelens.atomic import atomic_file, atomic_folder, write_json
from agelens.errors import UsageError
from agelens.evaluation.conformal import Way
from agelens.evaluation.finished_runs import run_folder
from agelens.evaluation.given_tables import Labels, NamedTable, Reading, one_table
from agelens.evaluation.groups import FEW, group_names
from agelens.evaluation.model_calibration import (
    EVERYBODY,
    LEVELS,
    CalibrationFinding,
    calibrate_model,
    check_enough,
)
from agelens.evaluation.reports.page import Page, Section
from agelens.evaluation.reports.result import Result
from agelens.evaluation.table_calibration import LEVEL, calibrate_table, corrected_table
from agelens.evaluation.table_checks import UNKNOWN_PEOPLE
from agelens.evaluation.training_overlap import check_training_data
from agelens.inference.calibration import BinsOf, Calibration, IntervalScore
from agelens.inference.cards import CARD_FILE, MODELS, Card, card_path, read_card
from agelens.progress import Progress
from agelens.tables import GENDERS, ColumnMapping, PredictionsTable, write_predictions
from agelens.workflows.chosen import Chosen, card_of

TABLE: Final = "table"
"""The column that says of which of several tables a row is."""
_SAMPLES_A_BIN: Final = 50
_MOST_BINS: Final = 10


@dataclass(frozen=True, eq=False, repr=False)
class CalibrationReport(Result):
    """What `agelens.evaluation.calibrate` hands back; the model is as before until `apply`."""

    kind: ClassVar[str] = "calibration"
    model: str
    found: CalibrationFinding
    predictions: PredictionsTable | None = None
    notes: Sequence[str] = ()

    def apply(self) -> Path:
        """Write the calibration into the model's own card; returns the card's path.

        Raises:
            UsageError: a table was calibrated, and no model.
        """
        self._check_model()
        return write_calibration(self.model, self.found.calibration, None)

    def save(self, folder: str | Path) -> Path:
        """Write a calibrated copy of the model into a new `folder`; returns its card's path.

        Of a table, `folder` is a table's name: see `save_corrected`.
        """
        if self.predictions is not None:
            return self.save_corrected(folder)
        return write_calibration(self.model, self.found.calibration, Path(folder))

    def corrected(self, level: float = LEVEL) -> PredictionsTable:
        """The table that was calibrated, with an interval each that was found without the person.

        Raises:
            UsageError: a model was calibrated, or no interval of that level.
        """
        if self.predictions is None:
            raise UsageError("a model was calibrated: predict with it, and its intervals hold")
        return corrected_table(
            self.predictions, self.found.calibration, level=level, measured=self.found
        )

    def save_corrected(self, path: str | Path, level: float = LEVEL) -> Path:
        """Write the corrected table, and beside it the calibration; returns the latter's path."""
        path = Path(path)
        write_predictions(self.corrected(level), path)
        beside = path.with_suffix(".calibration.json")
        write_json(beside, self.document())
        return beside

    def _check_model(self) -> None:
        if self.predictions is not None:
            raise UsageError("a table was calibrated, and no model: save_corrected writes it")

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
        held = dict.fromkeys(name for one in document["held"] for name in one["groups"])
        unnamed = document["rows_of_unknown_people"]
        people = f"of {document['people']:,} people"
        if unnamed:
            people = f"({UNKNOWN_PEOPLE.format(rows=unnamed).removesuffix('.')})"
        lines = [
            f"{document['samples']:,} samples {people}, {document['left_out']:,} rows left out; "
            "coverage is of people whom the corrections were found without; 'at least' is what it "
            "truly is with 95 % confidence"
        ]
        if held:
            lines.append(f"each of these groups is held as often as promised: {', '.join(held)}")
        return [*lines, *self.notes]

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
    *data: Any,
    model: Any = None,
    score: IntervalScore = "quantile",
    bins: int | None = None,
    bins_of: BinsOf = "estimate",
    by: str | None = None,
    each_dataset: float | None = None,
    hold: Sequence[str] = (),
    levels: Sequence[float] = LEVELS,
    bias: bool = False,
    anyway: bool = False,
    allow_training_data: bool = False,
    chosen: Chosen | None = None,
    columns: ColumnMapping | None = None,
    labels: Labels | None = None,
    age_kind: str | None = None,
    mix_age_kinds: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
) -> CalibrationReport:
    """Find on labelled faces how wide intervals must be: a model's, or those of any table.

    >>> calibrate("valid.parquet", model="runs/first").save("calibrated")  # doctest: +SKIP
    >>> calibrate("theirs.csv").save_corrected("corrected.parquet")  # doctest: +SKIP

    Args:
        data: predictions with labels, or a chip store to make them from; of several each is held
            as often as promised.
        model: a name, a card, a folder with card and weights, or a run; None calibrates the
            estimates of a table, of whatever tool.
        score: ``quantile`` moves both ends by the same years, ``normalised`` widens by a factor,
            ``absolute`` puts the same years on both sides of the estimate.
        bins: of age, each corrected by itself; one for every 50 samples, at most 10, by default.
        bins_of: ``estimate``: people who look alike are held as often as promised; ``age``:
            people who are alike, so that the old and the young are not missed; a little wider.
        by: ``gender`` corrects each gender by itself.
        each_dataset: hold every dataset of the table, not only their mix, at most so far below
            the level as this share, such as 0.03.
        hold: columns such as ``gender`` and ``ethnicity``, each of whose groups is to be held as
            often as promised, not only their mix; nobody's group needs to be known in use.
        levels: shares that intervals are to hold.
        anyway: also of fewer people than the promise needs.
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
    chosen, reading = chosen or Chosen(), Reading(columns, labels, age_kind)
    card = None if model is None else card_of(model)
    given = [_predictions(one, model, chosen, reading, progress) for one in data]
    if not given:
        raise UsageError("nothing to calibrate on: name a table of predictions with ages")
    predictions, notes = _joined(given)
    if len(given) > 1:
        hold = (*hold, TABLE)
    hold = group_names(predictions.frame, hold)
    each = _SAMPLES_A_BIN * (len(GENDERS) if by else 1)
    # As many as there are samples for: one for all misses whole age bands.
    several = max(1, min(_MOST_BINS, len(predictions) // each))
    way = Way(score, several if bins is None else bins, bins_of, by, each_dataset)
    common: dict[str, Any] = {"levels": levels, "way": way, "hold": hold, "bias": bias}
    common |= {"mix_age_kinds": mix_age_kinds, "seed": seed}
    if card is None:
        if score != "quantile" or by is not None or each_dataset is not None:
            raise UsageError("score, by and each_dataset are of models; of a table, hold columns")
        found = calibrate_table(predictions, **common)
    else:
        if not allow_training_data:
            check_training_data(predictions.frame, card)
        found = calibrate_model(predictions, card, **common)
    if not anyway:  # last, as whatever else is wrong is told more exactly
        check_enough(predictions.frame, levels, hold)
    if card is None:
        return CalibrationReport(given[0].name, found, predictions, notes)
    return CalibrationReport(str(getattr(model, "folder", model)), found, notes=notes)


def _predictions(
    data: Any, model: Any, chosen: Chosen, reading: Reading, progress: Progress | None
) -> NamedTable:
    is_store = hasattr(data, "has_chip") or (isinstance(data, str | Path) and Path(data).is_dir())
    if is_store and run_folder(data) is None:
        if model is None:
            raise UsageError(f"{data} has faces and no estimates: whose? Say --model")
        from agelens.workflows.predict import predict  # noqa: PLC0415 - loads onnxruntime

        table = predict(data, model=model, chosen=chosen, own_intervals=True, progress=progress)
        return NamedTable(Path(str(data)).stem, table)
    if chosen.split is not None or chosen.part is not None:
        raise UsageError("--split and --part choose rows of a store, not of a table")
    return one_table(data, reading)


def _joined(given: Sequence[NamedTable]) -> tuple[PredictionsTable, tuple[str, ...]]:
    """One table of all, whose column `TABLE` says of which each row is."""
    if len(given) == 1:
        return given[0].predictions, given[0].notes
    names = [one.name for one in given]
    if len(set(names)) < len(names):
        names = [f"{name} {number}" for number, name in enumerate(names, 1)]
    tables = [
        replace(one.predictions, frame=_of_table(one.predictions.frame, name))
        for name, one in zip(names, given, strict=True)
    ]
    pairs = zip(names, given, strict=True)
    notes = tuple(f"{name}: {note}" for name, one in pairs for note in one.notes)
    return PredictionsTable.concat(tables), notes


def _of_table(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """Row numbers of two tables are of different people."""
    ids = frame["sample_id"].astype(object)
    return frame.assign(sample_id=name + "/" + ids).assign(**{TABLE: name})


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
                "at least": f"{100 * row['coverage_low']:.1f} %",
                "width": f"{row['width_years']:.1f}",
            }
        )
    table = pd.DataFrame(rows)
    if not measured["own_width_years"].any():  # estimates alone have no intervals of their own
        return table.drop(columns=["own coverage", "own width"])
    return table


_NOTE: Final = (
    "Calibrated afterwards, see calibration: what other notes say of intervals is of those before."
)


def write_calibration(
    model: str | Path, calibration: Calibration, folder: Path | None = None
) -> Path:
    """Write `calibration` into the card of `model`, in place of the one that it may have.

    Args:
        model: name of a packaged model, or path of a card or of a folder that holds one.
        calibration: of this model.
        folder: a new folder for a copy with the calibrated card; the model itself is left as it
            is. The copy of a packaged model points at the package's weights. None writes the
            model's own card, whole or not at all.

    Returns:
        The path of the card.

    Raises:
        UsageError: a packaged model without a folder, or a folder that is not empty.
        UnknownNameError: no such model.
        CardError: its card is malformed.
        OutputError: the card cannot be written; what was there before is kept.
    """
    path = card_path(model)
    card = read_card(path)
    document = dict(card.document) | {"calibration": dict(calibration.document)}
    if folder is None:
        if path in MODELS.values():
            raise UsageError(
                f"{card.name} is a packaged model, whose card is not written to: name a new folder "
                "for a calibrated copy with -o"
            )
        _replace(path, document)
        return path
    with atomic_folder(folder, "calibrated model") as partial:
        _copy(card, document, partial)
    return folder / CARD_FILE


def _copy(card: Card, document: Mapping[str, Any], folder: Path) -> None:
    weights = dict(document["weights"])
    if "package" not in weights:
        weights["path"] = card.weights.name
        shutil.copyfile(card.weights, folder / card.weights.name)
    notes = [*document.get("notes", ()), _NOTE]
    path = folder / CARD_FILE
    path.write_bytes(_encoded({**document, "weights": weights, "notes": notes}))
    read_card(path)


def _replace(path: Path, document: Mapping[str, Any]) -> None:
    with atomic_file(path, "the card") as partial:
        partial.write_bytes(_encoded(document))
        read_card(partial)


def _encoded(document: Mapping[str, Any]) -> bytes:
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"
