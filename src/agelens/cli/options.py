"""A function's signature and docstring as the options of a command.

Parameters without a default are positional (a list takes one or more words); keyword-only
ones without a default are options that must be given; all others are options. A positional-
only parameter with a default may be left out. Lists are written with commas or given several
times. `True` and `False` are flags, a dash stands for an underscore. The help of each is its
line below `Args:`.
"""

from __future__ import annotations

import argparse
import inspect
import math
import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Union, get_args, get_origin
from typing import get_type_hints as hints_of

from docstring_parser import DocstringStyle, parse
from jsonargparse import ArgumentError, ArgumentParser

from agelens.errors import UsageError

if TYPE_CHECKING:
    from agelens.training.config_schema import ConfigSchema

    PositiveInt = int
    NonNegativeInt = int
    PositiveFloat = float
    NonNegativeFloat = float
    Share = float
    OpenShare = float
else:
    from jsonargparse.typing import (
        ClosedUnitInterval as Share,
    )
    from jsonargparse.typing import (
        NonNegativeFloat,
        NonNegativeInt,
        PositiveFloat,
        PositiveInt,
    )
    from jsonargparse.typing import (
        OpenUnitInterval as OpenShare,
    )

SHORT: Final = {"output": "-o", "quiet": "-q", "recursive": "-r"}
"""The short form of an option, in every command that has it."""

_WANTED: Final = {
    int: "a whole number",
    float: "a number",
    PositiveInt: "a whole number from 1",
    NonNegativeInt: "a whole number from 0",
    PositiveFloat: "a number above 0",
    NonNegativeFloat: "a number from 0",
    Share: "a number from 0 to 1",
    OpenShare: "a number above 0 and below 1",
}
_LARGEST_WHOLE: Final = 2**32 - 1
"""The largest seed that every generator takes."""
_HELP: Final = {"-h", "--help", "--help-all"}
_KEY: Final = re.compile(r'Parser key "(\w+)":\s+(.*)', re.DOTALL)


@dataclass(frozen=True, slots=True)
class OneOf:
    """Marks a parameter whose values are the names in a registry: ``Annotated[str, OneOf(...)]``.

    They are shown by ``--help``, and only then is the registry loaded.

    Args:
        registry: where it is, ``agelens.imaging.detectors:DETECTORS``.
    """

    registry: str

    def names(self) -> list[str]:
        """The names that may be given, in the registry's order."""
        module, _, name = self.registry.partition(":")
        return list(getattr(import_module(module), name))


WHOLE: Final = "whole words"
"""Marks a list whose words may hold commas: ``Annotated[list[str], WHOLE]``."""


def parsed_options(
    function: Callable[..., Any], command: str, words: Sequence[str]
) -> inspect.BoundArguments:
    """The arguments for `function` that `words` say; what they do not say has its default.

    Prints the help and leaves with status 0 where `words` ask for it.

    Raises:
        UsageError: words that do not fit the signature; the message says what is expected.
    """
    options = _parsed(function, command, words)
    signature = inspect.signature(function)
    first = [
        options.pop(name)
        for name, parameter in signature.parameters.items()
        if parameter.kind is parameter.POSITIONAL_ONLY and name in options
    ]
    return signature.bind(*first, **options)


def parsed_beside(
    function: Callable[..., Any], command: str, words: Sequence[str], schema: ConfigSchema
) -> inspect.BoundArguments:
    """As `parsed_options`, of a command whose first parameter takes the keys of a configuration.

    Raises:
        UsageError: see `parsed_options`.
    """
    first, *options = inspect.signature(function).parameters.values()
    if _HELP & set(words):
        _print_help(options_parser(function, command, without=first.name), schema, words)
        raise SystemExit(0)
    takes_value = {}
    for option in options:
        for name in (_option(option), SHORT.get(option.name, "")):
            takes_value[name] = not isinstance(option.default, bool)
    own, others = [], []
    left = iter(words)
    for word in left:
        name, equals, _ = word.partition("=")
        if name not in takes_value:
            others.append(word)
            continue
        own.append(word)
        if takes_value[name] and not equals:
            own += [value for value in [next(left, None)] if value is not None]
    found = _parsed(function, command, own, without=first.name)
    return inspect.signature(function).bind(others, **found)


