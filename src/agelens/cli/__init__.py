"""The command `agelens`: a table of commands, and one place that runs them.

A command is one function in a file of its group, and one line of `COMMANDS`::

    def gate(table: Path, *, limit: Share = 0.01, output: Path | None = None, json: bool = False):
        '''Find the challenge age that keeps false accepts below a limit.

        Args: <one line for each parameter: its help>
        '''
        from agelens.evaluation import gate

        found = gate(table, limit=limit)
        ...

Its signature is its options (see `agelens.cli.options`, which also has the types that check
numbers), its docstring their help. It imports what it needs in its body, calls the public
function of a package, and prints. It returns nothing, or an exit status. What goes wrong it
raises as an `AgelensError`; `main` makes a sentence and an exit status of it (`EXIT_STATUSES`).
`agelens.cli.output` prints tables and JSON, `agelens.progress` shows progress. Nothing is
loaded before a command is chosen. The commands that are for photos alone, and must start
quickly on a bare machine, add themselves to an argparse parser instead.
"""

from __future__ import annotations

import difflib
import errno
import io
import os
import signal
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from threading import current_thread, main_thread
from traceback import extract_tb
from typing import Any, Final, Literal, NoReturn

from agelens.atomic import OUTPUTS
from agelens.errors import (
    AgelensError,
    ExportError,
    FolderGoneError,
    MissingDependencyError,
    OutputError,
    TrainingError,
    UsageError,
    missing_extra,
    shortened,
)
from agelens.imaging.folders import FOLDERS
from agelens.version import __version__

EXIT_STATUSES: Final = {
    0: "all went well",
    1: "it failed: no file could be written, a package is missing, a run or export failed",
    2: "wrong usage: options that do not fit, or files that are not what they should be",
    3: "some photos could not be used; their rows say why",
    130: "interrupted by Ctrl-C or SIGTERM",
}
_FAILED, _WRONG_USAGE, _INTERRUPTED = 1, 2, 130
_LONGEST_ERROR: Final = 4000
_PLACES_SHOWN: Final = 5
_NO_ROOM: Final = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_FIRST_FREE: Final = 3  # of file descriptors, behind the standard streams
_FAILURES: Final = (OutputError, MissingDependencyError, ExportError, TrainingError)


GROUPS: Final = {
    "estimate": "photos",
    "registries": "photos",
    "bulk": "photos",
    "service": "photos",
    "page": "photos",
    "data": "data",
    "training": "training",
    "importing": "training",
    "evaluation": "evaluation",
    "models_on_faces": "evaluation",
    "recognition": "identity",
}
"""The heading that the commands of each module stand under."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Args:
        help: what it does, in one line.
        example: one call, without ``agelens``.
        home: ``module:function`` below `agelens.cli`.
        options: where its options come from: the function's signature, or an argparse parser
            that the function adds to.
        schema: ``module:SCHEMA`` of a configuration, whose keys are options too: the function's
            first parameter takes those words.
        kept: what to add when it is interrupted, or its photos' folder goes away.
    """

    help: str
    example: str
    home: str
    options: Literal["signature", "argparse"] = "signature"
    schema: str = ""
    kept: str = ""

    @property
    def group(self) -> str:
        """The heading that it stands under."""
        return GROUPS.get(self.home.partition(":")[0], "")


