"""What a protocol hands back shows itself, in words, as frames and as a page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agelens.errors import UsageError
from agelens.recognition import run_protocol
from agelens.recognition.embedding_table import EmbeddingTable
from agelens.recognition.protocols.report import LIMITS


def test_a_result_shows_itself(embedded: Callable[..., EmbeddingTable], tmp_path: Path) -> None:
    found = run_protocol("leave-one-out", embedded(["a", "a", "b", "b", "c"]), draws=20)
    assert repr(found).startswith("<Identification: leave-one-out of ")
    assert "rank-1" in repr(found)
    assert found.to_frame()["figure"].iloc[0] == "rank-1"
    assert "<table>" in found._repr_html_()
    page = found.to_html(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == page
    assert LIMITS[0].replace("'", "&#x27;") in page
    assert "data:image/svg+xml;base64," in page


def test_arguments_that_do_not_go_together_are_refused(
    embedded: Callable[..., EmbeddingTable],
) -> None:
    table = embedded(["a", "a"])
    with pytest.raises(UsageError, match="does not go with megaface"):
        run_protocol("megaface", table, gallery=table)
    with pytest.raises(UsageError, match="also needs --pairs"):
        run_protocol("verification", table)