def _print_help(own: ArgumentParser, schema: ConfigSchema, words: Sequence[str]) -> None:
    """A command's own options, and the keys of its configuration by name alone, or explained."""
    own.usage = f"{own.prog} --config RECIPE|FILE [--KEY VALUE ...] [options]"
    own.print_help()
    if "--help-all" in words:
        module, _, name = schema.parser.partition(":")
        getattr(import_module(module), name)().print_help()
        return
    print(f"\nkeys, as options or in a file ({own.prog} --help-all explains each):")
    for line in schema.summary(words):
        print(textwrap.fill(line, 98, initial_indent="  ", subsequent_indent="      "))


def _parsed(
    function: Callable[..., Any], command: str, words: Sequence[str], *, without: str = ""
) -> dict[str, Any]:
    wants_help = "-h" in words or "--help" in words
    parser = options_parser(function, command, list_choices=wants_help, without=without)
    try:
        found = parser.parse_args(list(words))
        options = {name: value for name, value in vars(found).items() if value is not None}
        _check_sizes(options)
    except OverflowError as error:
        raise UsageError("a number that was given has more digits than any can have") from error
    except ArgumentError as error:
        told = _plain(str(error), function, words)
        raise UsageError(f"{told}; agelens {command} --help shows the options") from error
    return options


def _check_sizes(options: dict[str, Any]) -> None:
    for name, value in options.items():
        for number in value if isinstance(value, list) else [value]:
            if isinstance(number, float) and not math.isfinite(number):
                option = _spelled(name)
                raise ArgumentError(None, f"{option}: must be a finite number, got {number}")
            if isinstance(number, int) and abs(number) > _LARGEST_WHOLE:
                option = _spelled(name)
                raise ArgumentError(None, f"{option}: must be at most {_LARGEST_WHOLE:,}")


