"""Models as a user names them to stand side by side: tables, runs, cards; each with a name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd

from agelens.evaluation.comparison.common_samples import ComparedTable, compared_tables
from agelens.evaluation.finished_runs import run_folder
from agelens.evaluation.given_tables import Reading, read_given
from agelens.tables import PredictionsTable

_TABLES: Final = (".parquet", ".csv", ".tsv", ".txt", ".xlsx", ".xlsm", ".jsonl")


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """A model under the name that it is to have, if any."""

    name: str | None
    model: Any

    @property
    def is_table(self) -> bool:
        """Whether it is predictions, in a file or not."""
        if isinstance(self.model, pd.DataFrame | PredictionsTable):
            return True
        return isinstance(self.model, str | Path) and Path(self.model).suffix.lower() in _TABLES

    @property
    def run(self) -> Path | None:
        """The folder of the run that it is."""
        return run_folder(self.model)

    @property
    def stem(self) -> str:
        """What it is called where nobody says otherwise."""
        return Path(self.model).stem if isinstance(self.model, str | Path) else "table"


def given_models(models: Sequence[Any]) -> list[Given]:
    """All of `models`; a mapping gives them names, several under one name being its seeds."""
    return [one for model in models for one in _given(model)]


def _given(model: Any) -> Iterator[Given]:
    if isinstance(model, Given):
        yield model
    elif isinstance(model, Mapping) and not isinstance(model, pd.DataFrame):
        for name, one in model.items():
            several = one if isinstance(one, list | tuple) else [one]
            yield from (Given(str(name), each) for each in several)
    else:
        yield Given(None, model)


def tables_of(models: Sequence[Given], reading: Reading) -> tuple[list[ComparedTable], list[str]]:
    """The tables among `models`, and sentences on how they were read.

    Those of one name given by the user are its seeds, where they do not say their own.
    """
    files = [one for one in models if one.is_table]
    names = Counter(one.name for one in files if one.name)
    seen: Counter[str] = Counter()
    tables, notes = [], []
    for one in files:
        named = read_given(one.model, reading, one.name or one.stem)
        notes += [f"{named.name}: {note}" for note in named.notes]
        if one.name is None:
            tables += compared_tables(named.predictions, one.stem)
            continue
        seed = seen[one.name] if names[one.name] > 1 else None
        seen[one.name] += 1
        tables += compared_tables(named.predictions, one.name, rename=True, seed=seed)
    return tables, notes
