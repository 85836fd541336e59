"""The size of the code and the length of its walks, as docs/architecture.md states them.

    python benchmarks/house.py             # files, code lines, imports, circles, start-up times
    python benchmarks/house.py walks CHIPS # files in which something runs, of three commands

A code line is one that is not blank, not a comment and not part of a docstring. A file counts
in a walk when a function of it is called (`sys.setprofile` over the run, in all threads). CHIPS
is a folder of UTKFace chips; the walks read 64 of them.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from inspect import CO_OPTIMIZED
from pathlib import Path
from types import FrameType
from typing import Any

SOURCE = Path(__file__).resolve().parents[1] / "src"
SCOPES = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def code_lines(text: str, tree: ast.Module) -> set[int]:
    """Numbers of the lines of code."""
    docs: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, SCOPES) and ast.get_docstring(node, clean=False) is not None:
            docs |= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return {
        number
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.strip().startswith("#") and number not in docs
    }


def module_name(file: Path) -> str:
    """The dotted name of a file below `SOURCE`."""
    parts = file.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(tree: ast.Module, modules: set[str]) -> Iterator[tuple[str, bool]]:
    """Each module of ours that is imported, and whether that happens when the file loads.

    What a type checker alone reads loads nothing.
    """

    def visit(node: ast.AST, loads: bool) -> Iterator[tuple[str, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                continue
            inside = loads and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            if isinstance(child, ast.ImportFrom) and child.module:
                for alias in child.names:
                    name = f"{child.module}.{alias.name}"
                    yield (name if name in modules else child.module), inside
            elif isinstance(child, ast.Import):
                yield from ((alias.name, inside) for alias in child.names)
            yield from visit(child, inside)

    yield from ((name, loads) for name, loads in visit(tree, True) if name in modules)


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import one another: strongly connected ones (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in graph[name]:
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1:
                found.append(sorted(group))

    for name in graph:
        if name not in index:
            visit(name)
    return found


def measure() -> dict[str, Any]:
    """Files, code lines, share of imports, small files, and circles of imports."""
    files = sorted(SOURCE.rglob("*.py"))
    modules = {module_name(file) for file in files}
    lines = imported = small = 0
    by_package: dict[str, list[int]] = {}
    graph: dict[str, set[str]] = {}
    for file in files:
        text = file.read_text(encoding="utf-8")
        tree = ast.parse(text)
        code = code_lines(text, tree)
        statements = [n for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)]
        numbers = {
            line for n in statements for line in range(n.lineno, (n.end_lineno or n.lineno) + 1)
        }
        lines += len(code)
        imported += len(numbers & code)
        small += len(code) < 40
        name = module_name(file)
        parts = file.relative_to(SOURCE).parts
        by_package.setdefault(parts[1] if len(parts) > 2 else "top level", []).append(len(code))
        graph[name] = {other for other, loads in imports_of(tree, modules) if loads} - {name}
    return {
        "files": len(files),
        "code lines": lines,
        "mean": lines / len(files),
        "imports": imported / lines,
        "files below 40 lines": small,
        "packages": {name: (len(of), sum(of)) for name, of in sorted(by_package.items())},
        "circles": circles(graph),
    }


def show() -> None:
    """Print the table of the whole code, and start-up times."""
    found = measure()
    print(
        f"{found['files']} files, {found['code lines']:,} code lines, mean {found['mean']:.0f}, ",
        end="",
    )
    print(f"imports {100 * found['imports']:.1f} %, {found['files below 40 lines']} below 40 lines")
    for name, (files, lines) in found["packages"].items():
        print(f"  {name:12} {files:4} files {lines:7,} code lines")
    for group in found["circles"]:
        print(f"  circle: {' '.join(group)}")
    for words in (["--help"], ["train", "--help"], ["train", "--method.class_path", "corall"]):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "agelens", *words], capture_output=True, check=False)
        print(f"agelens {' '.join(words)}: {time.perf_counter() - start:.2f} s")


def walked(words: Sequence[str]) -> tuple[int, list[str]]:
    """How a command ends, and the files of ours in which a function ran."""
    from agelens.cli import main

    seen: set[str] = set()
    below = str(SOURCE)

    def note(frame: FrameType, event: str, argument: object) -> None:
        del argument
        code = frame.f_code
        # Modules and bodies of classes are run by importing them: only functions are optimised.
        if event == "call" and code.co_flags & CO_OPTIMIZED and code.co_filename.startswith(below):
            seen.add(code.co_filename)

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            status = main(list(words))
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]
    return status, sorted(str(Path(file).relative_to(SOURCE)) for file in seen)


def prepared(chips: Path, folder: Path) -> None:
    """64 chips of UTKFace as `photos`, `table.parquet` and `store`, and a run's configuration."""
    from agelens.data import prepare, read_dataset

    (folder / "photos").mkdir()
    names = sorted(file for file in chips.iterdir() if file.suffix == ".jpg")
    for file in names[:: max(1, len(names) // 64)][:64]:
        shutil.copy(file, folder / "photos")
    table = read_dataset("utkface", folder / "photos")
    prepare(table, folder / "store", template="dlib-64", size=64)
    (folder / "run.yaml").write_text(
        f"data: {{stores: {folder / 'store'}, split: hash, batch_size: 16}}\n"
        "method: dldl-v2\nbackbone: {name: dlib-resnet10, weights: packaged}\n"
        "optimizer: adamw\ntrainer: {max_epochs: 1, accelerator: cpu}\n",
        encoding="utf-8",
    )


def walk(which: str, folder: Path) -> list[str]:
    """One of the three walks, in a process of its own, since a second finds things cached."""
    words = {
        "estimate": ["estimate", str(next((folder / "photos").iterdir()))],
        "train": ["train", "--config", str(folder / "run.yaml"), "-o", str(folder / "run"), "-q"],
        "evaluate": ["evaluate", str(folder / "run"), "-o", str(folder / "page")],
    }[which]
    status, files = walked(words)
    if status:
        raise SystemExit(f"agelens {which} ended with {status}")
    return files


def main() -> None:
    """Print what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="?", choices=("size", "walks", "walk"), default="size")
    parser.add_argument("rest", nargs="*")
    parser.add_argument("--list", action="store_true", help="print the files of each walk")
    options = parser.parse_args()
    if options.what == "size":
        show()
        return
    if options.what == "walk":
        print("\n".join(walk(options.rest[0], Path(options.rest[1]))))
        return
    with tempfile.TemporaryDirectory() as place:
        prepared(Path(options.rest[0]), Path(place))
        for which in ("estimate", "train", "evaluate"):
            command = [sys.executable, __file__, "walk", which, place]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            files = [line for line in done.stdout.splitlines() if line.startswith("agelens/")]
            print(f"{which}: {len(files)} files")
            if options.list:
                print("  " + "\n  ".join(files))


if __name__ == "__main__":
    main()
