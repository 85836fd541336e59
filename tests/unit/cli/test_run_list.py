from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

DEPARTURES = ["leaves that no sample reaches stay where they are"]


def run(folder: Path, name: str, **environment: Any) -> None:
    (folder / name).mkdir()
    (folder / name / "config.yaml").write_text("seed: 0\n")
    document = {"method": "dex", "backbone": "ir50", "train_data": "toy"} | environment
    (folder / name / "environment.json").write_text(json.dumps(document))


def test_departures_stand_below_the_table_once_a_method(
    agelens: Callable[..., Any], tmp_path: Path
) -> None:
    run(tmp_path, "forest", method="drf", departures=DEPARTURES)
    run(tmp_path, "forest-2", method="drf", departures=DEPARTURES)
    run(tmp_path, "plain", departures=[])
    run(tmp_path, "made-before-they-were-kept")
    shown = agelens("runs", tmp_path)
    assert shown.status == 0
    told = [line for line in shown.out.splitlines() if "departs from" in line]
    assert told == [f"drf departs from its authors' code: {DEPARTURES[0]}"]
    rows = {row["name"]: row for row in json.loads(agelens("runs", tmp_path, "--json").out)}
    assert rows["forest"]["departures"] == DEPARTURES
    assert rows["plain"]["departures"] == rows["made-before-they-were-kept"]["departures"] == []
