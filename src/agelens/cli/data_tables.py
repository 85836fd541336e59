"""`agelens data list`, `read`, `convert` and `split`: tables in, tables out."""

from __future__ import annotations

import argparse
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from agelens.cli.registries import show
from agelens.data.audit import read_duplicates
from agelens.data.datasets import DATASETS, dataset_reader
from agelens.data.formats import FORMATS
from agelens.data.splits import (
    PROTOCOLS,
    CustomProtocol,
    DatabaseFolders,
    OfficialSplit,
    Split,
    SplitProtocol,
    SubjectKFold,
    UnifiedBenchmark,
    describe_leaks,
    protocol_class,
    write_splits,
)
from agelens.errors import UnknownNameError, UsageError
from agelens.tables import SampleTable, read_table, write_table


def list_all(options: argparse.Namespace) -> int:
    """Print the three registries."""
    datasets = [
        {
            "dataset": name,
            "labels": dataset.labels,
            "pictures": ", ".join(f"{part} {n:,}" for part, n in dataset.counts.items()),
            "summary": dataset.summary,
            "terms": dataset.terms,
        }
        for name, dataset in DATASETS.items()
    ]
    formats = [{"format": name, "summary": fmt.summary} for name, fmt in FORMATS.items()]
    protocols = [
        {"protocol": name, "by subject": kind.by_subject, "summary": kind.summary}
        for name, kind in PROTOCOLS.items()
    ]
    if options.json:
        print(json.dumps({"datasets": datasets, "formats": formats, "protocols": protocols}))
        return 0
    for rows in (datasets, formats, protocols):
        show(rows, as_json=False)
    return 0


def read(options: argparse.Namespace) -> int:
    """Read a dataset or a list, say what is in it, and write the table."""
    name = options.name
    if name not in DATASETS and name not in FORMATS:
        raise UnknownNameError("dataset or format", name, [*DATASETS, *FORMATS])
    table = _with_options(
        dataset_reader(name) if name in DATASETS else FORMATS[name].read,
        options.root,
        crops=options.crops,
        aligned=options.aligned,
        age=options.age,
        margin=options.margin,
        dataset=options.dataset,
        age_kind=options.age_kind,
        minimum_age=options.minimum_age,
        prefix=options.prefix,
        root=options.pictures,
        columns=_yaml(options.mapping) if options.mapping else None,
    )
    write_table(table, options.output)
    _describe(table)
    print(f"wrote {options.output}")
    return 0


def convert(options: argparse.Namespace) -> int:
    """Write a table in another format."""
    if options.to not in FORMATS:
        raise UnknownNameError("format", options.to, FORMATS)
    written = _with_options(
        FORMATS[options.to].write,
        read_table(options.table, extra=None),
        options.output,
        minimum_age=options.minimum_age,
        prefix=options.prefix,
        round_ages=options.round_ages or None,
        root=options.pictures,
        columns=_yaml(options.mapping) if options.mapping else None,
    )
    for path in written.paths:
        print(f"wrote {path}")
    print(f"{written.rows:,} rows")
    for reason, count in written.left_out.items():
        print(f"left out {count:,}: {reason}")
    for note in written.notes:
        print(note)
    return 0


def split(options: argparse.Namespace) -> int:
    """Split a table and write the parts; leaks are refused unless they are allowed."""
    table = read_table(options.table, extra=None)
    duplicates = read_duplicates(options.audit) if options.audit else None
    protocol = _protocol(options)
    splits = protocol(table, seed=options.seed, duplicates=duplicates)
    reports = write_splits(
        splits, table, options.output, duplicates=duplicates, allow_leaks=options.allow_leaks
    )
    for one, report in zip(splits, reports, strict=True):
        counts = ", ".join(f"{part} {count:,}" for part, count in one.counts.items())
        print(f"{one.name}: {counts}")
        for leak in report.leaks:
            print(f"  leak: {leak}")
        for note in one.notes:
            print(f"  {note}")
        if options.split_table:
            target = options.split_table
            if len(splits) > 1:
                target = target.with_stem(f"{target.stem}-{one.name}")
            write_table(_with_parts(table, one), target)
            print(f"  wrote {target}")
    if isinstance(protocol, SubjectKFold):
        folds = protocol.folds(table, seed=options.seed, duplicates=duplicates)
        _write_folders(
            SampleTable(table.frame.assign(fold=folds), table.extra), protocol, options.output
        )
    print(f"wrote {options.output}")
    return 0


