"""NIST's quantities as a folder: JSON, CSVs, figures and one page."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from agelens.evaluation.nist.groups import AGE_BANDS
from agelens.evaluation.nist.quantities import NistQuantities
from agelens.evaluation.reports.canvas import save
from agelens.evaluation.reports.json_rows import json_rows, plain_json
from agelens.evaluation.reports.nist_figures import (
    admitted_by_year,
    challenge_by_year,
    mae_by_quality,
    mae_by_sex_and_age,
)
from agelens.evaluation.reports.nist_page import LIMITS, nist_page
from agelens.version import __version__

PAGE_NAME: Final = "index.html"
_FIGURES: Final = {
    "mae_by_sex_and_age": mae_by_sex_and_age,
    "challenge": challenge_by_year,
    "range": admitted_by_year,
    "mae_by_quality": mae_by_quality,
}


def nist_document(found: NistQuantities) -> dict[str, Any]:
    """Everything as plain JSON types; null for what is not known."""
    return {
        "not_by_nist": LIMITS[0],
        "models": list(found.models),
        "legal_years": found.legal_years,
        "challenge_years": list(found.challenges),
        "range_years": [found.years.first, found.years.last],
        "age_bands_from": list(AGE_BANDS),
        "bootstrap": asdict(found.resampling),
        "counts": asdict(found.counts) | {"failed_to_process": found.failed},
        "headline_mae": plain_json(asdict(found.headline)),
        "milliseconds": plain_json(asdict(found.time)),
        "columns_not_there": list(found.absent),
        "errors": json_rows(found.errors),
        "rates": json_rows(found.rates),
        "agelens_version": __version__,
    }


def write_nist(found: NistQuantities, folder: Path) -> None:
    """Write `nist.json`, `errors.csv`, `rates.csv`, the figures and `index.html` into `folder`."""
    text = json.dumps(nist_document(found), indent=1, ensure_ascii=False, allow_nan=False)
    (folder / "nist.json").write_text(text + "\n", encoding="utf-8")
    found.errors.to_csv(folder / "errors.csv", index=False)
    found.rates.to_csv(folder / "rates.csv", index=False)
    shown: dict[str, str] = {}
    for name, draw in _FIGURES.items():
        figure = draw(found)
        if isinstance(figure, str):
            shown[name] = figure
        else:
            save(figure, folder / f"{name}.png")
            shown[name] = f"{name}.png"
    (folder / PAGE_NAME).write_text(nist_page(found, shown).to_html(), encoding="utf-8")
