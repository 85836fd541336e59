"""Finished trials as a CSV file: what is in it is not done again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from agelens.errors import TrainingError
from agelens.whole_file import write_whole

_DIGITS: Final = 1e-9


class TrialTable:
    """Rows of trials, each written before the next one starts.

    Numbers of a key are the same if they agree to nine digits: a file does not keep them all.

    Args:
        path: of the CSV file; what it holds of an earlier attempt is kept.
        key: columns that say which trial a row is of. A trial may have several rows.

    Raises:
        TrainingError: the file is no such table.
    """

    def __init__(self, path: Path, key: Sequence[str]) -> None:
        self.path = path
        self.key = tuple(key)
        self.frame = pd.DataFrame(columns=list(key))
        if path.is_file():
            try:
                self.frame = pd.read_csv(path)
            except ValueError as error:
                raise TrainingError(f"{path} cannot be read as a table: {error}") from error
            if not set(key) <= set(self.frame.columns):
                raise TrainingError(f"{path} lacks a column: it should have {', '.join(key)}")

    def has(self, *trial: float) -> bool:
        """Whether the trial with these values of the key is done."""
        return len(self.rows(*trial)) > 0

    def rows(self, *trial: float) -> pd.DataFrame:
        """The rows of one trial."""
        same = pd.Series(True, index=self.frame.index)
        for name, value in zip(self.key, trial, strict=True):
            same &= np.isclose(self.frame[name].astype(float), value, rtol=_DIGITS, atol=0)
        return self.frame[same]

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Take in and write the rows of a finished trial."""
        new = pd.DataFrame(list(rows))
        self.frame = pd.concat([self.frame, new], ignore_index=True) if len(self.frame) else new
        write_whole(self.path, self.frame.to_csv(index=False).encode())
