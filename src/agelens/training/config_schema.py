"""What a configuration may say, read from the source of the classes, without loading torch.

The constructors are the schema (`agelens.training.configuration` asks them). Importing them
takes seconds, so that a mistyped key or name is looked for here first. What cannot be read
from a source, such as the arguments of a class that is made at run time, is left to them.

A file may name others that it is based on (`base`, relative to itself); what it says itself
counts more, and what is said later counts more still: files in the order given, then options.
"""

from __future__ import annotations

import ast
import difflib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from agelens.errors import UnknownNameError, UsageError
from agelens.foreign_files import decoding, parse_yaml, read_yaml

LIGHTNING_OURS: Final = {
    *("logger", "callbacks", "plugins", "profiler", "default_root_dir", "barebones"),
    *("enable_checkpointing", "enable_progress_bar", "enable_model_summary", "model_registry"),
    *("enable_autolog_hparams", "num_sanity_val_steps", "use_distributed_sampler"),
    *("fast_dev_run", "overfit_batches", "reload_dataloaders_every_n_epochs"),
    *("limit_val_batches", "limit_test_batches", "limit_predict_batches", "inference_mode"),
    *("val_check_interval", "check_val_every_n_epoch", "min_epochs", "min_steps", "max_steps"),
    "max_time",
}
"""Arguments of Lightning's Trainer that the run itself decides."""

_REGISTRIES: Final = {
    "method": "agelens.models.methods:METHODS",
    "optimizer": "agelens.training.optimizers:OPTIMIZERS",
    "schedule": "agelens.training.optimizers:SCHEDULES",
    "callbacks": "agelens.training.callbacks:CALLBACKS",
    "regularisers": "agelens.training.regularisers:REGULARISERS",
    "data.augmentations": "agelens.data.training_input.chip_dataset:AUGMENTATIONS",
}
LISTS: Final = {
    "callbacks": "callback",
    "regularisers": "regulariser",
    "data.augmentations": "augmentation",
}
"""Keys with a list of classes, and what one of them is called."""
REGISTRIES: Final = tuple(_REGISTRIES)
"""Keys whose classes go by names."""


@cache
def registry(key: str) -> dict[str, str]:
    """The names that stand for classes at `key`, each with ``module:Class``."""
    module, _, name = _REGISTRIES[key].partition(":")
    for node in _source(module).body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == name and node.value:
            found: dict[str, str] = ast.literal_eval(node.value)
            return found
    raise KeyError(_REGISTRIES[key])


def class_path(key: str, name: str) -> str:
    """The import path of the class called `name` in the registry of `key`, or `name` if it is one.

    Raises:
        UnknownNameError: it is neither.
    """
    if name in registry(key):
        return registry(key)[name].replace(":", ".")
    if "." in name:
        return name
    hint = " An import path works too, such as package.module.Class."
    raise UnknownNameError(LISTS.get(key, key), name, registry(key), hint)


@dataclass(frozen=True, slots=True)
class ConfigSchema:
    """The keys of one kind of configuration.

    Args:
        plain: keys with a plain value.
        parts: keys with the arguments of one class, each with its import path.
        classes: keys with a class that can be chosen, or a list of them.
        parser: ``module:function`` of the parser that takes them all, and explains each.
        decided: arguments that the run itself decides, so that they are no keys.
    """

    plain: Sequence[str]
    parts: Mapping[str, str]
    classes: Sequence[str]
    parser: str
    decided: Set[str] = frozenset(LIGHTNING_OURS)

    def check(self, document: Mapping[str, Any], options: Sequence[str]) -> None:
        """Check the keys of a configuration and of the options beside it.

        Args:
            document: what configuration files say, names spelled out.
            options: words such as ``--method.sigma 3``, names spelled out.

        Raises:
            UsageError: an unknown key; the message names the nearest one.
        """
        for group, value in document.items():
            self._check_group(group, group)
            if group in self.classes:
                _check_classes(group, value)
            elif isinstance(value, Mapping):
                for key, inner in value.items():
                    self._check_argument(group, key, f"{group}.")
                    if f"{group}.{key}" in LISTS:
                        _check_classes(f"{group}.{key}", inner)
        self._check_options(options, {key: document.get(key) for key in self.classes})

    def _check_options(self, options: Sequence[str], chosen: dict[str, Any]) -> None:
        for place, word in enumerate(options):
            option, equals, value = word.partition("=")
            key = option.removeprefix("--").removesuffix("+")
            if not option.startswith("--") or key in ("config", "help"):
                continue
            group, _, inner = key.partition(".")
            self._check_group(group, option.removesuffix("+"))
            if not inner:
                chosen[group] = value if equals else "".join(options[place + 1 : place + 2])
            elif group in self.parts:
                self._check_argument(group, inner.partition(".")[0], f"--{group}.")
            elif group not in LISTS:  # of a list, they are the last one's
                first = inner.removeprefix("init_args.").partition(".")[0]
                _check_class(group, {"class_path": _path(chosen[group]), "init_args": {first: 0}})

    def _check_group(self, group: str, said: str) -> None:
        known = (*self.plain, *self.parts, *self.classes)
        if group in known:
            return
        dashes = "--" if said.startswith("--") else ""
        dotted = [f"{part}.{name}" for part in self.parts for name in self.arguments(part)]
        near = dotted if "." in said else known
        raise unknown_key(said, (f"{dashes}{key}" for key in near))

    def _check_argument(self, part: str, key: str, prefix: str) -> None:
        known = self.arguments(part)
        if known and key not in known:
            raise unknown_key(f"{prefix}{key}", (f"{prefix}{name}" for name in known))

    def arguments(self, part: str) -> list[str]:
        """The arguments of a part; none where its source does not say them."""
        return [one for one in arguments_of(self.parts[part]) or () if one not in self.decided]

    def summary(self, options: Sequence[str] = ()) -> Iterator[str]:
        """A line for each key: its names or arguments, and those of the classes in `options`."""
        for key in self.plain:
            yield f"--{key}"
        for key in self.classes:
            plus, names = "+" if key in LISTS else "", registry(key) if key in REGISTRIES else {}
            yield f"--{key}{plus} {' | '.join(names) or 'CLASS'}"
            for option, name in pairwise(options):
                if option == f"--{key}{plus}" and name in names:
                    yield f"    {name}: {_joined(key, arguments_of(class_path(key, name)))}"
        for part in self.parts:
            yield _joined(part, self.arguments(part))
            for key in LISTS:
                if key in (f"{part}.{name}" for name in self.arguments(part)):
                    yield f"--{key}+ {' | '.join(registry(key))}"


