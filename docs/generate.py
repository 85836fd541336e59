"""Makes the pages of the site: those of docs/ as they are, and those that the code itself tells.

    python docs/generate.py OUT

Commands come from their parsers, methods from their classes, models from their cards: such a page
cannot be out of date. `mkdocs build --strict` (see `make docs`) then refuses every broken link.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import sys
from collections import defaultdict
from dataclasses import fields
from itertools import takewhile
from pathlib import Path
from typing import Any, get_args

import nbformat
import pandas as pd
import pyarrow as pa
from documents import DOCUMENTS, schema
from equations import equations_of

from agelens.cli import COMMANDS, main
from agelens.data.store.card import StoreSettings
from agelens.errors import AgelensError, PhotoStatus
from agelens.evaluation.comparison.comparison import published_figures
from agelens.evaluation.reports.comparison_tables import published_rows
from agelens.inference.cards import load_card
from agelens.inference.result_files import COLUMNS, arrow_schema
from agelens.models import list_methods
from agelens.models.methods import METHODS, method_class
from agelens.models.methods.base import AgeMethod
from agelens.recognition.embedding_table import EMBEDDING_COLUMNS, VECTOR_COLUMN
from agelens.tables import PredictionsTable, SampleTable
from agelens.tables.predictions import OPTIONAL_COLUMNS, PREDICTION_COLUMNS

DOCS = Path(__file__).parent
_LEFT_OUT = {".py", ".ipynb"}


def generate(out: Path) -> None:
    """Write the whole tree of Markdown into `out`, a folder that is replaced."""
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(DOCS, out, ignore=lambda _, names: [n for n in names if _left_out(n)])
    _write(out / "reference/commands", _commands())
    _write(out / "methods", _methods())
    _write(out / "models", _models())
    with (out / "reference/formats.md").open("a", encoding="utf-8") as page:
        page.write(_columns())
    for name, described in _schemas().items():
        text = json.dumps(described, indent=1)
        (out / f"reference/{name}.schema.json").write_text(text, encoding="utf-8")
    for notebook in DOCS.rglob("*.ipynb"):
        cells = nbformat.read(notebook, as_version=4).cells
        page = "\n\n".join(
            cell.source if cell.cell_type == "markdown" else f"```python\n{cell.source}\n```"
            for cell in cells
        )
        (out / notebook.relative_to(DOCS)).with_suffix(".md").write_text(f"{page}\n", "utf-8")
    for page in out.rglob("*.md"):
        page.write_text(page.read_text(encoding="utf-8").replace(".ipynb)", ".md)"))


def _left_out(name: str) -> bool:
    return Path(name).suffix in _LEFT_OUT or name == "__pycache__"


def _write(folder: Path, pages: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in pages.items():
        (folder / f"{name}.md").write_text(page, encoding="utf-8")


def _commands() -> dict[str, str]:
    """A page for each group of commands, and one that lists them."""
    groups = defaultdict(list)
    for name, command in COMMANDS.items():
        groups[command.group].append((name, command))
    index = ["# Commands by group", ""]
    pages = {}
    for group, members in groups.items():
        index += [f"## [{group.capitalize()}]({group}.md)", ""]
        page = [f"# Commands: {group}", ""]
        for name, command in members:
            anchor = f"agelens-{name.replace(' ', '-')}"
            index.append(f"- [`agelens {name}`]({group}.md#{anchor}): {command.help}")
            page += [f"## agelens {name}", "", f"{command.help.capitalize()}. For example:", ""]
            page += [f"    agelens {command.example}", "", "```text", _help(name), "```", ""]
        pages[group] = "\n".join(page)
        index.append("")
    return pages | {"index": "\n".join(index)}


def _help(name: str) -> str:
    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.suppress(SystemExit):
        main([*name.split(), "--help"])
    return told.getvalue().rstrip()


def _methods() -> dict[str, str]:
    """A page for each method from its class."""
    table = list_methods()
    index = [
        "# Methods",
        "",
        "A method is a head, a loss, and how its outputs are read as a distribution over ages;",
        "any works on any backbone. How they compare: [methods side by side](../methods.md).",
        "",
        "| method | what | paper |",
        "| --- | --- | --- |",
    ]
    pages = {}
    for name in METHODS:
        method, row = method_class(name), table.loc[name]
        index.append(f"| [{name}]({name}.md) | {row['what']} | {row['paper']} |")
        page = [f"# {name}", f"Paper: {row['paper']}."]
        page += [f"::: {method.__module__}.{method.__name__}\n    options: {{members: false}}"]
        page += ["## Equations", _ABOUT_EQUATIONS, equations_of(name)]
        page += [f"On the command line: `agelens train --method {name} --method.ARGUMENT VALUE`."]
        page += ["## Where ours departs from its authors' code", _departures(method)]
        page += ["## Published figures", _published(name)]
        page += ["## Our figures", _measured(name)]
        pages[name] = "\n\n".join(page) + "\n"
    return pages | {"index": "\n".join([*index, ""])}


_ABOUT_EQUATIONS = (
    "Of one sample with the true age y, whose class is t; the loss is the mean over a batch. "
    "The scale's ages are a."
)


def _departures(method: type[AgeMethod]) -> str:
    if not method.departures:
        return "Nowhere that we know of."
    return _table(pd.DataFrame(method.departures).rename(columns={"get_theirs": "to get theirs"}))


def _published(name: str) -> str:
    """What others published of a method, with protocol and source."""
    theirs = _PUBLISHED.get(name, name)
    found = [one for one in published_figures() if one.method.partition(" (")[0] in theirs]
    if not found:
        return "None that we could read at a source that we trust."
    told = "Figures of different protocols, sources and weights to start from do not compare."
    rows = published_rows(found).drop(columns="subject-exclusive")
    elsewhere = rows["trained on"] != rows["dataset"]
    rows["dataset"] += (" (trained on " + rows["trained on"] + ")").where(elsewhere, "")
    rows["published"] = rows["dataset"] + " **" + rows["published"] + "**"
    together = [name for name in rows if name not in ("dataset", "published", "trained on")]
    rows = rows.groupby(together, sort=False)["published"].agg(", ".join).reset_index()
    return f"{told}\n\n{_table(rows[['method', 'metric', 'published', *together[2:]]])}"


_PUBLISHED = {
    "l1": ("regression",),
    "dex": ("DEX", "cross-entropy", "softmax"),
    "dldl": ("DLDL",),
    "dldl-v2": ("DLDL-v2",),
    "mean-variance": ("mean-variance",),
    "unimodal-concentrated": ("unimodal",),
    "amr": ("AMR",),
    "sord": ("SORD",),
    "or-cnn": ("OR-CNN",),
    "coral": ("CORAL",),
    "corn": ("CORN",),
    "drf": ("deep regression forests",),
    "ssr-net": ("SSR-Net",),
    "c3ae": ("C3AE",),
}
"""Methods by what `published_figures` calls them; of the others nothing was published there."""


def _measured(name: str) -> str:
    """The method's own lines of the pages that benchmarks wrote, with what those say of them."""
    told = []
    for source in ("methods.md", "leaderboard.md"):
        lines = (DOCS / source).read_text(encoding="utf-8").splitlines()
        heads = [
            n for n, line in enumerate(lines) if "| --- |" in line and "method" in lines[n - 1]
        ]
        for head in heads:
            own = [row for row in _rows(lines, head) if name in _cells(row)[:2]]
            if own:
                said = next(line for line in lines if "`" in line and not line.startswith("|"))
                told += [
                    f"[{source}](../{source}): {said}",
                    "\n".join([*lines[head - 1 : head + 1], *own]),
                ]
    return "\n\n".join(told) or "Not measured."


