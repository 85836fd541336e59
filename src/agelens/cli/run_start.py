"""What commands that train have in common: checked words, and the run's folder."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from agelens.atomic import is_helper
from agelens.errors import DatasetError, UsageError
from agelens.foreign_files import parse_yaml
from agelens.training.config_files import read_arguments
from agelens.training.config_schema import ConfigSchema
from agelens.training.run_folder import RunFolder

_FOLDER: Final = "AGELENS_RUN_FOLDER"


def checked_words(
    words: list[str],
    command: str,
    schema: ConfigSchema,
    *,
    output: Path | None = None,
    resume: Path | None = None,
    starts: bool = True,
) -> list[str]:
    """The words of a configuration, with that of a resumed run before them, once they are checked.

    Nothing heavy is loaded: what is mistyped is told at once.

    Args:
        words: ``--config`` and keys.
        command: what is called.
        schema: the keys that there are.
        output: where a new run is to go.
        resume: the run to go on with.
        starts: something will be trained, so that its chips must be there.

    Raises:
        UsageError: options that clash, an unknown key, a folder that holds something, or no run
            to go on with.
        UnknownNameError: a name that is in no registry.
        DatasetError: a store that is not there.
    """
    if resume and output:
        raise UsageError("--resume goes on in the run's own folder: leave out -o")
    if resume:
        folder = RunFolder(resume, command)
        folder.check_begun()
        words = ["--config", str(folder.config), *words]
    document, options = read_arguments(words)
    schema.check(document, options)
    if starts and output and not is_helper():
        RunFolder(output, command).check_new()
    if starts:
        _check_stores(document, options)
    return words


def _check_stores(document: Mapping[str, Any], options: Sequence[str]) -> None:
    data = document.get("data", {})
    stores = data.get("stores") if isinstance(data, Mapping) else None
    for word, following in pairwise([*options, ""]):
        option, equals, value = word.partition("=")
        if option == "--data.stores":
            stores = parse_yaml(value if equals else following, option, UsageError)
    for store in stores if isinstance(stores, list) else [stores]:
        if isinstance(store, str) and not Path(store).is_dir():
            raise DatasetError(
                f"{store}: expected a chip store, and nothing is there: make one with agelens data "
                "prepare, or name another one with --data.stores"
            )


def run_folder(words: Sequence[str], named: Path | None, command: str) -> RunFolder:
    """The run's folder: the one that is named, or a new one below runs/.

    Processes that Lightning starts find the same one.

    Raises:
        UsageError: several processes were started and no folder is named.
    """
    path = named or _new_folder(words)
    os.environ[_FOLDER] = str(path)
    return RunFolder(path, command)


def _new_folder(arguments: Sequence[str]) -> Path:
    """runs/NAME of the last configuration file, with a number where that is taken."""
    if is_helper():
        if _FOLDER not in os.environ:
            raise UsageError(
                "name the run's folder with -o where torchrun or srun starts processes"
            )
        return Path(os.environ[_FOLDER])
    files = [arguments[n + 1] for n, word in enumerate(arguments[:-1]) if word == "--config"]
    name = Path(files[-1]).stem if files else "run"
    place, number = Path("runs") / name, 1
    while place.exists():
        number += 1
        place = Path("runs") / f"{name}-{number}"
    return place
