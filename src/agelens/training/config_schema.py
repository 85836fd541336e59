"""What a configuration may say, read from the source of the classes, without loading torch.

The constructors are the schema (`agelens.training.configuration` asks them). Importing them
takes seconds, so that a mistyped key or name is looked for here first. What cannot be read
from a source, such as the arguments of a class that is made at run time, is left to them.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from agelens.errors import UnknownNameError, UsageError

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
    "schedule": "agelens.training.lr_scheduler:SCHEDULES",
    "callbacks": "agelens.training.callbacks:CALLBACKS",
    "regularisers": "agelens.training.regularisers:REGULARISERS",
    "data.augmentations": "agelens.data.training_input.presets:AUGMENTATIONS",
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
        "selection": "agelens.training.selection.Selection",
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
