"""Evaluation of predictions from Python: tables or runs in, a result out.

What a result can be asked for is in `agelens.evaluation.reports.result`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agelens.evaluation.finished_runs import TEST
from agelens.evaluation.given_tables import Labels, Reading, named_tables, one_table
from agelens.evaluation.metrics import MetricLike
from agelens.evaluation.metrics.classification import AgeClasses
from agelens.tables import ColumnMapping

if TYPE_CHECKING:
    from agelens.evaluation.reports.evaluation_page import EvaluationReport
    from agelens.evaluation.reports.gate_page import GateReport
    from agelens.evaluation.reports.nist_page import NistReport


def evaluate(
    *tables: Any,
    metrics: Sequence[MetricLike] | None = None,
    by: Sequence[str] | None = None,
    columns: ColumnMapping | None = None,
    labels: Labels | None = None,
    age_kind: str | None = None,
    part: str = TEST,
    age_classes: AgeClasses | None = None,
    mix_age_kinds: bool = False,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> EvaluationReport:
    """Measure predictions: metrics with intervals, of all rows and by group.

    >>> evaluate("ages.csv", labels="labels.csv").to_frame()  # doctest: +SKIP

    Args:
        tables: one or several, side by side: paths of predictions or of what `agelens estimate`
            wrote, pandas frames, `PredictionsTable`s, runs or their folders; a mapping names them.
        metrics: names out of `agelens.evaluation.metrics.METRICS`, or functions
            ``f(y_true, y_pred)``, which are called by their own name; None takes all that the
            columns allow.
        by: columns to group by, two at a time as well; None takes those that are there.
        columns: from names of this package to the table's: ``{"estimate_years": "pred"}``.
        labels: a table of labels to take in place of the predictions' own.
        age_kind: what the ages are, where the table does not say: real, apparent or estimated.
        part: of a run, whose predictions are measured.
        age_classes: what `class_accuracy` and `one_off_accuracy` count in.
        mix_age_kinds: whether real, apparent and estimated ages may be measured together.
        draws: of the bootstrap, by person; 0 leaves the intervals out.
        level: of the intervals.
        seed: of the draws.

    Raises:
        TableError: a table cannot be read, or has no labels.
        UnknownNameError: there is no such metric or column.
        UsageError: what is given cannot be measured together; `draws` or `level` is none.
    """
    from agelens.evaluation.by_group import evaluated_table  # noqa: PLC0415
    from agelens.evaluation.groups import group_names  # noqa: PLC0415

    measured = [
        evaluated_table(
            one.name,
            one.predictions,
            metrics=metrics,
            by=by if by is None else group_names(one.predictions.frame, by),
            age_classes=age_classes,
            notes=one.notes,
            mix_age_kinds=mix_age_kinds,
            draws=draws,
            level=level,
            seed=seed,
        )
        for one in named_tables(tables, Reading(columns, labels, age_kind, part))
    ]
    from agelens.evaluation.reports.evaluation_page import EvaluationReport  # noqa: PLC0415

    return EvaluationReport(measured)


def gate(
    table: Any,
    *,
    legal: float,
    max_false_accept: float,
    from_age: float | None = None,
    confidence: float = 0.95,
    by: Sequence[str] = ("gender", "ethnicity"),
    columns: ColumnMapping | None = None,
    labels: Labels | None = None,
    age_kind: str | None = None,
    part: str = TEST,
    mix_age_kinds: bool = False,
) -> GateReport:
    """Find the challenge age that keeps false accepts below a limit, and what it costs.

    >>> gate("test.parquet", legal=18, max_false_accept=0.01)  # doctest: +SKIP

    Args:
        table: one model's predictions with ages; see `evaluate`.
        legal: the legal age in years.
        max_false_accept: highest accepted share of people under the legal age who pass.
        from_age: younger people are not counted: small children pass for nobody, and hide the
            rate of those of 16 and 17. Five years below the legal age unless given.
        confidence: of the promise.
        by: columns to show both rates by.
        columns: see `evaluate`.
        labels: see `evaluate`.
        age_kind: see `evaluate`.
        part: of a run, whose predictions are taken.
        mix_age_kinds: whether real, apparent and estimated ages may be measured together.

    Raises:
        TableError: a table cannot be read, or has no ages.
        UsageError: nobody in the table is under the legal age, or nobody is old enough; a number
            is out of range; see `evaluate`.
    """
    from agelens.evaluation.age_gates import find_challenge_age  # noqa: PLC0415
    from agelens.evaluation.groups import group_names  # noqa: PLC0415
    from agelens.evaluation.reports.gate_page import GateReport  # noqa: PLC0415
    from agelens.evaluation.table_checks import (  # noqa: PLC0415
        check_unlabelled,
        check_unmeasurable,
    )

    given = one_table(table, Reading(columns, labels, age_kind, part))
    predictions = given.predictions
    check_unlabelled(predictions.frame)
    check_unmeasurable(predictions.frame, mix_age_kinds=mix_age_kinds)
    found = find_challenge_age(
        predictions,
        legal_years=legal,
        max_false_accept=max_false_accept,
        confidence=confidence,
        youngest_years=from_age,
        groups=group_names(predictions.frame, by),
    )
    return GateReport(found, given.notes)


def nist(
    table: Any,
    *,
    legal: float = 18.0,
    challenge: Sequence[float] = (18.0, 21.0, 25.0, 30.0),
    years: tuple[int, int] = (13, 16),
    columns: ColumnMapping | None = None,
    labels: Labels | None = None,
    age_kind: str | None = None,
    part: str = TEST,
    mix_age_kinds: bool = False,
    video_frames: bool = False,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> NistReport:
    """Measure predictions as NIST's age estimation report does; these are no NIST results.

    >>> nist("test.parquet", challenge=(25, 30))  # doctest: +SKIP

    Args:
        table: one model's predictions with ages; see `evaluate`.
        legal: the legal age in years.
        challenge: ages that a face must look to pass unasked.
        years: first and last whole year of the people whom a room is for.
        columns: see `evaluate`.
        labels: see `evaluate`.
        age_kind: see `evaluate`.
        part: of a run, whose predictions are taken.
        mix_age_kinds: whether real, apparent and estimated ages may be measured together.
        video_frames: rows are frames of videos, told by the columns `subject` and `frame`: also
            measure how far a person's estimates lie apart.
        draws: of the bootstrap, by person; 0 leaves the intervals out.
        level: of the intervals.
        seed: of the draws.

    Raises:
        TableError: a table cannot be read, or has no ages.
        UsageError: a challenge age below the legal one; see `nist_quantities`.
    """
    from agelens.evaluation.nist_errors import Resampling  # noqa: PLC0415
    from agelens.evaluation.nist_quantities import YearRange, nist_quantities  # noqa: PLC0415
    from agelens.evaluation.reports.nist_page import NistReport  # noqa: PLC0415

    given = one_table(table, Reading(columns, labels, age_kind, part))
    found = nist_quantities(
        given.predictions,
        legal_years=legal,
        challenges=challenge,
        years=YearRange(*years),
        mix_age_kinds=mix_age_kinds,
        resampling=Resampling(draws, level, seed),
        video_frames=video_frames,
    )
    return NistReport(found, given.notes)
