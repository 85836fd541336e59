"""`agelens data prepare`: a table's faces, cut once, into a chip store."""

from __future__ import annotations

import argparse
import sys
from typing import Final

from agelens.data.store import ChipStore
from agelens.data.store import prepare as prepare_store
from agelens.errors import UsageError
from agelens.tables import read_table, write_table

_SOME_FAILED: Final = 3


def prepare(options: argparse.Namespace) -> int:
    """Make the store, and the table with the faces' places written back beside it."""
    if options.two_pass and options.template:
        raise UsageError("--two-pass cuts the face's box; --template does not go with it")
    table = read_table(options.table, extra=None)
    report = prepare_store(
        table,
        options.output,
        root=options.root,
        detector=options.detector,
        template=options.template,
        size=options.size,
        margin=options.expand,
        fill=options.fill,
        two_pass=options.two_pass,
        aligned=options.aligned,
        encoding=options.encoding,
        workers=options.workers,
        on_progress=_progress if sys.stderr.isatty() else None,
    )
    placed = options.output.with_name(options.output.name + ".parquet")
    write_table(ChipStore.open(options.output, verify=False).table, placed)
    print(f"{report.rows:,} rows, {report.reused_rows:,} of them from an earlier run:")
    for status, count in sorted(report.statuses.items()):
        print(f"  {count:,} {status}")
    print(f"wrote {options.output} and, with boxes, roll and landmarks, {placed}")
    return _SOME_FAILED if set(report.statuses) - {"ok", "no_face"} else 0


def _progress(done: int, rows: int) -> None:
    print(f"\r{done:,} of {rows:,}", end="\n" if done == rows else "", file=sys.stderr, flush=True)
