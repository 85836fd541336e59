"""`agelens data`: from a downloaded folder, or one's own photos, to chips, splits and reports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import agelens
from agelens import data
from agelens.atomic import OUTPUTS
from agelens.cli.columns import column_mapping
from agelens.cli.options import NonNegativeInt, OneOf, OpenShare, PositiveInt
from agelens.cli.output import check_new, check_new_table, print_rows
from agelens.errors import UsageError
from agelens.foreign_files import read_yaml
from agelens.progress import progress_bars

if TYPE_CHECKING:
    from agelens.data import SampleTable
    from agelens.data.splits import Split

_SOME_FAILED: Final = 3
_PREPARED: Final = frozenset({"ok", "no_face"})

AgeKindWord = Annotated[str, OneOf("agelens.tables:AGE_KINDS")]
DetectorName = Annotated[str, OneOf("agelens.imaging.detectors:DETECTORS")]
FormatName = Annotated[str, OneOf("agelens.data.formats:FORMATS")]


def datasets(*, json: bool = False) -> None:
    """List the datasets that can be read as their owners ship them.

    Args:
        json: print JSON instead of a table.
    """
    rows = [
        {
            "dataset": name,
            "labels": dataset.labels,
            "pictures": ", ".join(f"{part} {n:,}" for part, n in dataset.counts.items()),
            "summary": dataset.summary,
            "terms": dataset.terms,
        }
        for name, dataset in data.DATASETS.items()
    ]
    print_rows(rows, as_json=json)


def formats(*, json: bool = False) -> None:
    """List the formats of other tools that tables are read from and written in.

    Args:
        json: print JSON instead of a table.
    """
    rows = [{"format": name, "summary": one.summary} for name, one in data.FORMATS.items()]
    print_rows(rows, as_json=json)


def splits(*, json: bool = False) -> None:
    """List the protocols by which a table is split.

    Args:
        json: print JSON instead of a table.
    """
    rows = [
        {"protocol": name, "by subject": kind.by_subject, "summary": kind.summary}
        for name, kind in data.PROTOCOLS.items()
    ]
    print_rows(rows, as_json=json)


def sample(*, output: Path, count: PositiveInt = 400, seed: NonNegativeInt = 0) -> None:
    """Draw a small dataset of faces that belong to nobody, to try things with.

    Args:
        output: folder to write, with photos/ and people.csv (age, gender, person, tone).
        count: number of photos, two of each person.
        seed: the same one draws the same faces.
    """
    table = data.draw_sample(output, count, seed=seed)
    print(f"{count} drawn faces, labelled in {table}")


def read(
    source: str,
    folder: Path | None = None,
    /,
    *,
    output: Path,
    columns: list[str] | None = None,
    dataset: str | None = None,
    age_kind: AgeKindWord | None = None,
    root: Path | None = None,
    crops: bool | None = None,
    aligned: bool | None = None,
    age: Literal["apparent", "real"] | None = None,
    margin: Literal["025", "125"] | None = None,
    minimum_age: NonNegativeInt | None = None,
    prefix: str | None = None,
    overwrite: bool = False,
) -> None:
    """Read a downloaded dataset, a list, or own data into a table.

    The table keeps where its pictures are, so that later commands need not be told.

    Args:
        source: a dataset of `agelens data datasets`, a format of `agelens data formats`, own
            data in a .csv or .parquet, or a reader in a file of the current folder, as my_data.read
        folder: the downloaded folder; the list; for own data the folder that its paths are in
            (that of the file)
        output: the table, .parquet or .csv; only Parquet keeps where the pictures are
        columns: columns of own data, as path=file,age_years=Age, or a YAML file of them
        dataset: a name for own data, or whose pictures a list is of
        age_kind: kind of all ages of own data or a list
        root: where the pictures of a list, or of own data, are
        crops: the owner's crops (IMDB-WIKI, APPA-REAL)
        aligned: the owner's aligned faces (Adience and others)
        age: which label (APPA-REAL)
        margin: which pictures (FairFace)
        minimum_age: age of label 0 (coral)
        prefix: first word of the files' names (ldl, coral)
        overwrite: replace the table if it is there
    """
    check_new_table(output, overwrite=overwrite)
    options: dict[str, object] = {
        "root": root,
        "crops": crops,
        "aligned": aligned,
        "age": age,
        "margin": margin,
    }
    options |= {"minimum_age": minimum_age, "prefix": prefix}
    table = data.read_dataset(
        source,
        folder,
        columns=column_mapping(columns),
        dataset=dataset,
        age_kind=age_kind,  # type: ignore[arg-type]
        **{name: value for name, value in options.items() if value is not None},
    )
    data.write_table(table, output)
    _describe(table)
    print(f"wrote {output}")


def convert(
    table: Path,
    *,
    to: FormatName,
    output: Path,
    columns: list[str] | None = None,
    minimum_age: NonNegativeInt | None = None,
    prefix: str | None = None,
    round_ages: bool = False,
    root: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Write a table in the format of another tool.

    Args:
        table: of `agelens data read`
        to: the format
        output: the file, or the folder where the format has several files
        columns: columns of own data, as path=file,age_years=Age, or a YAML file of them (mapped)
        minimum_age: age of label 0 (coral)
        prefix: first word of the files' names (ldl, coral)
        round_ages: round half years for formats that count classes
        root: where the table's pictures are, if it does not know (iefp)
        overwrite: replace files that are there
    """
    OUTPUTS.claim(output)
    lists = [path for part in ("train", "valid", "test") for path in output.glob(f"*_{part}*.csv")]
    if output.is_file() or lists:
        check_new([output, *lists][-1], overwrite=overwrite)
    options = {
        "columns": column_mapping(columns),
        "minimum_age": minimum_age,
        "prefix": prefix,
        "round_ages": round_ages or None,
        "root": root,
    }
    samples = data.read_table(table, extra=None)
    written = data.call_with_options(data.format_named(to).write, [samples, output], options)
    for path in written.paths:
        print(f"wrote {path}")
    print(f"{written.rows:,} rows")
    for reason, count in written.left_out.items():
        print(f"left out {count:,}: {reason}")
    for note in written.notes:
        print(note)


