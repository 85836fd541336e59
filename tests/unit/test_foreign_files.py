"""YAML and JSON from elsewhere: what is taken, and what is one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agelens.errors import AgelensError, UsageError
from agelens.foreign_files import (
    decoding,
    json_object,
    no_formula,
    parse_json,
    parse_yaml,
    read_yaml,
)

NAMES = "abcdefghi"
LINES = [f"{NAMES[n]}: &{NAMES[n]} [{', '.join(['*' + NAMES[n - 1]] * 9)}]" for n in range(1, 9)]
BOMB = "\n".join(["a: &a [1, 2, 3, 4, 5, 6, 7, 8, 9]", *LINES])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("-.inf", float("-inf")),
        ("2024-01-31", "2024-01-31"),
        ("12", 12),
        ("1.5", 1.5),
        ("", None),
        ("{a: &x {b: 1}, c: {<<: *x, b: 2}}", {"a": {"b": 1}, "c": {"b": 2}}),
    ],
)
def test_yaml_is_read_as_people_mean_it(text: str, value: Any) -> None:
    assert parse_yaml(text, "it", UsageError) == value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: {c: 1, c: 2}", "'c' stands twice in one mapping"),
        (BOMB, "its aliases unfold to more than 100,000 values"),
        ("a: &a [*a]", "a value contains itself"),
        ("[" * 5000, "nested too deeply"),
        ("!!set {a}", "could not determine a constructor"),
        ("!!python/object/apply:os.getcwd []", "could not determine a constructor"),
        ("a: [", "expected the node content"),
    ],
)
def test_other_yaml_is_one_sentence(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=r"^it: cannot be read as YAML: ") as caught:
        parse_yaml(text, "it", UsageError)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"a": 1, "a": 2}', "'a' stands twice in one object"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[]", "is a JSON object, got list"),
        (b"\xff", "codec can't decode"),
        (b'{"a": ' + b"1" * 5000 + b"}", "Exceeds the limit"),
    ],
)
def test_other_json_is_one_sentence(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"x\.json") as caught:
        json_object(path, UsageError)
    assert words in str(caught.value)


def test_a_whole_number_beyond_every_float_is_refused_where_it_is_read() -> None:
    assert parse_json("[12, -7, 1e999]") == [12, -7, float("inf")]
    for digits in ("1" * 400, "-" + "1" * 400):
        with pytest.raises(ValueError, match="a whole number of more than 300 digits"):
            parse_json(f"[{digits}]")
        with pytest.raises(UsageError, match="a whole number of more than 300 digits"):
            parse_yaml(f"a: {digits}", "it", UsageError)


def test_a_file_too_large_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"#" * 300_000)
    with pytest.raises(UsageError, match="more than the 262,144 bytes"):
        read_yaml(tmp_path / "x.yaml", UsageError)


def test_whatever_a_decoder_raises_is_told_in_a_line() -> None:
    class OddError(Exception):
        pass

    told = r"^f: cannot be read as a thing: a b\?\. Do$"
    with (
        pytest.raises(UsageError, match=told),
        decoding("f", "a thing", UsageError, advice="Do"),
    ):
        raise OddError("a\n b\x1b")
    with pytest.raises(AgelensError, match=r"^mine$"), decoding("f", "a thing", UsageError):
        raise AgelensError("mine")
    with pytest.raises(KeyboardInterrupt), decoding("f", "a thing", UsageError):
        raise KeyboardInterrupt


def test_only_text_is_guarded() -> None:
    assert [no_formula(cell) for cell in ("=1", "a", -1, None)] == ["'=1", "a", -1, None]


def test_times_of_a_yaml_stay_text() -> None:
    assert parse_yaml("a: 1:30\nb: [12, -1:00:00]", "it", UsageError) == {
        "a": "1:30",
        "b": [12, "-1:00:00"],
    }
