"""What comes from elsewhere, read so that any damage is one sentence, and no file eats the machine.

A damaged or hostile file makes decoders raise nearly every type of error there is. `decoding` is
the one place that turns them into an error of agelens; whoever decodes foreign bytes does it
inside. JSON and YAML are read here and nowhere else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agelens.errors import AgelensError, shortened

if TYPE_CHECKING:
    from yaml import Node

LARGEST_DOCUMENT: Final = 64 * 2**20
"""Bytes of a JSON document that only describes something."""
_LARGEST_YAML: Final = 2**18
_MOST_NODES: Final = 100_000
_LONGEST_REASON: Final = 300
_LARGEST_WHOLE: Final = 10**300
_MERGE: Final = "tag:yaml.org,2002:merge"
_INT: Final = "tag:yaml.org,2002:int"
_NUMBER: Final = re.compile(
    r"[-+]?(?:\d+\.\d*|\.\d+)(?:[eE][-+]?\d+)?$|[-+]?\d+[eE][-+]?\d+$|[-+]?\.(?:inf|nan)$"
)


@contextmanager
def decoding(
    name: object, what: str, error: type[AgelensError], *, advice: str = ""
) -> Iterator[None]:
    """Whatever is raised while foreign bytes are decoded becomes an `error` of one sentence.

    Args:
        name: of the file.
        what: it was to be read as: ``a table``.
        error: what is raised; errors of agelens pass as they are.
        advice: the way out.
    """
    try:
        yield
    except AgelensError:
        raise
    except Exception as damage:
        plain = instead_of(name) or _cut_off(damage)
        told = f"{shortened(str(name), 1000)}: cannot be read as {what}: {plain or reason(damage)}"
        advised = advice and not plain and not isinstance(damage, OSError)
        raise error(f"{told}. {advice}" if advised else told) from damage


def instead_of(name: object) -> str:
    """What lies at the path `name` in the place of the file that was meant; else nothing."""
    try:  # a pipe is not opened: that would be to wait for it
        if not isinstance(name, Path) or not name.is_file():
            return ""
        with name.open("rb") as file:
            head = file.read(1024).removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    except OSError:
        return ""
    if not head:
        return "it is empty; get it again"
    return next((said for begins, said in _STAND_INS.items() if head.startswith(begins)), "")


_WEB_PAGE: Final = "it is a web page, and not the file: a browser shows what the download asked for"
_STAND_INS: Final = {
    b"version https://git-lfs": (
        "it is a pointer of Git LFS, and not the file: git lfs pull fetches that"
    ),
    b"<!doctype html": _WEB_PAGE,
    b"<html": _WEB_PAGE,
}

_CUT_OFF: Final = re.compile(
    "finding central directory|unexpected EOF|EOFError|Ran out of input|truncated file"
    "|incomplete metadata|header too small|invalid header length"
)
_DAMAGED: Final = re.compile("Error parsing message|Unable to synchronously open")


def _cut_off(damage: Exception) -> str:
    """Plain words for what torch, safetensors, HDF5 and ONNX say of half a file; else nothing."""
    text = f"{type(damage).__name__} {damage}"
    if _CUT_OFF.search(text):
        return "it is cut off, as by a download that stopped; get it again"
    return "it is damaged or cut off; get it again" if _DAMAGED.search(text) else ""


def reason(damage: Exception) -> str:
    """What a decoder says was wrong, in one line."""
    if isinstance(damage, RecursionError):
        return "nested too deeply"
    if isinstance(damage, MemoryError):
        return "it asks for more memory than there is"
    if isinstance(damage, KeyError):
        return f"it lacks {damage}"
    text = str(getattr(damage, "strerror", None) or damage)
    said = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
    return shortened(said, _LONGEST_REASON) or type(damage).__name__


def content_of(path: Path, largest: int = LARGEST_DOCUMENT) -> bytes:
    """The bytes at `path`.

    Raises:
        OSError: it cannot be read.
        ValueError: there are more than `largest`.
    """
    with path.open("rb") as file:
        content = file.read(largest + 1)
    if len(content) > largest:
        raise ValueError(f"it has more than the {largest:,} bytes that are read of such files")
    return content


def read_json(
    path: Path,
    error: type[AgelensError],
    *,
    what: str = "JSON",
    largest: int = LARGEST_DOCUMENT,
) -> Any:
    """The JSON document at `path`, in which no object has a name twice; errors as `error`."""
    with decoding(path, what, error):
        text = content_of(path, largest).decode("utf-8-sig")
        return parse_json(text)


def parse_json(text: str | bytes) -> Any:
    """The document that `text` is.

    Raises:
        ValueError: it is no JSON, an object has a name twice, or a whole number is beyond every
            float.
        RecursionError: it is nested too deeply.
    """
    return json.loads(text, object_pairs_hook=_named_once, parse_int=_whole)


def json_object(path: Path, error: type[AgelensError], *, what: str = "JSON") -> dict[str, Any]:
    """As `read_json`, where nothing but an object will do."""
    document = read_json(path, error, what=what)
    if not isinstance(document, dict):
        raise error(f"{path}: {what} is a JSON object, got {type(document).__name__}")
    return document


def _whole(digits: str) -> int:
    return _bounded(int(digits))


def _bounded(number: int) -> int:
    """`number`, unless no float holds it: it would be an OverflowError wherever it is used."""
    if abs(number) >= _LARGEST_WHOLE:
        raise ValueError("a whole number of more than 300 digits")
    return number


def _named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for name, value in pairs:
        if name in named:
            raise ValueError(f"{name!r} stands twice in one object")
        named[name] = value
    return named


def read_yaml(path: Path, error: type[AgelensError], *, as_text: bool = False) -> Any:
    """The YAML document at `path`; see `parse_yaml`."""
    with decoding(path, "YAML", error):
        text = content_of(path, _LARGEST_YAML).decode("utf-8-sig")
    return parse_yaml(text, path, error, as_text=as_text)


def parse_yaml(text: str, name: object, error: type[AgelensError], *, as_text: bool = False) -> Any:
    """The document that `text` is: plain types, no name twice, and no more than 100,000 values.

    Aliases count as often as they stand for something. Numbers may be written 1e-4; whole ones
    have at most 300 digits; dates and times stay text.

    Args:
        text: YAML.
        name: what errors call it.
        error: what is raised where it is none.
        as_text: every value stays as it is written, ``no`` and 1.0 too.
    """
    with decoding(name, "YAML", error):
        loader = _loader_class(as_text)(text)
        try:
            node = loader.get_single_node()
            if node is not None and _size(node, {}) > _MOST_NODES:
                raise ValueError(f"its aliases unfold to more than {_MOST_NODES:,} values")
            return None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()


def _size(node: Node, known: dict[int, int]) -> int:
    """How many values `node` unfolds to; one that is inside itself is refused."""
    if isinstance(node.value, str):
        return 1
    if id(node) not in known:
        known[id(node)] = -1
        inner = node.value
        if inner and isinstance(inner[0], tuple):
            inner = [one for pair in inner for one in pair]
        known[id(node)] = 1 + sum(_size(one, known) for one in inner)
    if known[id(node)] < 0:
        raise ValueError("a value contains itself")
    return known[id(node)]


@cache
def _loader_class(as_text: bool) -> Any:
    import yaml  # noqa: PLC0415 - JSON is read without it

    # The loaders in C would overflow their stack on a document that is nested deeply enough.
    class Loader(yaml.BaseLoader if as_text else yaml.SafeLoader):  # type: ignore[misc]
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            keys = [str(key.value) for key, _ in node.value if key.tag != _MERGE]
            if len(set(keys)) < len(keys):
                twice = next(key for place, key in enumerate(keys) if key in keys[:place])
                raise ValueError(f"{twice!r} stands twice in one mapping{node.start_mark}")
            return super().construct_mapping(node, deep=deep)

    if not as_text:
        for letter, kinds in Loader.yaml_implicit_resolvers.copy().items():
            Loader.yaml_implicit_resolvers = Loader.yaml_implicit_resolvers | {
                letter: [kind for kind in kinds if not kind[0].endswith((":float", ":timestamp"))]
            }
        for odd in ("binary", "set", "omap", "pairs", "timestamp"):  # JSON has no such types
            Loader.add_constructor(f"tag:yaml.org,2002:{odd}", Loader.construct_undefined)
        whole = Loader.construct_yaml_int

        def number(loader: Any, node: Any) -> Any:
            sixties = ":" in node.value  # 1:30 was 90 in YAML 1.1, and is text since
            return node.value if sixties else _bounded(whole(loader, node))

        Loader.add_constructor(_INT, number)
        Loader.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("-+.0123456789"))
    return Loader


FORMULA: Final = r"[=+\-@\t\r]"
"""What text begins with that a spreadsheet takes for a formula."""
_FORMULA: Final = re.compile(f"'*{FORMULA}")


def no_formula(cell: Any) -> Any:
    """Text that a spreadsheet would take for a formula gets an apostrophe before it."""
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell
