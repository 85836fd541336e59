"""Configuration files that build on others.

A file may name others that it is based on (`base`, relative to itself); what it says itself
counts more, and what is said later counts more still: files in the order given, then
options.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from agelens.errors import UsageError
from agelens.foreign_files import decoding, parse_yaml, read_yaml
from agelens.training.config_schema import LISTS, REGISTRIES, class_path

RECIPES: Final = Path(__file__).parents[1] / "recipes"
"""Configurations that come with agelens, by system or purpose."""
BASE: Final = "base"


def recipe_names() -> list[str]:
    """The names of the recipes, such as ``coral/morph``."""
    files = sorted(RECIPES.rglob("*.yaml"))
    return [str(file.relative_to(RECIPES).with_suffix("")) for file in files if file.stem != BASE]


def config_file(name: str | Path) -> Path:
    """The configuration at a path, or the recipe called `name`, in full or by its last part.

    Raises:
        UsageError: there is no such file and no such recipe, or several have that name.
    """
    path = Path(name)
    if path.exists() or path.suffix:
        return path
    names = recipe_names()
    fitting = [one for one in names if str(name) in (one, one.rpartition("/")[2])]
    if len(fitting) == 1:
        return RECIPES / f"{fitting[0]}.yaml"
    if fitting:
        raise UsageError(f"several recipes are called {name!r}: {', '.join(fitting)}")
    near = get_close_matches(str(name), [*names, *(one.rpartition("/")[2] for one in names)], n=1)
    guess = f" Did you mean {near[0]!r}?" if near else ""
    raise UsageError(f"{name!r} is no file and no recipe.{guess} agelens recipes lists the recipes")


def resolve_names(document: Mapping[str, Any]) -> dict[str, Any]:
    """`document` with import paths in place of names; raises as `class_path` does."""
    spelled = dict(document)
    if isinstance(spelled.get("backbone"), str):
        spelled["backbone"] = {"name": spelled["backbone"]}
    for key in REGISTRIES:
        group, _, inner = key.partition(".")
        value = spelled.get(group)
        if not inner and group in spelled:
            spelled[group] = _spelled(key, value)
        elif isinstance(value, Mapping) and inner in value:
            spelled[group] = {**value, inner: _spelled(key, value[inner])}
    return spelled


def named_arguments(arguments: Sequence[str]) -> list[str]:
    """`arguments` with import paths in place of names: ``--method dldl-v2``, ``--backbone ir50``.

    Raises:
        UnknownNameError: as `class_path` does.
        UsageError: a value that is no YAML.
    """
    spelled = list(arguments)
    for place, argument in enumerate(arguments):
        option, equals, value = argument.partition("=")
        given = value if equals else "".join(arguments[place + 1 : place + 2])
        settings = given.startswith("{") or given.endswith((".yaml", ".yml"))
        if option == "--backbone" and not settings:
            spelled[place] = f"--backbone.name{equals}{value}"  # as --method takes a name
        key = option.removeprefix("--").removesuffix("+")
        chosen = key.removesuffix(".class_path")
        if chosen != key and chosen in REGISTRIES and chosen not in LISTS:
            key, option = chosen, option.removesuffix(".class_path")  # YAML's own spelling
            spelled[place] = option
        if key not in REGISTRIES or not option.startswith("--"):
            continue
        if equals:
            spelled[place] = f"{option}={_spelled_word(key, value)}"
        elif place + 1 < len(arguments):
            spelled[place + 1] = _spelled_word(key, arguments[place + 1])
    return spelled


def _spelled(key: str, value: Any) -> Any:
    if key not in LISTS:
        return _spelled_class(key, value)
    if isinstance(value, str | Mapping):
        return [_spelled_class(key, value)]
    return [_spelled_class(key, each) for each in value] if isinstance(value, list) else value


def _spelled_class(key: str, value: Any) -> Any:
    if isinstance(value, str):
        return {"class_path": class_path(key, value)}
    if isinstance(value, Mapping) and isinstance(value.get("class_path"), str):
        return {**value, "class_path": class_path(key, value["class_path"])}
    return value


def _spelled_word(key: str, word: str) -> str:
    value = parse_yaml(word, f"--{key}", UsageError)
    spelled = _spelled(key, value)
    if isinstance(value, str) and key not in LISTS:
        return str(spelled["class_path"])
    return json.dumps(spelled)


def read_arguments(arguments: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """What the configurations that `arguments` name say together, and the options beside them.

    Names are spelled out in both.

    Raises:
        UsageError: see `config_file` and `read_config`.
        UnknownNameError: a name that is in no registry.
    """
    document: dict[str, Any] = {}
    options = []
    words = iter(arguments)
    for word in words:
        option, _, value = word.partition("=")
        if option == "--config":
            file = config_file(value or next(words, ""))
            document = merged(document, read_config(file))
        else:
            options.append(word)
    return document, named_arguments(options)


def read_config(path: Path) -> dict[str, Any]:
    """The document at `path` over those it is based on, with registry names spelled out.

    Raises:
        UsageError: it cannot be read, is no mapping, or is based on itself.
        UnknownNameError: a name that is in no registry.
    """
    with decoding(path, "a configuration", UsageError):
        return _read(path, ())


def merged(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """`upper` over `lower`, mapping by mapping; another class drops the old one's arguments."""
    if "class_path" in upper and upper["class_path"] != lower.get("class_path"):
        return dict(upper)
    both = dict(lower)
    for name, value in upper.items():
        under = both.get(name)
        both[name] = (
            merged(under, value)
            if isinstance(value, Mapping) and isinstance(under, Mapping)
            else value
        )
    return both


def _read(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    if path.resolve() in above:
        raise UsageError(f"{path} is based on itself")
    document = read_yaml(path, UsageError)
    if document is None:
        document = {}
    if not isinstance(document, Mapping):
        raise UsageError(f"{path}: a configuration is a mapping, not {type(document).__name__}")
    own = {name: value for name, value in document.items() if name != BASE}
    bases = document.get(BASE, [])
    bases = [bases] if isinstance(bases, str) else bases
    if not isinstance(bases, list) or not all(isinstance(base, str) for base in bases):
        raise UsageError(f"{path}: {BASE} is the path of a configuration, or a list of such paths")
    whole: dict[str, Any] = {}
    for base in bases:
        whole = merged(whole, _read(path.parent / base, (*above, path.resolve())))
    return merged(whole, resolve_names(own))
