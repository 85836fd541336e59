"""Every method with the same backbone, split, input, epochs and seeds: one table with spread.

    python benchmarks/methods.py UTKFACE --work DIR [--seeds 3] [--epochs 4] [--output TABLE.md]

The backbone is the CC0 network of the package, its last stage trained, at 64 pixels, on
part of UTKFace's train part an epoch: what two cores can do for all of them in an hour. It
tells which methods learn fast from a good start, not which is best after long training; the
unified benchmark (Paplham and Franc, CVPR 2024) found that after long training nearly all tie.
The learning rate is one for all; the epoch is chosen on the validation part, the test part is
read once.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from agelens.models.methods import METHODS
from agelens.training.config_files import config_file
from stores_and_runs import run, store

CONFIG = config_file("utkface-dlib-resnet10")
OPTIONS = {"unimodal-concentrated": ["--method.unimodal_weight", "10"]}
"""From random heads the usual weight of 1,000 leaves next to no gradient for the age."""


def main() -> None:
    options = _options()
    chips = store(options.work, "utkface", options.utkface, "--template", "dlib-64", "--size", "64")
    rows = []
    for method in options.methods or METHODS:
        found = [_figures(options, chips, method, seed) for seed in range(options.seeds)]
        valid, test, cs5 = (np.array(column) for column in zip(*found, strict=True))
        rows.append((test.mean(), method, valid, test, cs5))
        print(f"{method:24} test MAE {test.mean():.2f} +- {_spread(test):.2f}", flush=True)
    table = _table(sorted(rows, key=lambda row: row[0]), options)
    print(table)
    if options.output:
        options.output.write_text(table, encoding="utf-8")


def _figures(
    options: argparse.Namespace, chips: Path, method: str, seed: int
) -> tuple[float, float, float]:
    found = run(
        options.work / f"{method}-{seed}",
        CONFIG,
        *("--method", method, "--method.ages", "0-116", *OPTIONS.get(method, [])),
        *("--seed", str(seed), "--data.stores", str(chips), "--data.draws", str(options.draws)),
        *("--trainer.max_epochs", str(options.epochs)),
        *("--callbacks+=agelens.training.callbacks.StageFreezing", "--callbacks.stages=3"),
    )["metrics"]
    return found["valid"]["mae"], found["test"]["mae"], found["test"]["cs5"]


def _table(rows: list[tuple], options: argparse.Namespace) -> str:
    lines = [
        "# Methods compared",
        "",
        f"`{_command(options)}`: UTKFace, split by hash 70/10/20, dlib-resnet10 from the packaged "
        f"CC0 weights (last stage trained), 64 pixels, {options.epochs} epochs of "
        f"{options.draws:,} samples, {options.seeds} seeds. Mean and standard deviation over "
        "seeds, years.",
        "",
        f"**A short budget, of {options.epochs * (options.draws // 64)} steps.** It tells how "
        "fast a head learns from a good start at one learning rate, and not which method is best: "
        "CORAL and the unimodal loss have hardly begun. After long training nearly all tie "
        "(Paplham and Franc, CVPR 2024; their figures stand in `agelens compare`).",
        "",
        "| method | test MAE | sd | test CS@5 | valid MAE |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {method} | {test.mean():.2f} | {_spread(test):.2f} | {100 * cs5.mean():.1f} % "
        f"| {valid.mean():.2f} |"
        for _, method, valid, test, cs5 in rows
    ]
    return "\n".join(lines) + "\n"


def _spread(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else float("nan")


def _command(options: argparse.Namespace) -> str:
    return (
        f"python benchmarks/methods.py UTKFACE --work DIR --seeds {options.seeds} "
        f"--epochs {options.epochs} --draws {options.draws}"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("utkface", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="stores and runs are kept here")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--draws", type=int, default=2000, help="samples an epoch")
    parser.add_argument("--methods", nargs="*", choices=METHODS, help="some of them")
    parser.add_argument("--output", type=Path, help="write the table here")
    return parser.parse_args()


if __name__ == "__main__":
    main()
