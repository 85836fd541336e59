"""A function's signature as the options of a command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from agelens.cli.options import (
    NonNegativeInt,
    OneOf,
    PositiveFloat,
    PositiveInt,
    Share,
    parsed_options,
)
from agelens.errors import UsageError
from agelens.imaging.detectors import DETECTORS


def command(
    tables: list[Path],
    *,
    root: Path,
    output: Path | None = None,
    by: list[str] | None = None,
    ages: tuple[float, ...] = (18.0, 25.0),
    kinds: list[Literal["real", "apparent"]] | None = None,
    level: Share = 0.95,
    margin: PositiveFloat = 1.0,
    workers: PositiveInt | None = None,
    seed: NonNegativeInt = 0,
    age_kind: Literal["real", "apparent"] = "real",
    detector: Annotated[str, OneOf("agelens.imaging.detectors:DETECTORS")] = "retinaface",
    json: bool = False,
    export: bool = True,
    crops: bool | None = None,
) -> None:
    """Measure the tables.

    Args:
        tables: one or more.
        root: where the pictures are.
        output: a new folder.
        by: groups.
        ages: challenge ages.
        kinds: which ages count.
        level: of the intervals, 95 % say.
        margin: around a face.
        workers: threads.
        seed: of the draws.
        age_kind: what the ages are.
        detector: finds the faces.
        json: print JSON.
        export: write the bundle.
        crops: the owner's crops.
    """


def optional(folder: Path = Path("runs"), /, *, json: bool = False) -> None:
    """List the runs.

    Args:
        folder: where they are.
        json: print JSON.
    """


def parsed(*words: str) -> dict[str, Any]:
    bound = parsed_options(command, "measure", ["a.csv", "--root", "r", *words])
    bound.apply_defaults()
    return bound.arguments


def test_what_is_not_said_has_the_default_of_the_signature() -> None:
    found = parsed()
    assert found["tables"] == [Path("a.csv")]
    assert found["root"] == Path("r")
    assert (found["ages"], found["level"], found["export"]) == ((18.0, 25.0), 0.95, True)
    assert found["by"] is found["crops"] is found["output"] is None


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["b.csv", "c.csv"], "tables", [Path("a.csv")]),
        (["-o", "out"], "output", Path("out")),
        (["-o", "1"], "output", Path("1")),
        (["--by", "gender,ethnicity"], "by", ["gender", "ethnicity"]),
        (["--by", "gender", "--by", "age"], "by", ["gender", "age"]),
        (["--ages", "18, 21.5"], "ages", [18.0, 21.5]),
        (["--kinds", "real"], "kinds", ["real"]),
        (["--level", "0.9"], "level", 0.9),
        (["--workers", "4"], "workers", 4),
        (["--age-kind", "apparent"], "age_kind", "apparent"),
        (["--json"], "json", True),
        (["--no-export"], "export", False),
        (["--no-crops"], "crops", False),
        (["--crops"], "crops", True),
    ],
)
def test_words_become_the_arguments(words: list[str], name: str, value: object) -> None:
    if name == "tables":
        bound = parsed_options(command, "measure", ["a.csv", *words, "--root", "r"])
        assert bound.arguments["tables"] == [Path("a.csv"), Path("b.csv"), Path("c.csv")]
        return
    assert parsed(*words)[name] == value


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--workers", "-1"], "--workers: must be a whole number from 1, got '-1'"),
        (["--workers", "0"], "--workers: must be a whole number from 1, got '0'"),
        (["--workers", "two"], "--workers: must be a whole number from 1, got 'two'"),
        (["--workers", "1.5"], "--workers: must be a whole number from 1, got '1.5'"),
        (["--seed", "-1"], "--seed: must be a whole number from 0, got '-1'"),
        (["--level", "2"], "--level: must be a number from 0 to 1, got '2'"),
        (["--level", "nan"], "--level: must be a number from 0 to 1, got 'nan'"),
        (["--level", "high"], "--level: must be a number from 0 to 1, got 'high'"),
        (["--margin", "0"], "--margin: must be a number above 0, got '0'"),
        (["--margin", "inf"], "--margin: must be a finite number, got inf"),
        (["--ages", "18,x"], "--ages: must be a number, got 'x'"),
        (["--ages", "18,nan"], "--ages: must be a finite number, got nan"),
        (["--kinds", "real,dead"], "--kinds: must be one of real, apparent, got 'dead'"),
        (["--age-kind", "dead"], "--age-kind: must be one of real, apparent, got 'dead'"),
        (["--work", "3"], "unrecognized arguments: --work"),
        (["--output"], "expected one argument"),
    ],
)
def test_wrong_words_say_what_is_expected(words: list[str], told: str) -> None:
    with pytest.raises(UsageError) as refused:
        parsed(*words)
    assert told in str(refused.value)
    assert "agelens measure --help shows the options" in str(refused.value)


@pytest.mark.parametrize("words", [[], ["a.csv"], ["--root", "r"]])
def test_what_has_no_default_must_be_given(words: list[str]) -> None:
    with pytest.raises(UsageError, match="required"):
        parsed_options(command, "measure", words)


def test_the_help_says_what_may_be_given(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        parsed_options(command, "measure", ["--help"])
    assert left.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert shown.startswith("usage: agelens measure")
    assert "Measure the tables." in shown
    assert "--age-kind {real,apparent} what the ages are (default: real)" in shown
    assert "of the intervals, 95 % say (default: 0.95)" in shown
    assert f"finds the faces ({', '.join(DETECTORS)}) (default: retinaface)" in shown
    assert "challenge ages (default: 18.0,25.0)" in shown


def test_a_positional_only_parameter_may_be_left_out() -> None:
    assert parsed_options(optional, "runs", []).args == ()
    assert parsed_options(optional, "runs", ["x", "--json"]).args == (Path("x"),)


def test_a_word_that_python_keeps_is_an_option_all_the_same() -> None:
    def taken(*, from_: str = "auto") -> None:
        """Take.

        Args:
            from_: whose it is.
        """

    assert parsed_options(taken, "take", ["--from", "rapl"]).kwargs == {"from_": "rapl"}
    with pytest.raises(UsageError, match="--from-"):
        parsed_options(taken, "take", ["--from-", "rapl"])


@pytest.mark.parametrize("option", ["--workers", "--seed"])
def test_a_whole_number_has_an_end(option: str) -> None:
    assert parsed(option, "4294967295")[option[2:]] == 2**32 - 1
    for number in ("4294967296", "9" * 400):
        with pytest.raises(UsageError, match=f"{option}: must be at most 4,294,967,295"):
            parsed(option, number)


def test_digits_without_end_are_no_number() -> None:
    def cut(*, margin: float = 0.0) -> None:
        """Cut.

        Args:
            margin: around a face.
        """

    with pytest.raises(UsageError, match="more digits than any can have"):
        parsed_options(cut, "cut", ["--margin", "9" * 400])