def _rows(lines: list[str], head: int) -> list[str]:
    return list(takewhile(lambda line: line.startswith("|"), lines[head + 1 :]))


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("|").split("|")]


def _table(frame: pd.DataFrame) -> str:
    rows = [frame.columns, ["---"] * frame.shape[1], *frame.to_numpy()]
    cells = [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def _result_schema() -> dict[str, object]:
    """The JSON Schema of one result, from the service's own description."""
    schemas = json.loads((DOCS / "openapi.json").read_text(encoding="utf-8"))["components"][
        "schemas"
    ]
    named = json.dumps({name: schemas[name] for name in ("PhotoRow", "FaceRow", "Quality")})
    defined = json.loads(named.replace("#/components/schemas/", "#/$defs/"))
    photo = defined.pop("PhotoRow")
    photo["properties"]["status"]["enum"] = list(get_args(PhotoStatus))
    draft = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return {**draft, **photo, "$defs": defined}


def _columns() -> str:
    """Every column and key of the formats with its type, as the code has them."""
    label = {"sample_id": ["1"], "dataset": ["a"], "path": ["1.jpg"], "age_years": [1.0]}
    label["age_kind"] = ["real"]
    samples = SampleTable.from_columns(label).frame
    estimates = {name: label.get(name, [None]) for name in PREDICTION_COLUMNS}
    predictions = PredictionsTable.from_columns(
        estimates | {name: [1.0] for name in (*OPTIONAL_COLUMNS, "estimate_years")}
    ).frame
    labels = [name for name in EMBEDDING_COLUMNS if name in samples]
    vectors = [("status", "string"), (VECTOR_COLUMN, "list of float, null where there is none")]
    parts: dict[str, list[tuple[str, str]]] = {
        "Results as CSV and Parquet": _arrow(arrow_schema(COLUMNS)),
        "Sample table": _arrow(pa.Schema.from_pandas(samples)),
        "Predictions table": _arrow(pa.Schema.from_pandas(predictions)),
        "Embeddings": [*_arrow(pa.Schema.from_pandas(samples[labels])), *vectors],
        "`store.json`, `settings`": [(one.name, str(one.type)) for one in fields(StoreSettings)],
        "`card.json`": [
            (key, _JSON[type(value)]) for key, value in load_card("agelens-1").document.items()
        ],
    }
    pages = ["", "## Every column and key", "", _ABOUT_SCHEMA]
    for title, rows in parts.items():
        pages += ["", f"### {title}", "", _table(pd.DataFrame(rows, columns=["name", "type"]))]
    for name, described in _schemas().items():
        what = str(described["description"]).partition("\n")[0]
        pages += ["", f"### JSON: {name}", "", f"{what} [JSON Schema]({name}.schema.json)", ""]
        pages += [_table(pd.DataFrame(_keys(described), columns=["key", "type", "meaning"]))]
    return "\n".join([*pages, ""])


def _schemas() -> dict[str, dict[str, Any]]:
    described = "A line of JSON Lines: what `agelens estimate` says of a photo."
    result = {**_result_schema(), "description": described}
    return {"result": result} | {name: schema(name) for name in DOCUMENTS}


def _keys(described: dict[str, Any]) -> list[tuple[str, str, str]]:
    required = described.get("required", ())
    return [
        (f"`{key}`", _type(of) + ("" if key in required else ", may be absent"), _meaning(of))
        for key, of in described["properties"].items()
    ]


def _type(of: dict[str, Any]) -> str:
    """A schema in words, such as "list of numbers"."""
    if "anyOf" in of:
        return " or ".join(_type(one) for one in of["anyOf"])
    if "$ref" in of:
        return str(of["$ref"]).rpartition("/")[2]
    if "items" in of:
        return f"list of {_type(of['items'])}"
    if of.get("additionalProperties"):
        inside = of["additionalProperties"]
        return "object" if inside is True else f"object of {_type(inside)}"
    return f"`{of['const']}`" if "const" in of else str(of.get("type", "anything"))


def _meaning(of: dict[str, Any]) -> str:
    return " ".join(str(of.get("description", "")).split())


_ABOUT_SCHEMA = (
    "Tables as the code writes them; a dictionary is a column of few words, and nothing but what "
    "is called required above has to be there. Then the JSON files, each with its JSON Schema, "
    "which also describes what is nested: the tests check files against it."
)
_JSON = {str: "text", int: "number", float: "number", dict: "object", list: "list", bool: "boolean"}


def _arrow(schema: pa.Schema) -> list[tuple[str, str]]:
    words = {"dictionary": "dictionary of string", "double": "double"}
    return [(one.name, words.get(str(one.type).partition("<")[0], str(one.type))) for one in schema]


def _models() -> dict[str, str]:
    """A page for each packaged card."""
    index = ["# Packaged models", "", "| model | what |", "| --- | --- |"]
    pages = {}
    for name in ("agelens-1", "cc0-resnet10", "cc0-gender"):
        card = load_card(name)
        document = card.document
        index.append(f"| [{card.name}]({card.name}.md) | {document.get('summary', '')} |")
        page = [f"# {card.name}", "", str(document.get("summary", "")), ""]
        for key, value in document.items():
            if key not in {"name", "summary"}:
                page += [f"## {key.replace('_', ' ').capitalize()}", "", *_told(value), ""]
        pages[card.name] = "\n".join(page)
    return pages | {"index": "\n".join([*index, ""])}


def _told(value: object) -> list[str]:
    if isinstance(value, str | int | float | bool):
        return [str(value)]
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return [f"- {one}" for one in value]
    return ["```json", json.dumps(value, indent=1, ensure_ascii=False)[:4000], "```"]


if __name__ == "__main__":
    try:
        generate(Path(sys.argv[1]))
    except AgelensError as error:
        sys.exit(str(error))
