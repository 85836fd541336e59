"""`agelens train`, `tune`, `export`, `runs` and `recipes`."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agelens.cli.output import print_json, print_rows
from agelens.errors import UsageError

if TYPE_CHECKING:
    from agelens.training.run_folder import RunFolder


def runs(folder: Path = Path("runs"), /, *, json: bool = False) -> None:
    """List the runs in a folder, and how far each is.

    Args:
        folder: where the runs are, at any depth.
        json: print JSON instead of a table.
    """
    from agelens.training.run_folder import RunFolder  # noqa: PLC0415

    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder with runs")
    rows = [_row(RunFolder(path), folder) for path in _runs_below(folder)]
    if json:
        print_json(rows)
        return
    if not rows:
        print(f"no runs in {folder}")
        return
    print_rows([_shown(row) for row in rows])
    _tell_departures(rows)


def _runs_below(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.rglob("config.yaml"))


def _row(run: RunFolder, folder: Path) -> dict[str, Any]:
    begun = run.read(run.environment) if run.environment.is_file() else {}
    ended = run.read(run.summary) if run.summary.is_file() else {}
    epochs = _epochs(run)
    # A run that trains recognition has no ages to err in.
    valid = [float(epoch["valid/mae"]) for epoch in epochs if "valid/mae" in epoch]
    figures = ended.get("metrics", {})
    return {
        "name": str(run.path.relative_to(folder)),
        "method": begun.get("method"),
        "backbone": begun.get("backbone"),
        "data": begun.get("train_data"),
        "epochs": len(epochs),
        "valid MAE": figures.get("valid", {}).get("mae", min(valid, default=None)),
        "test MAE": figures.get("test", {}).get("mae"),
        "state": run.state,
        "departures": begun.get("departures", []),
    }


def _epochs(run: RunFolder) -> list[dict[str, str]]:
    if not run.metrics.is_file():
        return []
    with run.metrics.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    figures = {name: f"{value:.3f}" for name, value in row.items() if isinstance(value, float)}
    shown = {name: "" if value is None else value for name, value in (row | figures).items()}
    del shown["departures"]  # sentences, which are told below the table
    return shown


def _tell_departures(rows: Sequence[dict[str, Any]]) -> None:
    """Where methods are not as their authors' code has them, which published figures rest on."""
    departures = {str(row["method"]): row["departures"] for row in rows}
    for method, sentences in sorted(departures.items()):
        for sentence in sentences:
            print(f"{method} departs from its authors' code: {sentence}")
