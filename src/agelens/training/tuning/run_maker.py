"""Runs that differ from one configuration in a few values."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

from jsonargparse import ArgumentError

from agelens.errors import UsageError
from agelens.training.age_data import AgeData
from agelens.training.configuration import make_run, run_parser
from agelens.training.run_options import RunOptions


class RunMaker:
    """Makes the objects of a run anew for each trial, so that none carries another's state.

    All but the data, where no value of theirs is changed: once opened, they stay open.

    Args:
        document: a whole configuration in plain types, as `plain_config` gives it.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = dict(document)
        self._parser = run_parser()
        self._data: tuple[dict[str, Any], AgeData] | None = None

    def __call__(self, changes: Mapping[str, Any] | None = None) -> RunOptions:
        """The run with `changes`: values by dotted key, such as ``optimizer.lr``.

        Raises:
            UsageError: a key that the configuration does not have, or a value that does not fit.
        """
        document = deepcopy(self.document)
        for key, value in (changes or {}).items():
            set_value(document, key, value)
        try:
            config = self._parser.parse_object(document)
        except ArgumentError as error:
            raise UsageError(f"a trial's configuration is refused: {error}") from error
        run = make_run(self._parser, config)
        if self._data is None or self._data[0] != run.config["data"]:
            self._data = run.config["data"], run.data
        return replace(run, data=self._data[1])

    def value(self, key: str) -> Any:
        """What the configuration says of a dotted key; raises as calling does."""
        node, name = _place(self.document, key)
        return node[name]


def set_value(document: dict[str, Any], key: str, value: Any) -> None:
    """Set the value of a dotted key in place; arguments of a class go by ``group.argument``.

    Raises:
        UsageError: the configuration has no such key.
    """
    node, name = _place(document, key)
    node[name] = value


def _place(document: dict[str, Any], key: str) -> tuple[dict[str, Any], str]:
    node: Any = document
    *path, name = key.split(".")
    for part in path:
        node = _arguments(node.get(part) if isinstance(node, dict) else None)
    if not isinstance(node, dict) or name not in node:
        known = f"; there are {', '.join(sorted(node))}" if isinstance(node, dict) else ""
        raise UsageError(f"the configuration has no value {key!r}{known}")
    return node, name


def _arguments(node: Any) -> Any:
    return node["init_args"] if isinstance(node, dict) and "init_args" in node else node