def options_parser(
    function: Callable[..., Any], command: str, *, list_choices: bool = True, without: str = ""
) -> ArgumentParser:
    """The parser of a command, of its function's signature and docstring.

    Args:
        function: annotated; its docstring has an `Args:` section.
        command: its name, after `agelens`.
        list_choices: name the members of registries in the help.
        without: a parameter that is no option.
    """
    told = parse(inspect.getdoc(function) or "", DocstringStyle.GOOGLE)
    helps = {
        param.arg_name: " ".join((param.description or "").split()).rstrip(".")
        for param in told.params
    }
    parser = ArgumentParser(
        prog=f"agelens {command}",
        description="\n\n".join(filter(None, (told.short_description, told.long_description))),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        exit_on_error=False,
        allow_abbrev=False,
    )
    hints = hints_of(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        if name != without:
            _add(parser, parameter, hints[name], helps[name], list_choices)
    return parser


def _add(
    parser: ArgumentParser, parameter: inspect.Parameter, hint: Any, help_text: str, choices: bool
) -> None:
    help_text = help_text.rstrip(".")
    bare, one_of = _bare(hint)
    if one_of is not None and choices:
        help_text += f" ({', '.join(one_of.names())})"
    positional, required = _place(parameter)
    names = [name for name in (SHORT.get(parameter.name), _option(parameter)) if name]
    words: dict[str, Any] = {"help": _with_default(help_text, parameter.default).replace("%", "%%")}
    if bare is bool:
        flag = _flag(parameter.default)
        parser.add_argument(*names, default=None, dest=parameter.name, **flag, **words)
        return
    is_list, element = _element(bare)
    words |= {"type": element, "metavar": _metavar(parameter.name, element)}
    if positional:
        nargs = {(True, True): "+", (True, False): "*", (False, False): "?"}
        if (is_list, required) in nargs:
            words["nargs"] = nargs[is_list, required]
        parser.add_argument(parameter.name, **words)
        return
    if is_list:
        commas = not _is_marked_whole(hint)
        words |= {"type": _comma_separated(element) if commas else _alone, "action": "extend"}
    parser.add_argument(*names, default=None, required=required, dest=parameter.name, **words)


def _option(parameter: inspect.Parameter) -> str:
    """As ``--age-kind``, or ``--no-export`` of what is true unless it is said."""
    option = _spelled(parameter.name)
    return f"--no-{option[2:]}" if parameter.default is True else option


def _spelled(name: str) -> str:
    """A parameter's option; one whose name Python keeps for itself has a line behind: ``from_``."""
    return f"--{name.rstrip('_').replace('_', '-')}"


def _place(parameter: inspect.Parameter) -> tuple[bool, bool]:
    """Whether it is positional, and whether it must be given."""
    required = parameter.default is inspect.Parameter.empty
    only = parameter.kind is inspect.Parameter.POSITIONAL_ONLY
    return only or (required and parameter.kind is not inspect.Parameter.KEYWORD_ONLY), required


def _bare(hint: Any) -> tuple[Any, OneOf | None]:
    """The type without None and without its marks, and the registry among them."""
    if get_origin(hint) is Annotated:
        inner, *marks = get_args(hint)
        return _bare(inner)[0], next((mark for mark in marks if isinstance(mark, OneOf)), None)
    if get_origin(hint) in (Union, UnionType):
        kinds = [kind for kind in get_args(hint) if kind is not NoneType]
        if len(kinds) != 1:
            raise TypeError(f"an option has one type, got {hint}")
        return _bare(kinds[0])
    return hint, None


def _element(hint: Any) -> tuple[bool, Any]:
    """Whether it is a list, and the type of its elements."""
    if get_origin(hint) in (list, tuple, Sequence):
        return True, _bare(get_args(hint)[0])[0]
    return False, hint


def _flag(default: Any) -> dict[str, Any]:
    """How a yes or no is given: by --name, by --no-name, or by either."""
    if default is None:
        return {"action": argparse.BooleanOptionalAction}
    return {"action": "store_false" if default else "store_true"}


def _metavar(name: str, kind: Any) -> str:
    if get_origin(kind) is Literal:
        return f"{{{','.join(map(str, get_args(kind)))}}}"
    return (
        name.rstrip("_").upper()
        if kind is str or kind is Path
        else "N"
        if issubclass(kind, int)
        else "X"
    )


def _with_default(help_text: str, default: Any) -> str:
    if default is inspect.Parameter.empty or default in (None, False, True, (), ""):
        return help_text
    listed = isinstance(default, list | tuple)
    return f"{help_text} (default: {','.join(map(str, default)) if listed else default})"


def _comma_separated(element: Any) -> Callable[[Any], list[Any]]:
    def split(words: Any) -> list[Any]:
        if not isinstance(words, str):
            return list(words)  # jsonargparse checks once more what was parsed
        return [_converted(word.strip(), element) for word in words.split(",")]

    return split


def _alone(word: Any) -> list[Any]:
    return [word] if isinstance(word, str) else list(word)


def _is_marked_whole(hint: Any) -> bool:
    return WHOLE in get_args(hint) or any(_is_marked_whole(inner) for inner in get_args(hint))


def _converted(word: str, kind: Any) -> Any:
    try:
        if get_origin(kind) is not Literal:
            return kind(word)
        if word in get_args(kind):
            return word
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"must be {_wanted(kind)}, got {word!r}")


def _wanted(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(str, get_args(kind)))}"
    return _WANTED.get(kind, "a word")


def _plain(message: str, function: Callable[..., Any], words: Sequence[str]) -> str:
    """What jsonargparse says of a value, in our words: the option, what fits, what was given."""
    found = _KEY.match(message)
    if found is None:
        parameters = inspect.signature(function).parameters
        for name in message.partition("required: ")[2].split(", "):
            if name in parameters and not _place(parameters[name])[0]:
                message = message.replace(name, _option(parameters[name]))
        return message.removeprefix("argument ")
    name = found[1]
    kind = _element(_bare(hints_of(function, include_extras=True)[name])[0])[1]
    if _place(inspect.signature(function).parameters[name])[0]:
        return f"{name}: must be {_wanted(kind)}: {found[2]}"
    option = _spelled(name)
    return f"{option}: must be {_wanted(kind)}, got {_given(option, words)!r}"


def _given(option: str, words: Sequence[str]) -> str:
    """The value of `option` among `words`, the last one where it is there twice."""
    given = ""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == option:
            given = following
        elif word.startswith(f"{option}="):
            given = word.partition("=")[2]
    return given
