"""What is wrong with a configuration, in words that name the nearest thing that is right."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Iterable
from importlib import import_module
from typing import Final

from jsonargparse import ArgumentError, ArgumentParser

from agelens.errors import UsageError

_NOT_ACCEPTED: Final = re.compile(r"[Oo]ption '([^']+)' is not accepted")
_IN_GROUP: Final = re.compile(r"Group '([^']+)' does not accept option '([^']+)'")
_UNRECOGNISED: Final = re.compile(r"[Uu]nrecognized arguments: (.*)")
_REQUIRED: Final = re.compile(
    r"given class_path '[\w.]*?(\w+)':\s+the following arguments are required: ([\w, ]+)"
)
_CLASS: Final = re.compile(r"class_path '([\w.]+)'")
_TYPE_NOISE: Final = re.compile(r"\s*- Expected a <class 'NoneType'>|\s*Subtypes: .*")


def explained(error: ArgumentError, parser: ArgumentParser) -> UsageError:
    """The error with the nearest valid keys, where a key is unknown."""
    message = str(error)
    unknown = _NOT_ACCEPTED.search(message)
    named = _CLASS.search(message)
    if unknown and named:
        group = message.partition('Parser key "')[2].partition('"')[0]
        valid = _parameters(named[1])
        return _unknown(f"{group}.{unknown[1]}", (f"{group}.{name}" for name in valid))
    if unknown:
        return _unknown(unknown[1], _keys(parser))
    in_group = _IN_GROUP.search(message)
    if in_group:
        return _unknown(f"{in_group[1]}.{in_group[2]}", _keys(parser))
    unrecognised = _UNRECOGNISED.search(message)
    if unrecognised:
        word = unrecognised[1].split()[0].partition("=")[0]
        return _unknown(word, (f"--{key}" for key in _keys(parser)))
    required = _REQUIRED.search(message)
    if required:
        return UsageError(f"{required[1]} needs {required[2].strip()}: give init_args for it")
    return UsageError(f"the configuration is refused: {_TYPE_NOISE.sub('', message).strip()}")


def _unknown(key: str, valid: Iterable[str]) -> UsageError:
    keys = sorted(valid)
    near = difflib.get_close_matches(key, keys, n=1, cutoff=0.5)
    if not near:
        near = difflib.get_close_matches(key.partition(".")[0], keys, n=1, cutoff=0.5)
    group = key.partition(".")[0] + "."
    keys = [one for one in keys if one.startswith(group)] or keys
    guess = f" Did you mean {near[0]!r}?" if near else ""
    return UsageError(f"unknown key {key!r}.{guess} Valid keys: {', '.join(keys)}")


def _keys(parser: ArgumentParser) -> list[str]:
    keys = {action.dest for action in parser._actions}
    return sorted(keys - {"help", "print_config"})


def _parameters(path: str) -> list[str]:
    module, _, name = path.rpartition(".")
    signature = inspect.signature(getattr(import_module(module), name))
    return list(signature.parameters)
