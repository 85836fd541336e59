"""`agelens evaluate`, `compare`, `gate`, `nist` and `leaderboard`: predictions are measured."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from agelens.atomic import check_new_folder
from agelens.cli.columns import column_mapping
from agelens.cli.options import (
    NonNegativeFloat,
    NonNegativeInt,
    OpenShare,
    PositiveFloat,
    PositiveInt,
    Share,
)
from agelens.cli.output import check_new, print_json, print_rows
from agelens.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

    from agelens.evaluation.reports.evaluation_page import EvaluationReport
    from agelens.evaluation.reports.result import Result

AgeKind = Literal["real", "apparent", "estimated"]


def evaluate(
    tables: list[Path],
    *,
    output: Path | None = None,
    json: bool = False,
    metrics: list[str] | None = None,
    by: list[str] | None = None,
    part: str = "test",
    columns: list[str] | None = None,
    labels: Path | None = None,
    age_kind: AgeKind | None = None,
    allow_mixed_age_kinds: bool = False,
    draws: NonNegativeInt = 1000,
    level: OpenShare = 0.95,
    seed: NonNegativeInt = 0,
    store: Path | None = None,
    root: Path | None = None,
) -> None:
    """Measure predictions of agelens or of any other tool: metrics with intervals, by group.

    Several tables stand side by side. Rows without estimate or label are counted. Without
    --output, only print.

    Args:
        tables: predictions or results of agelens estimate (.parquet, .csv, .jsonl), or runs.
        output: a new folder for the page, figures and tables.
        json: print JSON.
        metrics: only these; module.function is one of your own, f(y_true, y_pred).
        by: columns to group by, two at a time as well; those that are there by default.
        part: of a run, whose predictions are measured.
        columns: what other tools' columns are, where their names do not say it:
            estimate_years=score,gender=sex:0=male/1=female, or a YAML file of such pairs.
        labels: take labels from this table, by sample_id, or of photos by path.
        age_kind: what the ages are, where the table does not say.
        allow_mixed_age_kinds: measure real, apparent and estimated ages together.
        draws: of the bootstrap, by person; 0 for no intervals.
        level: of the intervals.
        seed: of the draws.
        store: chips of the tables' samples, for pictures of the worst errors, which are put into a
            folder of their own that is for this machine only.
        root: photos of the tables' samples, for the same.
    """
    if root is not None and store is not None:
        raise UsageError("pictures come from --root or from --store, not from both")
    if output is None and (root is not None or store is not None):
        raise UsageError("pictures of the worst errors need a folder: --output DIR")
    check_new_folder(output)
    from agelens.evaluation import evaluate as measure  # noqa: PLC0415

    found = measure(
        *tables,
        metrics=metrics,
        by=by,
        columns=column_mapping(columns),
        labels=labels,
        age_kind=age_kind,
        part=part,
        mix_age_kinds=allow_mixed_age_kinds,
        draws=draws,
        level=level,
        seed=seed,
    )
    if output is not None and (root or store):
        _with_pictures(found, output, store, root)
        if not json:
            print(f"pictures of people, for this machine only: {output / 'local-only'}")
            print(f"wrote {output / 'index.html'}")
        output = None
    from agelens.evaluation.reports.evaluation_page import metric_rows  # noqa: PLC0415

    shown = metric_rows(found.tables)
    names = [one.name for one in found.tables]
    tell(found, output, json=json, tables=[("", shown[["metric", *names]])])


def _with_pictures(
    found: EvaluationReport, output: Path, store: Path | None, root: Path | None
) -> None:
    from agelens.atomic import atomic_folder  # noqa: PLC0415
    from agelens.data.predictions.worst_pictures import (  # noqa: PLC0415 - loads OpenCV
        chips_of,
        photos_below,
        write_worst_pictures,
    )
    from agelens.data.store import ChipStore  # noqa: PLC0415
    from agelens.evaluation.all_rows import worst_errors  # noqa: PLC0415

    picture_of = (
        photos_below(root)
        if root is not None
        else chips_of(ChipStore.open(str(store), verify=False))
    )
    worst = [(one.name, worst_errors(one.predictions)) for one in found.tables]
    with atomic_folder(output, "evaluation") as folder:
        found.write(folder)
        if not write_worst_pictures(worst, picture_of, folder):
            raise UsageError(f"none of the worst errors' pictures is in {root or store}")


def compare(
    models: list[str] = [],  # noqa: B006 - never changed
    /,
    *,
    on: list[str] = [],  # noqa: B006
    train: list[Path] = [],  # noqa: B006
    seeds: PositiveInt = 1,
    runs: Path = Path("runs"),
    output: Path | None = None,
    json: bool = False,
    split: str | None = None,
    split_seed: NonNegativeInt = 0,
    fold: str | None = None,
    part: str | None = None,
    columns: list[str] | None = None,
    labels: Path | None = None,
    age_kind: AgeKind | None = None,
    allow_mixed_age_kinds: bool = False,
    draws: NonNegativeInt = 1000,
    flips: PositiveInt = 10_000,
    level: OpenShare = 0.95,
    seed: NonNegativeInt = 0,
) -> None:
    """Compare models dataset by dataset, on the samples that all of them answer.

    MAE with intervals by person, paired tests, ranks over people and seeds, what was a leak, and
    what others have published. Of runs, those of one configuration and several seeds are one model.

    Args:
        models: [NAME=]MODEL: a table of predictions of any tool, a run with its test predictions,
            or, with --on, a model's name, card or folder.
        on: STORE or STORE@PART, a chip store for all models and runs to be tried on, in place of
            the runs' own test predictions; of a run's own store its test part is taken.
        train: a configuration of agelens train, or several. Finished runs are taken as they are,
            interrupted ones resumed.
        seeds: train each with seeds 0 to N-1.
        runs: where runs are.
        output: a new folder for the page, figures and tables.
        json: print JSON.
        split: of stores: a protocol, `column`, or a folder of agelens data split.
        split_seed: of the protocol.
        fold: which split, where there are several.
        part: of stores, only this part.
        columns: other tools' columns, see agelens evaluate.
        labels: take labels from this table.
        age_kind: what the ages are, where the table does not say.
        allow_mixed_age_kinds: measure real, apparent and estimated ages together.
        draws: of the bootstrap, by person; 0 for no intervals.
        flips: of the permutation test.
        level: of the intervals.
        seed: of draws and flips.
    """
    check_new_folder(output)  # that a folder is taken is no news for after hours of training
    trained: list[Path] = []
    if train:
        from agelens.cli.training import trained_runs  # noqa: PLC0415

        trained = trained_runs(train, seeds, runs)
    from agelens.evaluation import compare as compared  # noqa: PLC0415
    from agelens.workflows.chosen import Chosen  # noqa: PLC0415

    found = compared(
        *named_models(models),
        *trained,
        on=on,
        chosen=Chosen(split, split_seed, fold, part),
        columns=column_mapping(columns),
        labels=labels,
        age_kind=age_kind,
        mix_age_kinds=allow_mixed_age_kinds,
        draws=draws,
        flips=flips,
        level=level,
        seed=seed,
    )
    from agelens.evaluation.comparison.run_differences import budget_note  # noqa: PLC0415
    from agelens.evaluation.reports.comparison_tables import (  # noqa: PLC0415
        difference_table,
        matrix_table,
    )

    names = {
        "mae": "MAE in years:",
        "false_adult@18": "People under 18 who are estimated at 18 or more:",
        "false_minor@18": "People of 18 or more who are estimated under 18:",
    }
    tables = [(words, matrix_table(found.found, name)) for name, words in names.items()]
    if found.found.differences:
        tables.insert(0, ("How the runs differ:", difference_table(found.found)))
    for note in budget_note(found.found.compared_runs, found.found.differences):
        if not json:
            print(note)
    tell(found, output, json=json, tables=tables)


def named_models(words: Sequence[str]) -> Iterator[Any]:
    """NAME=MODEL taken apart; a path that is there may have an equals sign in it."""
    for word in words:
        name, equals, model = word.partition("=")
        yield word if not equals or Path(word).exists() else {name: model}


def gate(
    table: Path,
    *,
    legal: PositiveFloat,
    max_false_accept: Share,
    from_age: NonNegativeFloat | None = None,
    confidence: Share = 0.95,
    by: list[str] = ["gender", "ethnicity"],  # noqa: B006 - never changed
    output: Path | None = None,
    json: bool = False,
    part: str = "test",
    columns: list[str] | None = None,
    labels: Path | None = None,
    age_kind: AgeKind | None = None,
    allow_mixed_age_kinds: bool = False,
) -> None:
    """Find the challenge age that keeps false accepts below a limit.

    The lowest age that a face must look, so that at most a share of those under the legal age
    pass; and what it costs those who are old enough. An age estimate is no proof of age: who is
    not let pass must be able to show one.

    Args:
        table: one model's predictions with ages, or a run.
        legal: the legal age in years.
        max_false_accept: share of people under the legal age who pass; 0.01 is one in a hundred.
        from_age: leave out younger ones: small children pass for nobody, and hide those of 17;
            five years below the legal age unless given, 0 for everybody.
        confidence: of the promise.
        by: columns to show both rates by.
        output: a new folder for the page, its figure and tables.
        json: print JSON.
        part: of a run, whose predictions are taken.
        columns: other tools' columns, see agelens evaluate.
        labels: take labels from this table.
        age_kind: what the ages are, where the table does not say.
        allow_mixed_age_kinds: measure real, apparent and estimated ages together.
    """
    check_new_folder(output)
    from agelens.evaluation import gate as find_gate  # noqa: PLC0415

    found = find_gate(
        table,
        legal=legal,
        max_false_accept=max_false_accept,
        from_age=from_age,
        confidence=confidence,
        by=by,
        columns=column_mapping(columns),
        labels=labels,
        age_kind=age_kind,
        part=part,
        mix_age_kinds=allow_mixed_age_kinds,
    )
    from agelens.evaluation.reports.gate_page import curve_rows  # noqa: PLC0415

    tell(found, output, json=json, after=[curve_rows(found.found)])


def nist(
    table: Path,
    *,
    legal: PositiveFloat = 18.0,
    challenge: list[PositiveFloat] = [18.0, 21.0, 25.0, 30.0],  # noqa: B006 - never changed
    range: str = "13-16",
    video_frames: bool = False,
    output: Path | None = None,
    json: bool = False,
    part: str = "test",
    columns: list[str] | None = None,
    labels: Path | None = None,
    age_kind: AgeKind | None = None,
    allow_mixed_age_kinds: bool = False,
    draws: NonNegativeInt = 1000,
    level: OpenShare = 0.95,
    seed: NonNegativeInt = 0,
) -> None:
    """Measure predictions as NIST's age estimation report does; these are no NIST results.

    The quantities of NIST's FATE AEV report on your own labelled predictions: error by gender and
    age, false positives and negatives of challenge ages and along all thresholds, a room for 13 to
    16, failures to process, error by region, size and pose, time, steadiness over a video's frames.

    Args:
        table: one model's predictions with ages, or a run.
        legal: the legal age in years.
        challenge: ages that a face must look to pass unasked.
        range: whole years that a room is for, both included.
        video_frames: rows are frames of videos, in the columns subject and frame: also measure how
            far a person's estimates lie apart.
        output: a new folder for the page, figures and tables.
        json: print JSON.
        part: of a run, whose predictions are taken.
        columns: other tools' columns, see agelens evaluate.
        labels: take labels from this table.
        age_kind: what the ages are, where the table does not say.
        allow_mixed_age_kinds: measure real, apparent and estimated ages together.
        draws: of the bootstrap, by person; 0 for no intervals.
        level: of the intervals.
        seed: of the draws.
    """
    first, dash, last = range.partition("-")
    if not dash or not first.strip().isdecimal() or not last.strip().isdecimal():
        raise UsageError(f"--range: whole years such as 13-16 are needed, got {range!r}")
    check_new_folder(output)
    from agelens.evaluation import nist as quantities  # noqa: PLC0415

    found = quantities(
        table,
        legal=legal,
        challenge=challenge,
        years=(int(first), int(last)),
        columns=column_mapping(columns),
        labels=labels,
        age_kind=age_kind,
        part=part,
        mix_age_kinds=allow_mixed_age_kinds,
        video_frames=video_frames,
        draws=draws,
        level=level,
        seed=seed,
    )
    tell(found, output, json=json)


def leaderboard(
    models: list[str],
    *,
    output: Path | None = None,
    only: list[str] = [],  # noqa: B006 - never changed
    overwrite: bool = False,
    no_time: bool = False,
    columns: list[str] | None = None,
    labels: Path | None = None,
    age_kind: AgeKind | None = None,
    allow_mixed_age_kinds: bool = False,
    draws: NonNegativeInt = 1000,
    level: OpenShare = 0.95,
    seed: NonNegativeInt = 0,
) -> None:
    """Write a table of finished runs and of others' predictions, as Markdown or as a page.

    Method, data, split, leaks, seeds, MAE with interval, false adults and minors, CS@5, coverage,
    size, time, and the commands that make them. Runs of one configuration and several seeds are
    one line a test set.

    Args:
        models: [NAME=]MODEL: runs of agelens train, or tables of predictions of any tool.
        output: a file such as docs/leaderboard.md, or a page .html; printed by default.
        only: lines of these test sets.
        overwrite: replace the output.
        no_time: do not measure how long a chip takes.
        columns: other tools' columns, see agelens evaluate.
        labels: take labels of tables from this table.
        age_kind: what the ages are, where a table does not say.
        allow_mixed_age_kinds: lines of real, apparent and estimated ages in one table.
        draws: of the bootstrap, by person; 0 for no intervals.
        level: of the intervals.
        seed: of the draws.
    """
    if output is not None:
        check_new(output, overwrite=overwrite)
    from agelens.atomic import write_atomically  # noqa: PLC0415
    from agelens.evaluation.given_tables import Reading  # noqa: PLC0415
    from agelens.evaluation.leaderboard import leaderboard_page  # noqa: PLC0415

    words = ["agelens", "leaderboard", *models]
    words += ["--only", ",".join(only)] if only else []
    words += ["--no-time"] if no_time else []
    words += [f"--columns={one}" for one in columns or ()]
    words += [] if labels is None else ["--labels", str(labels)]
    words += [] if age_kind is None else ["--age-kind", age_kind]
    words += ["--allow-mixed-age-kinds"] if allow_mixed_age_kinds else []
    words += [] if output is None else ["-o", str(output)]
    page, lines = leaderboard_page(
        list(named_models(models)),
        made_by=shlex.join(words),
        reading=Reading(column_mapping(columns), labels, age_kind),
        html=output is not None and output.suffix == ".html",
        only=only,
        timed=not no_time,
        mix_age_kinds=allow_mixed_age_kinds,
        draws=draws,
        level=level,
        seed=seed,
    )
    if output is None:
        print(page, end="")
        return
    write_atomically(output, page.encode())
    print(f"wrote {output}: {lines} lines")


def statement(
    model: str,
    *,
    evaluations: list[Path] = [],  # noqa: B006 - never changed
    output: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Write what is known of a model as a practice statement; it is not a certificate.

    What the model is, what was measured, what it is not fit for, data and licences, privacy and
    security, under the headings of ISO/IEC 27566-1:2025. What only you can say is left blank.

    Args:
        model: a name, a card, a folder with card and weights, or a run.
        evaluations: folders that agelens evaluate, gate, nist or stress wrote.
        output: a Markdown file; printed by default.
        overwrite: replace the output.
    """
    if output is not None:
        check_new(output, overwrite=overwrite)
    from agelens.evaluation import statement as state  # noqa: PLC0415

    found = state(model, evaluations)
    if output is None:
        print(found.text, end="")
        return
    print(f"wrote {found.save(output)}")


def tell(
    found: Result,
    output: Path | None,
    *,
    json: bool,
    tables: Sequence[tuple[str, pd.DataFrame]] = (),
    after: Sequence[pd.DataFrame] = (),
) -> None:
    """Write what was found, and print it as JSON, or as tables, sentences and more tables."""
    written = None if output is None else found.save(output)
    if json:
        print_json(found.to_dict())
        return
    for title, table in tables:
        if title:
            print(title)
        print_table(table)
    for sentence in found.sentences():
        print(sentence)
    for table in after:
        print_table(table)
    if written is not None:
        print(f"wrote {written}")


def print_table(table: pd.DataFrame) -> None:
    """A frame as a table in the terminal; nothing of an empty one."""
    if len(table):
        if "few" in table:
            name = "group" if "group" in table else table.columns[0]
            words = table[name].astype(str) + table["few"].map({True: " (few)", False: ""})
            table = table.assign(**{name: words}).drop(columns="few")
        rows = table.astype(str).to_dict("records")
        print_rows([{str(name): value for name, value in row.items()} for row in rows])
