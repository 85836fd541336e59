"""What fine-tuning forgets, and how much L2-SP and distillation give back: a figure.

    python benchmarks/forgetting.py UTKFACE FGNET --work DIR [--output forgetting.png]

The CC0 network of the package is fine-tuned on UTKFace (new) with terms of several strengths;
its error on FG-NET (old: it has very probably been trained on it, so this is no accuracy)
shows what is lost. Nothing is chosen on either: every strength is drawn.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from agelens.evaluation.reports.plotting import COLOURS, panels, save
from agelens.training.config_schema import config_file
from stores_and_runs import errors, predictions, run, store

CONFIG = config_file("utkface-dlib-resnet10")
RUNS: dict[str, list[tuple[str, list[str]]]] = {
    "plain": [("", [])],
    "L2-SP": [
        (
            alpha,
            [
                "--regularisers+=agelens.training.regularisers.L2SP",
                f"--regularisers.alpha={alpha}",
                "--regularisers.beta=0",
                "--regularisers.pretrained=[backbone, head]",
                "--optimizer.weight_decay=0",
            ],
        )
        for alpha in ("0.1", "1")
    ],
    "distillation": [
        (
            weight,
            [
                "--regularisers+=agelens.training.regularisers.Distillation",
                "--regularisers.teacher=start",
                "--regularisers.temperature=1",
                f"--regularisers.weight={weight}",
            ],
        )
        for weight in ("3", "10")
    ],
}


def main() -> None:
    options = _options()
    cut = ("--template", "dlib-64", "--size", "64")
    new = store(options.work, "utkface", options.utkface, *cut)
    old = store(options.work, "fgnet", options.fgnet, *cut)
    points = {}
    for kind, strengths in RUNS.items():
        for strength, terms in strengths:
            place = options.work / f"forgetting-{kind}-{strength}".rstrip("-")
            run(
                place,
                CONFIG,
                f"--data.stores={new}",
                f"--data.tests.fgnet={old}",
                "--backbone.head=packaged",
                f"--trainer.max_epochs={options.epochs}",
                *terms,
            )
            found = {part: errors(predictions(place, part))["mae"] for part in ("test", "fgnet")}
            points.setdefault(kind, []).append((strength, found["test"], found["fgnet"]))
            print(f"{kind:14}{strength:>6}  new {found['test']:.2f}  old {found['fgnet']:.2f}")
    points["untouched"] = [("", *_untouched(options, new, old))]
    print("untouched           new {1:.2f}  old {2:.2f}".format(*points["untouched"][0]))
    if options.output:
        _draw(points, options.output)
    print(json.dumps(points))


def _untouched(options: argparse.Namespace, new: Path, old: Path) -> tuple[float, float]:
    """Errors of the packaged network on UTKFace's test part and on FG-NET, from the same chips."""
    from agelens import AgeEstimator
    from agelens.data.store import ChipStore

    estimator = AgeEstimator()
    tested = set(
        predictions(options.work / "forgetting-plain", "test").frame["sample_id"].astype(str)
    )
    found = []
    for folder, wanted in ((new, tested), (old, None)):
        chips = ChipStore.open(folder, verify=False)
        frame = chips.table.frame
        rows = [
            row
            for row in range(len(chips))
            if chips.has_chip[row] and (wanted is None or frame["sample_id"][row] in wanted)
        ]
        ages = estimator.estimate_chips([chips[row] for row in rows])
        wrong = [
            abs(a.estimate_years - frame["age_years"][row])
            for a, row in zip(ages, rows, strict=True)
        ]
        found.append(float(sum(wrong) / len(wrong)))
    return found[0], found[1]


def _draw(points: dict[str, list[tuple[str, float, float]]], path: Path) -> None:
    figure, axes = panels(1, size_inches=(6.5, 4.5))
    panel = axes[0, 0]
    looks = {
        "untouched": ("s", "black"),
        "plain": ("X", "black"),
        "L2-SP": ("o-", COLOURS[0]),
        "distillation": ("^-", COLOURS[1]),
    }
    for kind, (marker, colour) in looks.items():
        strengths, new, old = zip(*points[kind], strict=True)
        panel.plot(new, old, marker, color=colour, label=kind)
        for strength, x, y in zip(strengths, new, old, strict=True):
            panel.annotate(strength, (x, y), textcoords="offset points", xytext=(5, 4), fontsize=8)
    panel.set_xlabel("error on new people: MAE on UTKFace's test part, years")
    panel.set_ylabel("error on old people: MAE on FG-NET, years")
    panel.legend()
    save(figure, path)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("utkface", type=Path)
    parser.add_argument("fgnet", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="stores and runs are kept here")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--output", type=Path, help="draw the figure here (PNG)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
