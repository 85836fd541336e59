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
from pathlib import Path

import nbformat

from agelens.cli import COMMANDS, main
from agelens.errors import AgelensError
from agelens.inference.cards import load_card
from agelens.models import list_methods
from agelens.models.methods import METHODS, method_class

DOCS = Path(__file__).parent
_LEFT_OUT = {".py", ".ipynb"}


def generate(out: Path) -> None:
    """Write the whole tree of Markdown into `out`, a folder that is replaced."""
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(DOCS, out, ignore=lambda _, names: [n for n in names if _left_out(n)])
    _write(out / "reference/commands", _commands())
    _write(out / "methods", _methods())
    _write(out / "models", _models())
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
        page += [f"::: {METHODS[name].replace(':', '.')}\n    options: {{members: false}}"]
        page += [f"On the command line: `agelens train --method {name} --method.ARGUMENT VALUE`."]
        page += ["## Where ours departs from its authors' code"]
        page += ["\n".join(f"- {one}" for one in method.departures) or "Nowhere that we know of."]
        pages[name] = "\n\n".join(page) + "\n"
    return pages | {"index": "\n".join([*index, ""])}


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