def prepare(
    table: Path,
    *,
    output: Path,
    root: Path | None = None,
    detector: DetectorName = "retinaface",
    template: Annotated[str, OneOf("agelens.imaging.align:TEMPLATES")] | None = None,
    size: PositiveInt | None = None,
    margin: float = 0.0,
    fill: Annotated[str, OneOf("agelens.imaging.align:FILLS")] = "black",
    boxes: Literal["detector", "table"] = "detector",
    two_pass: bool = False,
    aligned: bool = False,
    encoding: Literal["jpeg", "webp", "png"] = "jpeg",
    workers: PositiveInt | None = None,
) -> int:
    """Cut a table's faces into a chip store; called again, it goes on where it stopped.

    Args:
        table: of `agelens data read`
        output: the store's folder; the table with the faces' places is written beside it
        root: where the pictures are, if the table does not know or they were moved
        detector: what finds faces
        template: frame of the landmarks (dlib-64)
        size: side of a chip in pixels
        margin: more surroundings: 0.4 shows 1.4 times the frame, or the box with --two-pass
        fill: what stands beyond the photo: black, or its rim mirrored and blurred
        boxes: who says where faces are; table cuts by the landmarks, with --two-pass by the
            boxes and rolls, that the table has, and searches for the other faces alone
        two_pass: turn by the eye line, find the box again, cut it
        aligned: the pictures are chips already: resize, do not detect
        encoding: of the chips; png loses nothing
        workers: threads (all available cores)
    """
    if two_pass and template:
        raise UsageError("--two-pass cuts the face's box; --template does not go with it")
    placed = output.with_name(f"{output.name}.parquet")
    if not output.exists():
        check_new(placed)
    with progress_bars("faces") as bars:
        report = data.prepare(
            table,
            output,
            root=root,
            detector=detector,
            template=template,
            size=size,
            margin=margin,
            fill=fill,
            boxes=boxes,
            two_pass=two_pass,
            aligned=aligned,
            encoding=encoding,
            workers=workers,
            on_progress=bars,
        )
    data.write_table(report.open().table, placed)
    print(f"{report.rows:,} rows, {report.reused_rows:,} of them from an earlier run:")
    for status, count in sorted(report.statuses.items()):
        print(f"  {count:,} {status}")
    if report.places:
        print(report.places)
    print(f"wrote {output} and, with boxes, roll and landmarks, {placed}")
    return _SOME_FAILED if {*report.statuses} - _PREPARED else 0


