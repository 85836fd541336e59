from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agelens.cli.columns import column_mapping
from agelens.errors import UsageError


def test_pairs_and_files_are_the_same_mapping(tmp_path: Path) -> None:
    path = tmp_path / "columns.yaml"
    path.write_text("sample_id: file\nestimate_years: pred\n")
    assert column_mapping(str(path)) == column_mapping("sample_id=file, estimate_years = pred")


def test_codes_have_their_meaning(tmp_path: Path) -> None:
    path = tmp_path / "columns.yaml"
    path.write_text("gender: [sex, {0: male, 1: female}]\n")
    assert column_mapping(str(path)) == {"gender": ("sex", {"0": "male", "1": "female"})}


def test_codes_are_what_is_written_and_not_what_yaml_makes_of_them(tmp_path: Path) -> None:
    path = tmp_path / "columns.yaml"
    path.write_text("gender: [sex, {no: male, yes: female, 1.0: male, 1e3: female}]\n")
    codes = {"no": "male", "yes": "female", "1.0": "male", "1e3": "female"}
    assert column_mapping(str(path)) == {"gender": ("sex", codes)}


def test_a_column_named_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "columns.yaml"
    path.write_text("estimate_years: a\nestimate_years: b\n")
    with pytest.raises(UsageError, match="'estimate_years' stands twice"):
        column_mapping(str(path))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "pairs such as estimate_years=pred"),
        ("- a\n- b\n", "no mapping of columns"),
        ("", "no mapping of columns"),
        ("a: [b", "pairs such as"),
        ("gender: {0: male}", r"a column's name, or \[name, \{code: word\}\]"),
    ],
)
def test_anything_else_is_refused(content: Any, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "columns.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match=complaint):
        column_mapping(str(path))
