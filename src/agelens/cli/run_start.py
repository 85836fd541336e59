"""What commands that train have in common: checked words, the run's folder, its beginning."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from agelens.errors import UsageError
from agelens.training.config_files import read_arguments
from agelens.training.config_schema import ConfigSchema
from agelens.training.run_folder import RunFolder

_RANKS: Final = ("LOCAL_RANK", "RANK", "SLURM_PROCID")
_FOLDER: Final = "AGELENS_RUN_FOLDER"


def training_in(
    folder: RunFolder, config: str, train: Callable[[], dict[str, Any]], *, resume: bool
) -> dict[str, Any]:
    """What `train` gives, once the folder is begun with `config`, or held to go on with.

    Nothing in a process beside the first.

    Raises:
        KeyboardInterrupt: the user broke it off; its message says how to go on.
    """
    with _held(folder, config, resume=resume):
        try:
            return train()
        except SystemExit as left:  # how Lightning ends after Ctrl-C
            if not isinstance(left.__context__, KeyboardInterrupt):
                raise
            way_on = f"{folder.command} --resume {folder.path}"
            raise KeyboardInterrupt(f"interrupted; {way_on}") from None


@contextmanager
def _held(folder: RunFolder, config: str, *, resume: bool) -> Iterator[None]:
    """Begin the run or go on with it; processes beside the first one leave that to it."""
    if _is_helper():
        yield
        return
    with folder.held() if resume else folder.begun(config):
        yield


def checked_words(
    words: list[str], output: Path | None, resume: Path | None, command: str, schema: ConfigSchema
) -> list[str]:
    """The words of a configuration, with that of a resumed run before them, once they are checked.

    Nothing heavy is loaded: what is mistyped is told at once.

    Raises:
        UsageError: options that clash, an unknown key, or no run to go on with.
        UnknownNameError: a name that is in no registry.
    """
    if resume and output:
        raise UsageError("--resume goes on in the run's own folder: leave out -o")
    if resume:
        folder = RunFolder(resume, command)
        if not folder.config.is_file():
            raise UsageError(f"{resume} holds no run of {command}: no config.yaml")
        words = ["--config", str(folder.config), *words]
    document, options = read_arguments(words)
    schema.check(document, options)
    return words


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
    if _is_helper():
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


def _is_helper() -> bool:
    """Whether this is a process beside the first one of a run."""
    return any(os.environ.get(name, "0") not in ("", "0") for name in _RANKS)