def label(
    faces: Path,
    *,
    model: str,
    output: Path,
    root: Path | None = None,
    replace: bool = False,
    detector: DetectorName = "retinaface",
    workers: PositiveInt | None = None,
    bulk: Path | None = None,
    overwrite: bool = False,
) -> int:
    """Write the ages that a model sees into a table, as recognition across age trains on.

    They are marked as estimated, with the model's name in the column age_model; ages that are
    there already stay. The column refer says which faces are cut off, covered or blurred.

    Args:
        faces: a table, or a chip store
        model: a packaged model, or the path of a card
        output: the labelled table, .parquet or .csv
        root: where the table's pictures are, if it does not know
        replace: put them in the place of ages that are there
        detector: what finds the faces of a table
        workers: threads (all available cores)
        bulk: spread a table's photos over processes as agelens bulk does, and keep results in this
            folder: a run that was killed goes on
        overwrite: replace the labelled table if it is there
    """
    check_new_table(output, overwrite=overwrite)
    if faces.is_dir() and root is not None:
        raise UsageError("--root is for tables; a store has its chips")
    if faces.is_dir() and bulk is not None:
        raise UsageError("--bulk is for tables of photos; the chips of a store are read already")
    card = agelens.load_card(model)
    with progress_bars("faces") as bars:
        if bulk is not None:
            from agelens.bulk.labelled import predictions_of  # noqa: PLC0415 - where asked for
            from agelens.cli.bulk import of_table  # noqa: PLC0415 - as above

            samples = data.read_table(faces, extra=None)
            of_table(faces, bulk, bars, model=model, root=root, detector=detector, threads=workers)
            predictions = predictions_of(bulk, samples)
        elif faces.is_dir():
            store = data.ChipStore.open(faces)
            data.check_other_chips(store, card)  # before the network is opened
            estimator = agelens.AgeEstimator(model, workers=workers)
            samples = store.table
            predictions = data.predict_store(estimator, store, on_progress=bars)
        else:
            samples = data.read_table(faces, extra=None)
            estimator = agelens.AgeEstimator(model, detector, workers=workers)
            predictions = data.predict_photos(estimator, samples, root, on_progress=bars)
    name = f"{card.name} {card.version}"
    table = data.with_estimated_ages(samples, predictions, name, replace=replace)
    data.write_table(table, output)
    statuses = predictions.frame["status"].value_counts()
    labelled = int((table.frame["age_model"] == name).sum())
    print(", ".join(f"{count:,} {status}" for status, count in statuses.items() if count))
    print(f"{labelled:,} ages are those of {name}, {len(table) - labelled:,} rows are as they were")
    if "refer" in table.extra and (doubtful := int(table.frame["refer"].notna().sum())):
        print(f"{doubtful:,} are of faces that a human should look at: column refer says why")
    print(f"wrote {output}")
    return _SOME_FAILED if {*statuses.index[statuses > 0]} - _PREPARED else 0


def explore(
    table: Path,
    *,
    output: Path,
    root: Path | None = None,
    against: Path | None = None,
    against_root: Path | None = None,
    seed: NonNegativeInt = 0,
) -> None:
    """Draw a table: a page with figures and some of its pictures.

    Args:
        table: of `agelens data read`
        output: a new folder for the page and its pictures
        root: where the pictures are, if the table does not know
        against: another table, drawn beside the first
        against_root: where its pictures are, if it does not know
        seed: of the random samples
    """
    page = data.explore(
        data.read_table(table, extra=None),
        output,
        root=root,
        against=data.read_table(against, extra=None) if against else None,
        against_root=against_root,
        seed=seed,
    )
    print(f"wrote {page}")


