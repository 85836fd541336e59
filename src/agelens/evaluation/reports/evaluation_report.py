"""An evaluation as a folder: JSON, CSVs, figures and one page."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

import pandas as pd
from matplotlib.figure import Figure

from agelens.evaluation.by_group import FIGURE_COLUMN
from agelens.evaluation.groups.crossings import BETWEEN
from agelens.evaluation.reports.age_curves import bias_by_age, coverage_by_age, error_by_age
from agelens.evaluation.reports.canvas import save
from agelens.evaluation.reports.evaluated import EvaluatedTable
from agelens.evaluation.reports.evaluation_page import evaluation_page
from agelens.evaluation.reports.page import Section
from agelens.evaluation.reports.reliability import distribution_calibration
from agelens.evaluation.reports.residual_violins import residuals_by
from agelens.evaluation.worst import worst_errors
from agelens.version import __version__

PAGE_NAME: Final = "index.html"

_Draw: TypeAlias = Callable[[Sequence[EvaluatedTable]], Figure | str]


def evaluation_document(shown: Sequence[EvaluatedTable]) -> dict[str, Any]:
    """Everything that was measured as plain JSON types."""
    return {"tables": [one.to_json() for one in shown], "agelens_version": __version__}


def write_evaluation(shown: Sequence[EvaluatedTable], folder: Path) -> None:
    """Write `evaluation.json`, four CSVs, the figures and `index.html` into `folder`.

    `worst.csv` names samples; the page does not.
    """
    text = json.dumps(
        evaluation_document(shown), indent=1, ensure_ascii=False, allow_nan=False, default=_plain
    )
    (folder / "evaluation.json").write_text(text + "\n", encoding="utf-8")
    for name, parts in {
        "metrics": [_metrics(one) for one in shown],
        "groups": [one.groups.groups for one in shown],
        "gaps": [one.groups.gaps for one in shown],
        "worst": [worst_errors(one.predictions) for one in shown],
    }.items():
        _stacked(shown, parts).to_csv(folder / f"{name}.csv", index=False)
    figures = [
        _drawn(folder, name, title, draw(shown)) for name, (title, draw) in _figures(shown).items()
    ]
    page = evaluation_page(shown, figures)
    (folder / PAGE_NAME).write_text(page.to_html(), encoding="utf-8")


def _figures(shown: Sequence[EvaluatedTable]) -> dict[str, tuple[str, _Draw]]:
    found = shown[0].evaluation
    calibration = partial(distribution_calibration, draws=found.draws, level=found.level)
    figures: dict[str, tuple[str, _Draw]] = {
        "error_by_age": ("Error by age", error_by_age),
        "bias_by_age": ("Bias by age", bias_by_age),
        "coverage_by_age": ("Coverage of the intervals by age", coverage_by_age),
        "distribution_calibration": ("Calibration of the distributions", calibration),
    }
    columns = dict.fromkeys(name for one in shown for name in one.groups.groups["grouping"])
    for name in columns:
        if BETWEEN not in name and name != FIGURE_COLUMN:
            title = f"Residuals by {name.replace('_', ' ')}"
            file = re.sub(r"\W+", "_", f"residuals_by_{name}")  # a column's name is anybody's
            figures[file] = (title, partial(residuals_by, column=name))
    return figures


def _drawn(folder: Path, name: str, title: str, figure: Figure | str) -> Section:
    if isinstance(figure, str):
        return Section(title, [figure])
    save(figure, folder / f"{name}.png")
    return Section(title, images=[f"{name}.png"])


def _metrics(one: EvaluatedTable) -> pd.DataFrame:
    rows = [{"metric": name, **found.to_json()} for name, found in one.evaluation.metrics.items()]
    return pd.DataFrame(rows)


def _stacked(shown: Sequence[EvaluatedTable], parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Rows of all tables, the table's name first."""
    named = []
    for one, part in zip(shown, parts, strict=True):
        plain = part.astype(object)
        plain.insert(0, "table", one.name)
        named.append(plain)
    return pd.concat(named, ignore_index=True)


def _plain(value: Any) -> Any:
    """NumPy's numbers as Python's."""
    return value.item()
