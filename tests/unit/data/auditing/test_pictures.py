"""Looking at a table's pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agelens.data.auditing import pictures
from agelens.records import Photo
from agelens.tables import SampleTable


def test_a_picture_that_goes_away_while_it_is_read_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["a.png", "b.png"]
    for name in names:
        Image.fromarray(np.full((16, 16, 3), 90, dtype=np.uint8)).save(tmp_path / name)
    read = pictures.read_photo

    def read_and_lose(source: Path, name: str) -> Photo:
        photo = read(source, name=name)
        if name == "b.png":
            source.unlink()
        return photo

    monkeypatch.setattr(pictures, "read_photo", read_and_lose)
    table = SampleTable.from_columns({"sample_id": names, "dataset": "own", "path": names})
    seen = pictures.look_at_pictures(table, tmp_path).frame.set_index("path")
    assert list(seen["status"]) == ["ok", "unreadable"]
    assert "went away while it was read" in seen.loc["b.png", "message"]