def _write_folders(table: SampleTable, protocol: SubjectKFold, folder: Path) -> None:
    """The unified benchmark's own two files for these folders, for its scripts and for others."""
    names = [str(name) for name in table.frame["dataset"].unique()]
    databases = tuple(DatabaseFolders(f"{n}.json", n, protocol.arrangement) for n in names)
    (folder / "unified.yaml").write_text(UnifiedBenchmark(databases).to_text(), encoding="utf-8")
    write_table(table, folder / "folders.parquet")
    print(f"  wrote {folder / 'unified.yaml'} and, for --to unified, {folder / 'folders.parquet'}")


def _with_parts(table: SampleTable, split: Split) -> SampleTable:
    """`table` with the parts of `split` in its split column; rows in no part have none."""
    words = pd.array([*split.part_names, pd.NA], dtype="string")
    parts = pd.Series(words.take(split.codes_for(table)), index=table.frame.index)
    return SampleTable(table.frame.assign(split=parts), table.extra)


def _describe(table: SampleTable) -> None:
    frame = table.frame
    ages = frame["age_years"]
    kinds = ", ".join(f"{n:,} {kind}" for kind, n in frame["age_kind"].value_counts().items() if n)
    print(f"{len(table):,} samples of {', '.join(map(str, frame['dataset'].unique()))}")
    if ages.notna().any():
        print(f"ages {ages.min():g} to {ages.max():g} years, labels: {kinds}")
    print(f"{frame['subject'].nunique():,} people; gender known of {frame['gender'].count():,}")
    for issue, count in frame["issue"].value_counts().items():
        if count:
            print(f"issue in {count:,}: {issue}")
    if frame["split"].notna().any():
        for official in OfficialSplit()(table):
            report = describe_leaks(official, table)
            print(f"split {official.name}: {dict(official.counts)}")
            for leak in report.leaks:
                print(f"  leak: {leak}")


def _protocol(options: argparse.Namespace) -> SplitProtocol:
    listed = read_table(options.listed, extra=None) if options.listed else None
    given = {"repeats": options.repeats, "listed": listed}
    if Path(options.protocol).suffix.lower() in (".yaml", ".yml"):
        document = _yaml(Path(options.protocol))
        # The unified benchmark's split files are lists; a protocol of one's own is a mapping.
        kind = UnifiedBenchmark if isinstance(document, list) else CustomProtocol
        protocol: SplitProtocol = _with_options(kind.from_object, document, **given)
    else:
        protocol = _with_options(protocol_class(options.protocol), **given)
    return protocol


def _with_options(function: Callable[..., Any], *values: Any, **options: Any) -> Any:
    """Call `function` with the options that were given; refuse those that it does not take."""
    given = {name: value for name, value in options.items() if value is not None}
    takes = dict(list(inspect.signature(function).parameters.items())[len(values) :])
    for name in given:
        if name not in takes:
            raise UsageError(f"{_flag(name)} does not go with this choice")
    lacking = [
        name
        for name, parameter in takes.items()
        if parameter.default is inspect.Parameter.empty and name not in given
    ]
    if lacking:
        raise UsageError(f"this choice also needs {', '.join(map(_flag, lacking))}")
    return function(*values, **given)


def _flag(parameter: str) -> str:
    named = {"columns": "mapping", "root": "pictures"}.get(parameter, parameter)
    return f"--{named.replace('_', '-')}"


def _yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as YAML: {error}") from error
