"""What `agelens gate` does: a challenge age, and both error rates at it."""

from __future__ import annotations

import argparse
import json

from agelens.atomic import atomic_folder
from agelens.cli.read_tables import read_predictions_as_asked
from agelens.cli.registries import show
from agelens.evaluation.age_gates import find_challenge_age
from agelens.evaluation.reports.gate_report import (
    gate_document,
    gate_rows,
    gate_sentences,
    write_gate,
)
from agelens.evaluation.table_checks import check_unlabelled, check_unmeasurable


def run(options: argparse.Namespace) -> int:
    """Find the challenge age, and print or write what it costs."""
    predictions = read_predictions_as_asked(options.predictions, options)
    frame = predictions.frame
    check_unlabelled(frame)
    check_unmeasurable(frame, mix_age_kinds=options.allow_mixed_age_kinds)
    found = find_challenge_age(
        predictions,
        legal_years=options.legal,
        max_false_accept=options.max_false_accept,
        confidence=options.confidence,
        youngest_years=options.from_age,
        groups=options.by,
    )
    if options.output is not None:
        with atomic_folder(options.output, "gate") as folder:
            write_gate(found, predictions, folder)
    if options.json:
        print(json.dumps(gate_document(found), ensure_ascii=False, allow_nan=False))
        return 0
    for sentence in gate_sentences(found, predictions):
        print(sentence)
    rows = gate_rows(found)
    if len(rows):
        rows = rows.assign(few=rows["few"].map({True: "few", False: ""}))
        names = [str(name) for name in rows]
        cells = [map(str, row) for row in rows.itertuples(index=False)]
        show([dict(zip(names, row, strict=True)) for row in cells], as_json=False)
    if options.output is not None:
        print(f"wrote {options.output}")
    return 0
