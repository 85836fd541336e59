"""A comparison as a folder: JSON, CSVs, figures and one page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from matplotlib.figure import Figure

from agelens.evaluation.comparison import Comparison
from agelens.evaluation.reports.canvas import save
from agelens.evaluation.reports.comparison_figures import matrix_figure, ranks_figure
from agelens.evaluation.reports.comparison_page import comparison_page
from agelens.evaluation.reports.comparison_tables import (
    matrix_rows,
    pair_rows,
    published_rows,
    rank_rows,
)
from agelens.evaluation.reports.page import Section
from agelens.version import __version__

PAGE_NAME: Final = "index.html"


def comparison_document(found: Comparison) -> dict[str, Any]:
    """Everything that was found as plain JSON types."""
    return {**found.to_json(), "agelens_version": __version__}


def write_comparison(found: Comparison, folder: Path) -> None:
    """Write `comparison.json`, four CSVs, two figures and `index.html` into `folder`."""
    text = json.dumps(comparison_document(found), indent=1, ensure_ascii=False, allow_nan=False)
    (folder / "comparison.json").write_text(text + "\n", encoding="utf-8")
    for name, rows in {
        "matrix": matrix_rows(found),
        "pairs": pair_rows(found),
        "ranks": rank_rows(found),
        "published": published_rows(found.published),
    }.items():
        rows.to_csv(folder / f"{name}.csv", index=False)
    figures = [
        _drawn(folder, "matrix", "The matrix", matrix_figure(found)),
        _drawn(folder, "ranks", "Ranks in a figure", ranks_figure(found)),
    ]
    page = comparison_page(found, figures)
    (folder / PAGE_NAME).write_text(page.to_html(), encoding="utf-8")


def _drawn(folder: Path, name: str, title: str, figure: Figure | str) -> Section:
    if isinstance(figure, str):
        return Section(title, [figure])
    save(figure, folder / f"{name}.png")
    return Section(title, images=[f"{name}.png"])