COMMANDS: Final[dict[str, Command]] = {
    "estimate": Command(
        "estimate the ages of the faces in photos, videos or a camera",
        "estimate party.jpg -o ages.csv",
        "estimate:add_command",
        options="argparse",
    ),
    "bulk": Command(
        "estimate millions of photos into Parquet files, on one machine or many",
        "bulk photos -o ages",
        "bulk:bulk",
        kept="the shards so far are kept; the same command goes on",
    ),
    "models": Command(
        "list the packaged models, or show one card whole",
        "models agelens-1",
        "registries:add_commands",
        options="argparse",
    ),
    "detectors": Command(
        "list the face detectors", "detectors", "registries:add_commands", options="argparse"
    ),
    "serve": Command(
        "answer HTTP requests, and show a page with the camera",
        "serve --port 8000",
        "service:add_command",
        options="argparse",
    ),
    "page": Command(
        "write the page as static files that estimate in the browser",
        "page -o page --runtime onnxruntime-web-1.30.0.tgz",
        "page:add_command",
        options="argparse",
    ),
    "data sample": Command(
        "draw a small dataset of faces that belong to nobody, to try things with",
        "data sample -o sample",
        "data:sample",
    ),
    "data read": Command(
        "read a downloaded dataset, a list or own data into a table",
        "data read people.csv --columns age_years=Age,path=file -o people.parquet",
        "data:read",
    ),
    "data prepare": Command(
        "cut a table's faces into a chip store",
        "data prepare people.parquet -o store",
        "data:prepare",
        kept="what was prepared is kept; the same command goes on",
    ),
    "data split": Command(
        "split a table, and refuse leaks",
        "data split people.parquet --protocol subject-k-fold -o split",
        "data:split",
    ),
    "data explore": Command(
        "draw a table: a page and pictures",
        "data explore people.parquet -o explored",
        "data:explore",
    ),
    "data audit": Command(
        "find duplicates, wrong labels, bad pictures",
        "data audit people.parquet -o audit",
        "data:audit",
    ),
    "data label": Command(
        "give a table's faces the ages that a model sees",
        "data label faces.parquet --model cc0-resnet10 -o labelled.parquet",
        "data:label",
    ),
    "data convert": Command(
        "write a table in the format of another tool",
        "data convert people.parquet --to rapl -o rapl.csv",
        "data:convert",
    ),
    "data datasets": Command(
        "list the datasets that can be read", "data datasets", "data:datasets"
    ),
    "data formats": Command("list the formats of other tools", "data formats", "data:formats"),
    "data splits": Command("list the protocols of splits", "data splits", "data:splits"),
    "methods": Command(
        "list the methods, or say where one differs from its paper",
        "methods rapl",
        "training:methods",
    ),
    "recipes": Command(
        "list the configurations that come with agelens, or print one",
        "recipes utkface-dlib-resnet10",
        "training:recipes",
    ),
    "train": Command(
        "train an age estimator from a configuration",
        "train --config utkface-dlib-resnet10 -o runs/first",
        "training:train",
        schema="agelens.training.config_schema:AGE_RUN",
    ),
    "tune": Command(
        "find learning rate and weight decay in steps that are reported, then train",
        "tune --config utkface-dlib-resnet10 -o tuned",
        "training:tune",
        schema="agelens.training.config_schema:AGE_RUN",
    ),
    "export": Command(
        "write a trained run as ONNX or TorchScript", "export runs/first --int8", "training:export"
    ),
    "runs": Command("list the runs in a folder", "runs", "training:runs"),
    "import": Command(
        "make a model of a file that another system trained",
        "import cacd.pt -o models/cacd",
        "importing:import_",
    ),
    "predict": Command(
        "estimate labelled faces into a predictions table",
        "predict --model runs/first -o test.parquet",
        "models_on_faces:predict",
    ),
    "evaluate": Command(
        "measure predictions: metrics with intervals, by group, one page",
        "evaluate test.parquet -o report",
        "evaluation:evaluate",
    ),
    "compare": Command(
        "compare models on the same faces",
        "compare runs/first runs/second -o comparison",
        "evaluation:compare",
    ),
    "calibrate": Command(
        "make a model's intervals hold as often as they say",
        "calibrate valid.parquet --model runs/first -o calibrated",
        "models_on_faces:calibrate",
    ),
    "gate": Command(
        "find the challenge age that keeps false accepts below a limit",
        "gate test.parquet --legal 18 --max-false-accept 0.01",
        "evaluation:gate",
    ),
    "nist": Command(
        "measure predictions as NIST's age estimation report does",
        "nist test.parquet -o nist",
        "evaluation:nist",
    ),
    "stress": Command(
        "measure how much damaged pictures change the ages",
        "stress --model runs/first -o stress",
        "models_on_faces:stress",
    ),
    "explain": Command(
        "draw which parts of a face an age rests on",
        "explain party.jpg -o maps",
        "models_on_faces:explain",
    ),
    "statement": Command(
        "write a model's practice statement from its card and measurements",
        "statement agelens-1 --evaluations evaluated,gated -o statement.md",
        "evaluation:statement",
    ),
    "leaderboard": Command(
        "rank methods by all their runs",
        "leaderboard runs/first runs/second -o board.md",
        "evaluation:leaderboard",
    ),
    "verify": Command(
        "say whether two photos show one person", "verify then.jpg now.jpg", "recognition:verify"
    ),
    "search": Command(
        "find a person in a folder of photos", "search grandma.jpg album", "recognition:search"
    ),
    "identity embed": Command(
        "embed faces into a table",
        "identity embed fgnet.parquet -o fgnet-faces.parquet",
        "recognition:identity_embed",
    ),
    "identity add": Command(
        "make an extractor of your own embedding network",
        "identity add arcface.onnx --name mine --measure lfw.parquet",
        "recognition:identity_add",
    ),
    "identity train": Command(
        "train the two-branch network from a configuration",
        "identity train --config iefp/identity --data.stores store -o runs/me",
        "recognition:identity_train",
        schema="agelens.cli.recognition:IDENTITY_RUN",
    ),
    "identity purify": Command(
        "train a small network that takes age out of embeddings",
        "identity purify lfw-faces.parquet -o purified",
        "recognition:identity_purify",
    ),
    "identity age": Command(
        "measure the age left in an identity branch",
        "identity age runs/identity fgnet-112",
        "recognition:identity_age",
    ),
    "identity test": Command(
        "measure embeddings by a published protocol",
        "identity test leave-one-out fgnet-faces.parquet -o tested",
        "recognition:identity_test",
    ),
}

