"""Docs as their readers would follow them: tutorials from top to bottom, and the site."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import documents
import equations
import generate
import jsonschema
import nbformat
import numpy as np
import pandas as pd
import pytest
import run_pages as pages
from nbclient import NotebookClient
from PIL import Image

from agelens import AgeEstimator
from agelens.cli import COMMANDS
from agelens.errors import TrainingError
from agelens.inference.cards import load_card
from agelens.inference.result_files import COLUMNS
from agelens.models.methods import METHODS
from agelens.records import RGB
from agelens.training.run_folder import RunFolder

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
NOTEBOOKS = sorted((DOCS / "tutorials").glob("*.ipynb"))
PAGES = sorted((DOCS / "tutorials").glob("*.md"))


def test_there_are_tutorials() -> None:
    assert [file.stem for file in NOTEBOOKS] == ["python"]
    wanted = {"photos", "train", "compare", "audit", "own-parts", "bulk"}
    assert wanted <= {file.stem for file in PAGES}


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_every_cell_runs(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    notebook = nbformat.read(file, as_version=4)
    NotebookClient(notebook, timeout=600, kernel_name="python3").execute(cwd=str(tmp_path))
    shown = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.outputs]
    assert len(shown) > 10


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.stem)
def test_a_tutorial_runs_as_typed_and_prints_what_it_shows(file: Path) -> None:
    assert pages.check(file) == []


def test_the_readme_runs_as_typed(
    agelens: Callable[..., Any],
    astronaut: RGB,
    check_document: Callable[[str, str], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    _put_what_the_readme_names(agelens, astronaut)
    blocks = re.findall(r"(?:^    .*\n|^\n)+", (ROOT / "README.md").read_text(), re.MULTILINE)
    lines = [line for block in blocks for line in re.findall(r"^    \$ agelens (.*)", block, re.M)]
    typed = [shlex.split(line, comments=True) for line in lines]
    # What never ends, and what takes a file of npm: tests/integration/service and tests/browser.
    ends = [words for words in typed if words[0] not in ("serve", "page")]
    assert len(ends) > 10
    for words in ends:
        ran = agelens(*words, *(SHORT if words[0] == "train" else ()))
        assert ran.status == 0, f"{' '.join(words)}: {ran.err}"
    code = [dedent(block) for block in blocks if block.lstrip().startswith("from ")]
    assert len(code) == 1
    exec(code[0], {})
    assert Path("drawn.png").is_file()
    for name, file in {
        "run-environment": "runs/first/environment.json",
        "run-data": "runs/first/data.json",
        "run-summary": "runs/first/summary.json",
        "calibration": "corrected.calibration.json",
        "store": "store/store.json",
    }.items():
        check_document(name, Path(file).read_text())


def test_a_card_and_a_failure_are_as_their_schemas_say(
    tmp_path: Path, check_document: Callable[[str, str], None]
) -> None:
    section = load_card("agelens-1").document["calibration"]
    check_document("card-calibration", json.dumps(section))
    run = RunFolder(tmp_path / "run")
    with pytest.raises(TrainingError), run.begun("{}"):
        raise TrainingError("no sample has an age")
    failure = run.read(run.failure)
    check_document("run-failure", json.dumps(failure))
    with pytest.raises(jsonschema.ValidationError):
        check_document("run-failure", json.dumps({**failure, "more": 1}))


SHORT = ("--trainer.max_epochs", "1")


def _put_what_the_readme_names(agelens: Callable[..., Any], astronaut: RGB) -> None:
    for name in ("party", "then", "now", "me", "photos/me", "photos/2020/trip"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(astronaut).save(f"{name}.jpg")
    agelens("data", "sample", "-o", "sample", "--count", "40")
    Path("UTKFace").mkdir()
    for row in pd.read_csv("sample/people.csv").itertuples():
        name = f"{row.age:.0f}_{int(row.gender == 'female')}_0_2017010100000{row.Index:04}.jpg"
        Image.open(f"sample/photos/{row.file}").save(f"UTKFace/{name}.chip.jpg")
    chance = np.random.default_rng(0)
    ages = chance.integers(5, 70, 4000)
    columns = {
        **{"sample_id": range(4000), "subject": range(4000), "age_years": ages},
        "estimate_years": ages + chance.normal(0, 3, 4000),
        "gender": chance.choice(["female", "male"], 4000),
    }
    pd.DataFrame(columns).to_csv("theirs.csv", index=False)


def test_a_page_that_shows_something_else_is_told(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```sh\necho 12 apples; echo 3 pears\n```\n\n```text\n99 apples\n4 plums\n```\n"
        '```python title="a.py"\nX = 5\n```\n```python\nfrom a import X\nprint(X)\n```\n'
    )
    assert pages.check(page) == ["page.md, line 1: 4 plums"]
    pages.write(page)
    assert "12 apples\n3 pears\n```" in page.read_text()
    assert pages.check(page) == []
    page.write_text("```sh\nfalse\n```\n")
    with pytest.raises(RuntimeError, match="line 1: exit status 1"):
        pages.check(page)


def test_the_site_builds_strictly_and_has_a_page_for_everything(tmp_path: Path, head: RGB) -> None:
    generate.generate(tmp_path / "pages")
    config = (ROOT / "mkdocs.yml").read_text()
    config = re.sub(r"(?m)^docs_dir:.*$", f"docs_dir: {tmp_path / 'pages'}", config)
    config = re.sub(r"(?m)^site_dir:.*$", f"site_dir: {tmp_path / 'site'}", config)
    config = config.replace("paths: [src]", f"paths: [{ROOT / 'src'}]")
    (tmp_path / "mkdocs.yml").write_text(config)
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", tmp_path / "mkdocs.yml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr[-3000:]
    site = tmp_path / "site"
    assert {file.stem for file in (site / "methods").glob("*.html")} == {*METHODS, "index"}
    told = "".join(file.read_text() for file in (site / "reference/commands").glob("*.html"))
    assert [name for name in COMMANDS if f"usage: agelens {name}" not in told] == []
    coral = (site / "methods/coral.html").read_text()
    assert "2.64 ± 0.02" in coral  # published
    assert "benchmarks/methods.py" in coral  # and ours
    assert {*equations.EQUATIONS} == {*METHODS}
    assert coral.count("<math") == len(equations.EQUATIONS["coral"])
    for name in documents.DOCUMENTS:
        told = json.loads((site / f"reference/{name}.schema.json").read_text())
        jsonschema.Draft202012Validator.check_schema(told)
    schema = json.loads((site / "reference/result.schema.json").read_text())
    jsonschema.validate(AgeEstimator().estimate(head).to_json(), schema)
    formats = (site / "reference/formats.html").read_text()
    assert [name for name in (*COLUMNS, "box_x1", "table_sha256") if name not in formats] == []
    python = (site / "reference/python.html").read_text()
    assert "agelens.training.Engine" in python
    assert "estimate_years" in python
    fetched = re.findall(r'(?:src|href)="(https?://[^"]+)"', (site / "index.html").read_text())
    assert [url for url in fetched if url.endswith((".js", ".css", ".woff2"))] == []
