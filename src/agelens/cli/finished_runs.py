"""Runs of `agelens train` as a comparison takes them: which of them are one model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

import yaml

from agelens.errors import TrainingError, UsageError
from agelens.tables import PredictionsTable, read_predictions
from agelens.training.run_folder import RunFolder

_OF_TEST: Final = "predictions-test*.parquet"
_TEST: Final = "test"
_BETWEEN: Final = "-_. "


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A finished run; `recipe` is its configuration without the seed."""

    folder: RunFolder
    seed: int
    recipe: str
    summary: dict[str, Any]
    data: dict[str, Any]

    @property
    def name(self) -> str:
        """Its folder's name."""
        return self.folder.path.resolve().name

    @property
    def remarks(self) -> list[str]:
        """Leaks and notes of its split."""
        split = self.data["split"]
        leaks = [f"leak in its split: {leak}" for leak in split.get("leaks", [])]
        return [*leaks, *split.get("notes", [])]

    def test_predictions(self) -> list[PredictionsTable]:
        """Its predictions of each test, every row of some part.

        Raises:
            UsageError: it has none.
        """
        files = sorted(self.folder.path.glob(_OF_TEST))
        if not files:
            raise UsageError(
                f"{self.folder.path} has no test predictions: its split has no test part. Name a "
                "chip store to try it on (agelens compare --on STORE)"
            )
        return [_with_part(read_predictions(file)) for file in files]


def finished_run(path: Path) -> FinishedRun:
    """The finished run in the folder `path`.

    Raises:
        UsageError: there is no run, or it is not finished.
        TrainingError: one of its files is damaged.
    """
    folder = RunFolder(path)
    if not folder.config.is_file():
        raise UsageError(f"{path} holds no run of agelens train: it has no config.yaml")
    if folder.state != "finished":
        raise UsageError(
            f"the run in {path} is not finished ({folder.state}): agelens train --resume {path}"
        )
    try:
        config = yaml.safe_load(folder.config.read_text(encoding="utf-8"))
        seed = int(config.pop("seed"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError, AttributeError, KeyError) as error:
        raise TrainingError(f"{folder.config} is no configuration of a run: {error}") from error
    recipe = yaml.safe_dump(config, sort_keys=True)
    return FinishedRun(folder, seed, recipe, folder.read(folder.summary), folder.read(folder.data))


def model_names(runs: Sequence[FinishedRun]) -> list[str]:
    """A name for each run, in order: runs of one recipe have one name, what theirs begin with.

    Raises:
        UsageError: two recipes would have one name.
    """
    by_recipe: dict[str, list[str]] = {}
    for run in runs:
        by_recipe.setdefault(run.recipe, []).append(run.name)
    names = {recipe: _shared(found) for recipe, found in by_recipe.items()}
    if len(set(names.values())) < len(names):
        names = {recipe: found[0] for recipe, found in by_recipe.items()}
    if len(set(names.values())) < len(names):
        raise UsageError(
            f"runs of different configurations have the same name: {', '.join(names.values())}. "
            "Rename a folder, or name them apart (agelens compare NAME=RUN)"
        )
    return [names[run.recipe] for run in runs]


def _shared(names: Sequence[str]) -> str:
    """As ``dldl`` of dldl-seed0 and dldl-seed1."""
    if len(names) == 1:
        return names[0]
    least, greatest = min(names), max(names)
    alike = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(least, greatest)))  # noqa: B905
    start = least[:alike].rstrip(_BETWEEN)
    return start.removesuffix("seed").rstrip(_BETWEEN) or names[0]


def _with_part(table: PredictionsTable) -> PredictionsTable:
    """Rows that do not say their part are of the test: the file's name says so."""
    split = table.frame["split"].astype(object)
    frame = table.frame.assign(split=split.where(split.notna(), _TEST))
    return PredictionsTable(frame, table.distribution, table.scale)
