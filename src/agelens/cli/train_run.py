"""`agelens train`: a configuration to a run, or a run gone on with."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from jsonargparse import ArgumentParser

from agelens.errors import UsageError
from agelens.training.configuration import config_text, make_run, parse_run, run_parser
from agelens.training.run_folder import RunFolder
from agelens.training.train import train as train_run

_RANKS: Final = ("LOCAL_RANK", "RANK", "SLURM_PROCID")
_FOLDER: Final = "AGELENS_RUN_FOLDER"
_FOLDERS: Final = {"-o": "output", "--output": "output", "--resume": "resume"}
_FLAGS: Final = {
    "-q": ("quiet", True),
    "--quiet": ("quiet", True),
    "--print-config": ("print_config", True),
    "--no-export": ("export", False),
}
_INTERRUPTED: Final = 130


@dataclass(slots=True)
class _Options:
    """What the command itself is told; all other words are the configuration's."""

    output: Path | None = None
    resume: Path | None = None
    quiet: bool = False
    print_config: bool = False
    export: bool = True
    rest: list[str] = field(default_factory=list)


def train(words: Sequence[str]) -> int:
    """Train, and say what came of it."""
    parser = run_parser()
    options = _parsed(parser, words)
    if options.resume:
        config_file = RunFolder(options.resume).config
        if not config_file.is_file():
            raise UsageError(f"{options.resume} holds no run of agelens train: no config.yaml")
        options.rest[:0] = ["--config", str(config_file)]
    config = parse_run(parser, options.rest)
    if options.print_config:
        print(config_text(config), end="")
        return 0
    run = make_run(parser, config)
    folder = RunFolder(options.resume or options.output or _new_folder(options.rest))
    if options.resume and folder.summary.is_file():
        print(f"{folder.path} is finished already; nothing to do", file=sys.stderr)
        return 0
    os.environ[_FOLDER] = str(folder.path)  # processes that Lightning starts do the same
    with _held(folder, config_text(config), resume=options.resume is not None):
        try:
            summary = train_run(run, folder, quiet=options.quiet)
        except SystemExit as left:  # how Lightning ends after Ctrl-C
            if not isinstance(left.__context__, KeyboardInterrupt):
                raise
            print(f"agelens: interrupted; agelens train --resume {folder.path}", file=sys.stderr)
            return _INTERRUPTED
    if summary:
        _tell(summary, folder)
        if options.export:
            _export(folder)
    return 0


def _export(folder: RunFolder) -> None:
    from agelens.export.run_export import export_run  # noqa: PLC0415 - takes seconds to load

    exported = export_run(folder.path)
    print(f"agelens estimate --model {exported.folder} uses it")


def _parsed(parser: ArgumentParser, words: Sequence[str]) -> _Options:
    """The command's own options taken out, before the configuration is read."""
    options = _Options()
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
            _print_help(parser)
            raise SystemExit(0)
        else:
            options.rest.append(word)
    if options.resume and options.output:
        raise UsageError("--resume goes on in the run's own folder: leave out -o")
    return options


def _print_help(parser: ArgumentParser) -> None:
    print(
        "usage: agelens train --config FILE [--KEY VALUE ...] [-o RUN]\n"
        "       agelens train --resume RUN\n\n"
        "  -o, --output RUN   folder of the run; by default one below runs/, named after the file\n"
        "  --resume RUN       go on with a run that was interrupted, from its last checkpoint\n"
        "  --print-config     print the whole configuration and stop\n"
        "  --no-export        leave out the bundle for agelens estimate --model\n"
        "  -q, --quiet        print nothing while training\n"
    )
    parser.print_help()


def _new_folder(arguments: Sequence[str]) -> Path:
    """runs/NAME of the last configuration file, with a number where that is taken."""
    if _FOLDER in os.environ and _is_helper():
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


@contextmanager
def _held(folder: RunFolder, config: str, *, resume: bool) -> Iterator[None]:
    if _is_helper():
        yield
        return
    with folder.held() if resume else folder.begun(config):
        yield


def _tell(summary: dict[str, Any], folder: RunFolder) -> None:
    for part, figures in summary["metrics"].items():
        print(
            f"{part}: MAE {figures['mae']:.3f} years, CS@5 {100 * figures['cs5']:.1f} %, "
            f"bias {figures['bias']:+.2f}, {figures['samples']:,} samples"
        )
    share = summary["model_time_share"]
    told = f", {100 * share:.0f} % of it in the model" if share is not None else ""
    print(f"{summary['epochs']} epochs in {summary['seconds']:.0f} s{told}; wrote {folder.path}")
