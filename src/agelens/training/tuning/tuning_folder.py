"""The folder of a tuning: what lies where, and what it is of."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agelens.errors import TrainingError, UsageError
from agelens.training.data_identity import differences
from agelens.training.run_folder import RunFolder
from agelens.whole_file import write_json


@dataclass(frozen=True, slots=True)
class TuningFolder:
    """Names of everything that a tuning leaves in `path`."""

    path: Path

    @property
    def identity(self) -> Path:
        """What is tuned, on which data, by which plan."""
        return self.path / "tuning.json"

    @property
    def untrained(self) -> Path:
        """The loss of the untrained network."""
        return self.path / "untrained.json"

    @property
    def overfit(self) -> Path:
        """Learning a few samples by heart."""
        return self.path / "overfit.csv"

    @property
    def sweep(self) -> Path:
        """Losses by learning rate."""
        return self.path / "sweep.csv"

    @property
    def grid(self) -> Path:
        """Validation errors by learning rate and weight decay."""
        return self.path / "grid.csv"

    @property
    def study(self) -> Path:
        """Optuna's study, in place of sweep and grid."""
        return self.path / "study.db"

    @property
    def trials(self) -> Path:
        """The study's trials as a table."""
        return self.path / "trials.csv"

    @property
    def best(self) -> Path:
        """The values that were found."""
        return self.path / "best.json"

    @property
    def run(self) -> RunFolder:
        """The long run."""
        return RunFolder(self.path / "run")

    @property
    def page(self) -> Path:
        """The report."""
        return self.path / "index.html"

    def claim(self, identity: dict[str, Any]) -> None:
        """Take the folder for a tuning with this identity, new or gone on with.

        Raises:
            UsageError: it holds something else.
            OutputError: it cannot be written.
        """
        if not self.identity.is_file():
            if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
                raise UsageError(f"{self.path} exists and holds no tuning; name a new folder")
            write_json(self.identity, identity)
            return
        changed = differences(self.read(self.identity), identity)
        if changed:
            raise UsageError(
                f"{self.path} is a tuning of something else: {'; '.join(changed)}. Name a new "
                "folder, or give back what it was begun with"
            )

    def read(self, path: Path) -> Any:
        """The JSON document at `path`.

        Raises:
            TrainingError: it is damaged.
        """
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise TrainingError(f"{path} cannot be read: {error}") from error