def audit(
    table: Path,
    *,
    output: Path,
    root: Path | None = None,
    against: Path | None = None,
    against_root: Path | None = None,
    detector: DetectorName = "retinaface",
    mirrored: bool = False,
    model: str | None = None,
    workers: PositiveInt | None = None,
) -> None:
    """Find duplicates, wrong labels and bad pictures, and write a page about them.

    Args:
        table: of `agelens data read`
        output: a new folder for the page and its lists
        root: where the pictures are, if the table does not know
        against: duplicates with this table too
        against_root: where its pictures are, if it does not know
        detector: what finds faces
        mirrored: find mirrored copies as well
        model: show the labels that this model most disagrees with
        workers: threads (all available cores)
    """
    if against_root and not against:
        raise UsageError("--against-root goes with --against")
    with progress_bars("pictures") as bars:
        report = data.audit(
            data.read_table(table, extra=None),
            output,
            root=root,
            against=(data.read_table(against, extra=None), against_root) if against else None,
            model=agelens.AgeEstimator(model) if model else None,
            detector=detector,
            mirrored=mirrored,
            workers=workers,
            on_progress=bars,
        )
    for status, count in sorted(report.statuses.items()):
        print(f"{count:,} pictures {status}")
    for finding in report.findings:
        print(finding)
    print(f"wrote {report.page}")


def split(
    table: Path,
    *,
    protocol: str,
    output: Path,
    seed: NonNegativeInt = 0,
    repeats: PositiveInt | None = None,
    valid_share: OpenShare | None = None,
    audit: Path | None = None,
    listed: Path | None = None,
    split_table: Path | None = None,
    allow_leaks: bool = False,
    overwrite: bool = False,
) -> None:
    """Split a table, and refuse parts that share people or pictures.

    Args:
        table: of `agelens data read`
        protocol: one of `agelens data splits`, or your own or the unified benchmark's YAML
        output: a new folder
        seed: of the random choices
        repeats: so many seeds (random-80-20)
        valid_share: of the train part, held out to validate on (random-80-20)
        audit: folder of an audit whose near-duplicates are kept together
        listed: the published list, read (rapl, unified)
        split_table: also write the table with its split column set; of several splits, one each
        allow_leaks: write a leaking split; the report says so
        overwrite: replace the split table if it is there
    """
    if split_table:
        check_new_table(split_table, overwrite=overwrite)
    samples = data.read_table(table, extra=None)
    duplicates = data.read_duplicates(audit) if audit else None
    is_file = Path(protocol).suffix.lower() in (".yaml", ".yml")
    chosen = data.make_protocol(
        read_yaml(Path(protocol), UsageError) if is_file else protocol,
        repeats=repeats,
        valid_share=valid_share,
        listed=data.read_table(listed, extra=None) if listed else None,
    )
    made = chosen(samples, seed=seed, duplicates=duplicates)
    reports = data.write_splits(
        made, samples, output, duplicates=duplicates, allow_leaks=allow_leaks
    )
    for one, report in zip(made, reports, strict=True):
        _print_split(one, report.leaks)
        if split_table:
            name = f"{split_table.stem}-{one.name}" if len(made) > 1 else split_table.stem
            target = split_table.with_stem(name)
            data.write_table(samples.with_columns(split=one.parts_of(samples)), target)
            print(f"  wrote {target}")
    if isinstance(chosen, data.SubjectKFold):
        yaml, folders = data.write_folders(
            samples, chosen, output, seed=seed, duplicates=duplicates
        )
        print(f"  wrote {yaml} and, for --to unified, {folders}")
    print(f"wrote {output}")


def _print_split(split: Split, leaks: Sequence[object]) -> None:
    counts = ", ".join(f"{part} {count:,}" for part, count in split.counts.items())
    print(f"{split.name}: {counts}")
    for leak in leaks:
        print(f"  leak: {leak}")
    for note in split.notes:
        print(f"  {note}")


def _describe(table: SampleTable) -> None:
    print(table.summary())
    for issue, count in table.frame["issue"].value_counts().items():
        if count:
            print(f"issue in {count:,}: {issue}")
    if table.frame["split"].notna().any():
        for official in data.make_protocol("official")(table):
            _print_split(official, data.describe_leaks(official, table).leaks)
