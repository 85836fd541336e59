"""Runs the pages of docs/tutorials as a reader would, from top to bottom in an empty folder.

    python docs/run_pages.py docs/tutorials/train.md            # run it, and compare what it prints
    python docs/run_pages.py docs/tutorials/train.md --write    # run it, and put that into the page

A ``sh`` block is run by bash; a ``python`` block by Python, or written to a file where its fence
has a ``title="FILE"``. A ``text`` block behind one is what it printed: compared word by word, with
numbers left out, since they differ from machine to machine; a line ``...`` stands for any lines.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

_FENCE = re.compile(r"^```(sh|python|text)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TITLE = re.compile(r'title="([^"]+)"')
_NUMBER = re.compile(r"[-+]?\d[\d.,:]*")
_SHOWN = 40


@dataclass(frozen=True)
class Block:
    """A block that is run, with what it printed by the page, and where that stands."""

    language: str
    file: str
    code: str
    line: int
    expected: str | None = None
    output_span: tuple[int, int] | None = None


def blocks(page: str) -> Iterator[Block]:
    """The blocks of `page` in order."""
    waiting: Block | None = None
    for fence in _FENCE.finditer(page):
        language, options, text = fence.groups()
        if language == "text":
            if waiting:
                yield replace(waiting, expected=text, output_span=fence.span(3))
            waiting = None
            continue
        if waiting:
            yield waiting
        title = _TITLE.search(options)
        line = page.count("\n", 0, fence.start()) + 1
        waiting = Block(language, title[1] if title else "", text, line)
    if waiting:
        yield waiting


def run(block: Block, folder: Path) -> str:
    """What `block` prints, run in `folder`.

    Raises:
        RuntimeError: it failed; with what it said.
    """
    if block.file:
        (folder / block.file).write_text(block.code, encoding="utf-8")
        return ""
    command = (
        ["bash", "-euo", "pipefail", "-c", block.code]
        if block.language == "sh"
        else [sys.executable, "-c", block.code]
    )
    own = str(Path(sys.executable).parent)
    environment = os.environ | {"PATH": f"{own}:{os.environ['PATH']}", "COLUMNS": "120"}
    done = subprocess.run(  # noqa: S603 - our own pages
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(
            f"line {block.line}: exit status {done.returncode}\n{block.code}\n{done.stderr[-2000:]}"
        )
    return done.stdout


def differences(expected: str, printed: str) -> list[str]:
    """The lines of `expected` that `printed` does not have, in order, numbers apart."""
    found = iter([_words(line) for line in printed.splitlines()])
    wanted = [line for line in expected.splitlines() if line.strip() not in ("", "...")]
    return [line for line in wanted if _words(line) not in found]


def _words(line: str) -> str:
    return re.sub(r"[\s\-─━]+", " ", _NUMBER.sub("#", line)).strip()


def check(path: Path) -> list[str]:
    """Run the page; what it says and its blocks do not print."""
    with tempfile.TemporaryDirectory() as folder:
        return [
            f"{path.name}, line {block.line}: {missing}"
            for block in blocks(path.read_text(encoding="utf-8"))
            for missing in differences(block.expected or "", run(block, Path(folder)))
        ]


def write(path: Path) -> None:
    """Run the page, and put what its blocks print into it."""
    page = path.read_text(encoding="utf-8")
    changes = []
    with tempfile.TemporaryDirectory() as folder:
        for block in blocks(page):
            printed = run(block, Path(folder))
            if block.output_span:
                changes.append((block.output_span, _shortened(printed)))
    for (start, end), text in reversed(changes):
        page = page[:start] + text + page[end:]
    path.write_text(page, encoding="utf-8")


def _shortened(printed: str) -> str:
    lines = [line.rstrip() for line in printed.strip("\n").splitlines()]
    if len(lines) > _SHOWN:
        lines = [*lines[: _SHOWN - 1], "..."]
    return "".join(f"{line}\n" for line in lines)


def main() -> int:
    """Exit status 1 where a page prints something else."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pages", type=Path, nargs="+")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    wrong: list[str] = []
    for page in options.pages:
        if options.write:
            write(page)
        else:
            wrong += check(page)
    print("\n".join(wrong))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
