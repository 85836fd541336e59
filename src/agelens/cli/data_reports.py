"""`agelens data explore` and `audit`: pages about a table, to look at before training."""

from __future__ import annotations

import argparse

from agelens.data.audit import audit as audit_table
from agelens.data.explore import explore as explore_table
from agelens.errors import UsageError
from agelens.inference.estimator import AgeEstimator
from agelens.tables import read_table


def explore(options: argparse.Namespace) -> int:
    """Draw a table, or two side by side."""
    against = read_table(options.against, extra=None) if options.against else None
    page = explore_table(
        read_table(options.table, extra=None),
        options.output,
        root=options.root,
        against=against,
        against_root=options.against_root,
        seed=options.seed,
    )
    print(f"wrote {page}")
    return 0


def audit(options: argparse.Namespace) -> int:
    """Look for what is wrong with a table and its pictures, and write a page about it."""
    if (options.against is None) != (options.against_root is None):
        raise UsageError("--against and --against-root go together")
    against = None
    if options.against:
        against = (read_table(options.against, extra=None), options.against_root)
    report = audit_table(
        read_table(options.table, extra=None),
        options.root,
        options.output,
        against=against,
        model=AgeEstimator(options.model) if options.model else None,
        detector=options.detector,
        mirrored=options.mirrored,
        workers=options.workers,
    )
    for status, count in sorted(report.statuses.items()):
        print(f"{count:,} pictures {status}")
    for kind, count in report.counts.items():
        print(f"{count:,} {kind}")
    print(f"wrote {report.page}")
    return 0
