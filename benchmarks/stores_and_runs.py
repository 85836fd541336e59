"""What the training benchmarks share: chip stores made once, runs trained once, figures read.

Everything goes through the command that a user types. A store or run that is whole already
is taken as it is, so that a benchmark that was stopped goes on where it was.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from agelens.cli import main
from agelens.tables import PredictionsTable, read_predictions

BANDS = ((0, 5), (6, 12), (13, 19), (20, 39), (40, 200))


def agelens(*arguments: str | Path) -> None:
    """One command, in this process: loading torch anew for each of 50 runs takes minutes."""
    status = main([str(argument) for argument in arguments])
    if status:
        raise SystemExit(status)


def store(folder: Path, dataset: str, root: Path, *options: str) -> Path:
    """The chip store of a dataset, in `folder`."""
    name = "-".join([dataset, *(option.strip("-") for option in options)])
    place = folder / name
    table = folder / f"{dataset}.parquet"
    if not table.is_file():
        agelens("data", "read", dataset, root, "-o", table)
    if not (place / "store.json").is_file():
        agelens("data", "prepare", table, "--root", root, "-o", place, *options)
    return place


def run(folder: Path, config: Path, *options: str) -> dict[str, Any]:
    """The summary of the run in `folder`, trained (or gone on with) where it is not whole."""
    summary = folder / "summary.json"
    if not summary.is_file():
        how = ["--resume", folder] if (folder / "config.yaml").is_file() else ["-o", folder]
        chosen = [] if how[0] == "--resume" else ["--config", config, *options]
        agelens("train", *chosen, *how)
    found: dict[str, Any] = json.loads(summary.read_text())
    return found


def predictions(folder: Path, part: str) -> PredictionsTable:
    """A run's predictions for `valid`, `test` or a further test."""
    name = part if part in ("valid", "test") else f"test-{part}"
    return read_predictions(folder / f"predictions-{name}.parquet")


def errors(table: PredictionsTable, estimates: np.ndarray | None = None) -> dict[str, float]:
    """MAE and bias, of all and by band of true age."""
    ages = table.frame["age_years"].to_numpy(float)
    if estimates is None:
        estimates = table.frame["estimate_years"].to_numpy(float)
    wrong = estimates - ages
    figures = {"mae": float(np.abs(wrong).mean()), "bias": float(wrong.mean())}
    for low, high in BANDS:
        inside = (ages >= low) & (ages < high + 1)
        name = f"{low}-{high}" if high < 200 else f"{low}+"
        figures[name] = float(np.abs(wrong[inside]).mean()) if inside.any() else float("nan")
    return figures
