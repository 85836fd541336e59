"""Commands in processes of their own that begin with all imported that a training imports.

A forkserver imports it once, so that such a process is there in a moment instead of in seconds.
"""

from __future__ import annotations

import functools
import importlib
import multiprocessing
import os
import runpy
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

# Of the last four, an export and the events of a run import some a second each.
_PRELOADED = [
    "agelens.training.training_loop",
    "agelens.training.run_export",
    "agelens.models.methods.drf",
    "agelens.recognition.training.stages",
    "torch._dynamo",
    "torch.onnx._internal.exporter._core",
    "onnxscript.optimizer",
    "torch.utils.tensorboard",
]


@functools.cache
def processes() -> ForkServerContext:
    """Makes processes that begin with everything imported, and nothing done yet."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return context


@dataclass(frozen=True)
class Ended:
    """What a process left: its exit status, -9 where it was killed, and what it printed."""

    returncode: int
    output: str


def start(
    *words: object, log: Path, first: Callable[[], object] = bool, **environment: str
) -> BaseProcess:
    """`agelens WORDS`, begun; it calls `first` before, and prints into `log`."""
    given = (list(map(str, words)), str(log), first, environment)
    process = processes().Process(target=_command, args=given)
    process.start()
    return process


def start_program(program: Path, *words: object, log: Path) -> BaseProcess:
    """The Python program in that file, begun as `__main__`; it prints into `log`."""
    given = (str(program), list(map(str, words)), str(log))
    process = processes().Process(target=_program, args=given)
    process.start()
    return process


def end(process: BaseProcess, log: Path, *, seconds: float = 600) -> Ended:
    """Wait for the end of `process`, which is killed if it does not come."""
    process.join(seconds)
    ended = process.exitcode is not None
    with suppress(ProcessLookupError):
        process.kill()
    process.join()
    assert ended, log.read_text()
    return Ended(int(process.exitcode or 0), log.read_text())


def _command(
    words: list[str], log: str, first: Callable[[], object], environment: dict[str, str]
) -> None:
    from agelens.cli import main

    _begin(log)
    os.environ.update(environment)
    first()
    sys.exit(main(words))


def _program(program: str, words: list[str], log: str) -> None:
    _begin(log)
    sys.argv = [program, *words]
    runpy.run_path(program, run_name="__main__")


def _begin(log: str) -> None:
    import torch

    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    torch.set_num_threads(1)  # of small tensors, more threads only wait for each other


def kill_at(function: str, count: int, set_first: dict[str, Any]) -> None:
    """Let this process be killed when it calls ``module:function`` once more than `count` times."""
    for named, value in set_first.items():
        setattr(*_place(named), value)
    place, name = _place(function)
    whole, left = getattr(place, name), count

    def until_killed(*given: Any, **named: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(*given, **named)

    setattr(place, name, until_killed)


def _place(named: str) -> tuple[Any, str]:
    module, _, path = named.partition(":")
    *outer, name = path.split(".")
    return functools.reduce(getattr, outer, importlib.import_module(module)), name
