"""What `agelens compare` is given, as tables: files, runs, and models tried on chip stores."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agelens.cli.finished_runs import finished_run, model_names
from agelens.cli.read_tables import read_predictions_as_asked
from agelens.errors import UsageError
from agelens.evaluation.comparison import ComparedTable, compared_tables
from agelens.inference.cards import load_card

_TABLES: Final = (".parquet", ".csv")
_CONFIG: Final = "config.yaml"


@dataclass(frozen=True, slots=True)
class Given:
    """A word of the command line: a model under the name that it is to have, if any."""

    name: str | None
    model: str

    @property
    def path(self) -> Path:
        """Where it would be."""
        return Path(self.model)

    @property
    def is_table(self) -> bool:
        """Whether it is a file of predictions."""
        return self.path.suffix.lower() in _TABLES

    @property
    def is_run(self) -> bool:
        """Whether it is the folder of a run."""
        return (self.path / _CONFIG).is_file()


def given(word: str) -> Given:
    """NAME=MODEL taken apart; a path that is there may have an equals sign in it."""
    name, equals, model = word.partition("=")
    return Given(None, word) if not equals or Path(word).exists() else Given(name, model)


def given_models(words: Sequence[str], runs: Sequence[Path]) -> list[Given]:
    """All models that the words and the folders of trained runs name.

    Raises:
        UsageError: there is none.
    """
    models = [*map(given, words), *(Given(None, str(run)) for run in runs)]
    if not models:
        raise UsageError("nothing to compare: name tables, runs or models, or --train CONFIG")
    return models


def tables_as_asked(models: Sequence[Given], options: argparse.Namespace) -> list[ComparedTable]:
    """The tables of all models.

    Raises:
        UsageError: one that is no table, run or model; or see what reads it.
    """
    return [
        *_of_files([one for one in models if one.is_table], options),
        *_of_models([one for one in models if not one.is_table], options),
    ]


def remarks_on(models: Sequence[Given], options: argparse.Namespace) -> list[str]:
    """What runs and cards say of themselves, one sentence each."""
    found = []
    for one in models:
        if one.is_run:
            run = finished_run(one.path)
            found += [f"{run.name}: {remark}." for remark in run.remarks]
        elif options.on and not one.is_table:
            card = load_card(one.model)
            found += [
                f"{card.name}, by its card: {note}" for note in card.document.get("notes", [])
            ]
    return found


def _of_files(files: Sequence[Given], options: argparse.Namespace) -> list[ComparedTable]:
    """Tables of one name given by the user are its seeds, where they do not say their own."""
    names = Counter(one.name for one in files if one.name)
    seen: Counter[str] = Counter()
    found = []
    for one in files:
        table = read_predictions_as_asked(one.path, options)
        if one.name is None:
            found += compared_tables(table, one.path.stem)
            continue
        seed = seen[one.name] if names[one.name] > 1 else None
        seen[one.name] += 1
        found += compared_tables(table, one.name, rename=True, seed=seed)
    return found


def _of_models(models: Sequence[Given], options: argparse.Namespace) -> list[ComparedTable]:
    runs = {one.path: finished_run(one.path) for one in models if one.is_run}
    names = dict(zip(runs, model_names(list(runs.values())), strict=True))
    found = []
    for one in models:
        name, run = one.name or names.get(one.path), runs.get(one.path)
        seed = None if run is None else run.seed
        if options.on:
            for store in options.on:
                found += _tried(one, name, seed, store, options)
        elif run is not None and name is not None:
            for table in run.test_predictions():
                found += compared_tables(table, name, rename=True, seed=seed)
        else:
            raise UsageError(
                f"{one.model} is neither a table of predictions (.parquet, .csv) nor a run of "
                "agelens train; a model needs faces to be tried on: --on STORE"
            )
    return found


def _tried(
    one: Given, name: str | None, seed: int | None, store: str, options: argparse.Namespace
) -> list[ComparedTable]:
    """A model's answers to the chips of STORE or STORE@PART."""
    from agelens.cli.predict_run import predicted_store  # noqa: PLC0415 - loads onnxruntime

    folder, at, part = store.rpartition("@")
    whole = not at or Path(store).exists()
    chosen = argparse.Namespace(**vars(options))
    if not whole:
        chosen.part = part
    table = predicted_store(one.model, Path(store if whole else folder), chosen, own=False)
    return compared_tables(table, name or one.path.stem, rename=name is not None, seed=seed)
