"""What a command that trains is told itself, beside the words of its configuration."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from agelens.errors import UsageError
from agelens.training.run_folder import RunFolder

INTERRUPTED: Final = 130
"""The exit status after Ctrl-C."""

_RANKS: Final = ("LOCAL_RANK", "RANK", "SLURM_PROCID")
_FOLDER: Final = "AGELENS_RUN_FOLDER"
_FOLDERS: Final = {"-o": "output", "--output": "output", "--resume": "resume"}
_FLAGS: Final = {
    "-q": ("quiet", True),
    "--quiet": ("quiet", True),
    "--print-config": ("print_config", True),
    "--no-export": ("export", False),
}


@dataclass(slots=True)
class TrainOptions:
    """The command's own options; `rest` are the configuration's words."""

    output: Path | None = None
    resume: Path | None = None
    quiet: bool = False
    print_config: bool = False
    export: bool = True
    rest: list[str] = field(default_factory=list)

    def folder(self, command: str) -> RunFolder:
        """The run's folder: the one that is named, or a new one below runs/.

        Processes that Lightning starts find the same one.

        Raises:
            UsageError: several processes were started and no folder is named.
        """
        path = self.resume or self.output or _new_folder(self.rest)
        os.environ[_FOLDER] = str(path)
        return RunFolder(path, command)


def run_words(words: Sequence[str], command: str, print_help: Callable[[], None]) -> TrainOptions:
    """The command's own options taken out, before the configuration is read.

    Of a run that is resumed, the configuration is the one in its folder.

    Raises:
        UsageError: an option without its folder, two that clash, or no run to go on with.
    """
    options = TrainOptions()
    left = iter(words)
    for word in left:
        option, equals, value = word.partition("=")
        if option in _FOLDERS:
            given = value if equals else next(left, "")
            if not given or given.startswith("-"):
                raise UsageError(f"{option} needs a folder")
            setattr(options, _FOLDERS[option], Path(given))
        elif word in _FLAGS:
            name, to = _FLAGS[word]
            setattr(options, name, to)
        elif word in ("-h", "--help"):
            print_help()
            raise SystemExit(0)
        else:
            options.rest.append(word)
    if options.resume and options.output:
        raise UsageError("--resume goes on in the run's own folder: leave out -o")
    if options.resume:
        config = RunFolder(options.resume).config
        if not config.is_file():
            raise UsageError(f"{options.resume} holds no run of {command}: no config.yaml")
        options.rest[:0] = ["--config", str(config)]
    return options


def run_or_resume(
    options: TrainOptions, folder: RunFolder, config: str, train: Callable[[], dict[str, Any]]
) -> dict[str, Any] | None:
    """What `train` gives, once the folder is begun with `config`, or held to go on with.

    Nothing where the run is finished already, or in a process beside the first; None where
    the user broke it off, which is told.
    """
    if options.resume and folder.summary.is_file():
        print(f"{folder.path} is finished already; nothing to do", file=sys.stderr)
        return {}
    with _held(folder, config, resume=options.resume is not None):
        try:
            return train()
        except SystemExit as left:  # how Lightning ends after Ctrl-C
            if not isinstance(left.__context__, KeyboardInterrupt):
                raise
            way_on = f"{folder.command} --resume {folder.path}"
            print(f"agelens: interrupted; {way_on}", file=sys.stderr)
            return None


@contextmanager
def _held(folder: RunFolder, config: str, *, resume: bool) -> Iterator[None]:
    """Begin the run or go on with it; processes beside the first one leave that to it."""
    if _is_helper():
        yield
        return
    with folder.held() if resume else folder.begun(config):
        yield


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