_START_HERE: Final = (
    ("agelens estimate party.jpg", "the ages of the faces in a photo"),
    ("agelens data datasets", "the datasets that can be read, for training and measuring"),
    ("agelens COMMAND --help", "what a command does, and its options"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status, one of `EXIT_STATUSES`."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    if debug:
        words.remove("--debug")
    with _open_streams(words):
        return _main(words, debug=debug)


def _main(words: list[str], *, debug: bool) -> int:
    command = None
    try:
        name, rest = _named(words)
        command = COMMANDS.get(name)
        with _all_printed(), _sigterm_as_interrupt(), FOLDERS.must_stay(), OUTPUTS.of_command():
            if command is None:
                return _told_in_general(name, rest)
            return _run(name, command, rest)
    except BrokenPipeError:
        return _FAILED  # whoever read our rows has seen enough; there is nobody left to tell
    except (AgelensError, OSError) as error:
        if debug:
            raise
        told = shortened(_without_controls(_sentence(error)), _LONGEST_ERROR)
        if isinstance(error, FolderGoneError) and command and command.kept:
            told = f"{told}; {command.kept}"
        print(f"agelens: error: {told}", file=sys.stderr)
        failed = isinstance(error, (*_FAILURES, OSError))
        return _FAILED if failed else _WRONG_USAGE
    except Exception as fault:
        if debug:
            raise
        told = shortened(_without_controls(_not_foreseen(fault)), _LONGEST_ERROR)
        print(f"agelens: error: {told}", file=sys.stderr)
        return _FAILED
    except KeyboardInterrupt as stopped:
        if debug:
            raise
        kept = f"; {command.kept}" if command and command.kept else ""
        print(f"agelens: {str(stopped) or f'interrupted{kept}'}", file=sys.stderr)
        return _INTERRUPTED


def _not_foreseen(fault: Exception) -> str:
    """What to report; where it came from is said at once, for hours may stand behind it."""
    if isinstance(fault, MemoryError):
        return "there is not enough memory for this"
    places = [f"{Path(one.filename).name}:{one.lineno}" for one in extract_tb(fault.__traceback__)]
    return (
        f"{type(fault).__name__}: {fault}\nThis was not foreseen: a fault of agelens, or of a "
        f"class of your own ({' > '.join(places[-_PLACES_SHOWN:])}). --debug shows more; please "
        "report it"
    )


def _without_controls(text: str) -> str:
    """`text` with what would steer a terminal escaped, but for line ends."""
    return "".join(
        one.encode("unicode_escape").decode("ascii")
        if unicodedata.category(one).startswith("C") and one != "\n"
        else one
        for one in text
    )


def _named(words: Sequence[str]) -> tuple[str, list[str]]:
    """The command that `words` begin with, or else their first word, and the words after it."""
    two = " ".join(words[:2])
    taken = 2 if two in COMMANDS else 1
    return " ".join(words[:taken]), list(words[taken:])


def _told_in_general(name: str, rest: Sequence[str]) -> int:
    """What is printed where no command is named; the exit status."""
    below = [command for command in COMMANDS if command.startswith(f"{name} ")]
    if name in ("-h", "--help"):
        print(_help(COMMANDS))
        return 0
    if name == "--version":
        print(f"agelens {__version__}")
        return 0
    if below and rest and rest[0] in ("-h", "--help"):
        print(_help(below, within=name))
        return 0
    print(f"usage: agelens {f'{name} ' if below else ''}COMMAND [options]", file=sys.stderr)
    if not name or (below and not rest):
        raise UsageError(f"name a command; agelens {f'{name} ' if below else ''}--help lists them")
    asked = f"{name} {rest[0]}" if below else name
    near = difflib.get_close_matches(asked, below or COMMANDS, n=1)
    guess = f" Did you mean agelens {near[0]}?" if near else ""
    raise UsageError(f"there is no command {asked!r}.{guess} agelens --help lists them")


def _help(names: Sequence[str] | dict[str, Command], within: str = "") -> str:
    lines = [f"usage: agelens {f'{within} ' if within else ''}COMMAND [options]", ""]
    if not within:
        lines += ["How old faces look, and how sure that is.", "", "start here"]
        lines += [f"  {call:28}{what}" for call, what in _START_HERE]
    group = ""
    for name in names:
        command = COMMANDS[name]
        if command.group != group:
            group = command.group
            lines += ["", group]
        lines += [f"  {name:16}{command.help}", f"  {'':16}  agelens {command.example}"]
    lines += [
        "",
        "everywhere",
        f"  {'--help':16}what a command does, and its options",
        f"  {'--version':16}the version of agelens",
        f"  {'--debug':16}where an error came from, in the code",
        "",
        "exit status",
        *(f"  {status:<16}{meaning}" for status, meaning in EXIT_STATUSES.items()),
        "",
        "An age estimate is no proof of age: see the README for what it is not fit for.",
    ]
    return "\n".join(lines)


def _named_by(home: str) -> Any:
    """What ``module:name`` names."""
    module, _, name = home.partition(":")
    return getattr(import_module(module), name)


def _run(name: str, command: Command, words: list[str]) -> int:
    if command.options == "argparse":
        import argparse  # noqa: PLC0415 - no other command needs it

        parser = argparse.ArgumentParser(prog="agelens")
        # No short forms, as in all commands: --json would be taken for --json-dir.
        whole_names: Any = partial(argparse.ArgumentParser, allow_abbrev=False)
        subparsers = parser.add_subparsers(required=True, parser_class=whole_names)
        _named_by(f"agelens.cli.{command.home}")(subparsers)
        options, unknown = parser.parse_known_args([*name.split(), *words])
        if unknown:
            told = f"unrecognized arguments: {' '.join(unknown)}"
            raise UsageError(f"{told}; agelens {name} --help shows the options")
        return int(options.run(options))
    with missing_extra(name):
        # Last, so that a file of the user's never stands before a package of that name.
        here = _current_folder()
        if here not in sys.path:
            sys.path.append(here)
        function = _named_by(f"agelens.cli.{command.home}")
        from agelens.cli.options import parsed_beside, parsed_options  # noqa: PLC0415

        if command.schema:
            given = parsed_beside(function, name, words, _named_by(command.schema))
        else:
            given = parsed_options(function, name, words)
        return int(function(*given.args, **given.kwargs) or 0)


def _current_folder() -> str:
    try:
        return str(Path.cwd())
    except FileNotFoundError as error:
        raise UsageError("the current folder is gone: change to one that is there") from error


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """SIGTERM ends a command as Ctrl-C does: what was begun is left whole."""
    if current_thread() is not main_thread():
        yield
        return

    def interrupt(_: int, __: object) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error)


class _ClosedOutput(io.StringIO):
    """Standard output that was closed before we began."""

    def write(self, _: str) -> int:
        raise OutputError("standard output is closed: name an --output, or open it")


@contextmanager
def _open_streams(words: Sequence[str]) -> Iterator[None]:
    """Standard streams that can be written to, or say why not; each as it was in the end."""
    before = sys.stdout, sys.stderr
    if None in before:  # or the next file opened would be taken for standard output by libraries
        while os.open(os.devnull, os.O_RDWR) < _FIRST_FREE:
            pass
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names are Unicode: where a terminal is not, escapes are better than a crash.
        sys.stdout.reconfigure(errors="backslashreplace")
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        if sys.stderr is None:  # `print` would take standard output for it
            sys.stderr = nowhere
        if sys.stdout is None:
            sys.stdout = nowhere if {"-o", "--output"} & {*words} else _ClosedOutput()
        try:
            yield
        finally:
            sys.stdout, sys.stderr = before


@contextmanager
def _all_printed() -> Iterator[None]:
    """What a command printed has reached whoever reads it, or the command has failed.

    Raises:
        BrokenPipeError: the reader is gone.
        OutputError: there is no room for it. (Files of ours are written by `agelens.atomic`, which
            tells of its own errors.)
    """
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OSError as error:
        if error.filename is not None or error.errno not in _NO_ROOM:
            raise
        # Or Python would try again at its exit, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise
        raise OutputError(f"cannot write to standard output: {error.strerror}") from error
