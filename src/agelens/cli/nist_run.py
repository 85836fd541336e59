"""What `agelens nist` does: predictions in, the quantities of NIST's report out."""

from __future__ import annotations

import argparse
import json

from agelens.atomic import atomic_folder
from agelens.cli.read_tables import read_predictions_as_asked
from agelens.evaluation.nist.errors import Resampling
from agelens.evaluation.nist.quantities import YearRange, nist_quantities
from agelens.evaluation.reports.nist_report import (
    LIMITS,
    PAGE_NAME,
    nist_document,
    nist_sentences,
    write_nist,
)


def run(options: argparse.Namespace) -> int:
    """Measure, write the folder, and print JSON or sentences."""
    found = nist_quantities(
        read_predictions_as_asked(options.predictions, options),
        legal_years=options.legal,
        challenges=options.challenge,
        years=YearRange(*options.range),
        mix_age_kinds=options.allow_mixed_age_kinds,
        resampling=Resampling(options.draws, options.level, options.seed),
    )
    if options.output is not None:
        with atomic_folder(options.output, "page") as folder:
            write_nist(found, folder)
    if options.json:
        print(json.dumps(nist_document(found), ensure_ascii=False, allow_nan=False))
        return 0
    for sentence in (*nist_sentences(found), LIMITS[0]):
        print(sentence)
    if options.output is not None:
        print(f"wrote {options.output / PAGE_NAME}")
    return 0