def _joined(group: str, arguments: Sequence[str] | None) -> str:
    return " ".join(f"--{group}.{name}" for name in arguments or ())


def _check_classes(key: str, value: Any) -> None:
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, Mapping):
            _check_class(key, one)


def _check_class(key: str, given: Mapping[str, Any]) -> None:
    known = arguments_of(_path(given))
    named = given.get("init_args")
    if known is None or not isinstance(named, Mapping):
        return
    for name in named:
        if name not in known and name not in ("class_path", "init_args"):
            raise unknown_key(f"{key}.{name}", (f"{key}.{one}" for one in known))


def _path(given: Any) -> str:
    path = given.get("class_path") if isinstance(given, Mapping) else given
    return str(path or "")


AGE_RUN: Final = ConfigSchema(
    plain=("seed", "channels_last"),
    parts={
        "data": "agelens.data.age_data.AgeData",
        "backbone": "agelens.training.model_parts.BackboneChoice",
        "auxiliary": "agelens.training.model_parts.AuxiliaryChoice",
        "selection": "agelens.training.epoch_metrics.Selection",
        "checkpoints": "agelens.training.run_options.CheckpointTimes",
        "trainer": "pytorch_lightning.trainer.trainer.Trainer",
    },
    classes=("method", "optimizer", "schedule", "callbacks", "regularisers"),
    parser="agelens.training.configuration:run_parser",
)
"""The keys of `agelens train`."""


def unknown_key(key: str, valid: Iterable[str]) -> UsageError:
    """The error for a key that is none of the `valid` ones, with the nearest of them."""
    keys = sorted(valid)
    near = difflib.get_close_matches(key, keys, n=1, cutoff=0.5)
    if not near:
        near = difflib.get_close_matches(key.partition(".")[0], keys, n=1, cutoff=0.5)
    group = key.partition(".")[0] + "."
    keys = [one for one in keys if one.startswith(group)] or keys
    guess = f" Did you mean {near[0]!r}?" if near else ""
    return UsageError(f"unknown key {key!r}.{guess} Valid keys: {', '.join(keys)}")


@cache
def arguments_of(path: str) -> list[str] | None:
    """The names of the arguments of the class at ``package.module.Class``.

    None where its source does not say them, such as of a class that takes ``**options``.
    """
    module, _, name = path.rpartition(".")
    try:
        return _arguments(module, name)
    except (OSError, SyntaxError, ImportError, LookupError, ValueError):
        return None  # the constructor itself will say what is wrong


def _arguments(module: str, name: str) -> list[str] | None:
    source = _source(module)
    for node in source.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return _of_class(node, module, source)
    home = _imported_from(source, name)
    return _arguments(*home)


def _of_class(node: ast.ClassDef, module: str, source: ast.Module) -> list[str] | None:
    for member in node.body:
        if isinstance(member, ast.FunctionDef) and member.name == "__init__":
            if member.args.kwarg is None:
                named = (*member.args.posonlyargs, *member.args.args, *member.args.kwonlyargs)
                return [argument.arg for argument in named if argument.arg != "self"]
            return None
    inherited: list[str] = []
    for base in node.bases:
        found = _of_base(ast.unparse(base), module, source)
        if found is None:
            return None
        inherited += found
    if not any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):
        return inherited
    fields = [
        ast.unparse(member.target)
        for member in node.body
        if isinstance(member, ast.AnnAssign) and "ClassVar" not in ast.unparse(member.annotation)
    ]
    return [*inherited, *fields]


def _of_base(base: str, module: str, source: ast.Module) -> list[str] | None:
    if "." in base or "[" in base:
        return None
    own = any(isinstance(node, ast.ClassDef) and node.name == base for node in source.body)
    if own:
        return _arguments(module, base)
    home, name = _imported_from(source, base)
    if home.partition(".")[0] in ("abc", "typing"):
        return []
    return _arguments(home, name)


def _imported_from(source: ast.Module, name: str) -> tuple[str, str]:
    for node in source.body:
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return node.module, alias.name
    raise LookupError(name)


@cache
def _source(module: str) -> ast.Module:
    """The parsed source of `module`, found without importing the packages that it is in."""
    package, *below = module.split(".")
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ImportError(module)
    place = Path(spec.origin)
    if below:
        place = place.parent.joinpath(*below)
        place = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    return ast.parse(place.read_text(encoding="utf-8"))


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
    near = difflib.get_close_matches(
        str(name), [*names, *(one.rpartition("/")[2] for one in names)], n=1
    )
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
