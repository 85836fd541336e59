"""From UTKFace to FG-NET, step by step: what each step gives on new people, cumulatively.

    python benchmarks/cross_dataset.py UTKFACE FGNET --work DIR [--epochs 12] [--draws N]
                                       [--steps plain ...] [--run RUN]

Every step trains tf_efficientnet_lite0 from ImageNet weights on UTKFace's train part and is
tested on UTKFace's test part and on all of FG-NET. The steps are for reasons that need no
label of FG-NET (see docs/train.md); all are reported, none is chosen by FG-NET.

The row `prior` moves a run's answers to the mix of ages that FG-NET's photos themselves
suggest, without labels (Saerens et al., 2002): it looks at all the photos before it answers
for one, so it is told apart from the others. `--run` reads a finished run of the whole recipe
in place of training, and adds what the true mix of ages would give at best, which is no result
but tells how much of the error is not the prior's.
"""

from __future__ import annotations

import argparse
import copy
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy.ndimage import gaussian_filter1d

from agelens.tables import PredictionsTable
from agelens.training.config_schema import config_file
from label_shift import estimated_prior, moved_to_prior
from stores_and_runs import errors, predictions, run, store

CONFIG = config_file("utkface-to-fgnet")
WIDE = ("--template", "dlib-64", "--size", "112")
TIGHT = (*WIDE, "--margin", "-0.16")
LIGHT = [
    ("RandomHorizontalFlip", {"p": 0.5}),
    ("RandomSimilarity", {"degrees": 8, "scale": 0.06, "shift": 0.03}),
    ("RandomGrey", {"p": 0.1}),
    ("RandomColourJitter", {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2}),
]
STEPS = ("plain", "frame", "scans", "standardise", "ages", "averaging", "l2-sp")


def main() -> None:
    options = _options()
    if options.run:
        _tell("recipe", options.run)
        _prior(options.run, best=True)
        return
    recipe = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    for step in options.steps:
        config = _config(recipe, step, options)
        place = options.work / f"cross-{step}-{options.epochs}-{options.draws or 'all'}"
        file = options.work / f"cross-{step}.yaml"
        file.write_text(yaml.safe_dump(config), encoding="utf-8")
        run(place, file)
        _tell(step, place)
    _prior(place, best=False)


def _tell(step: str, place: Path) -> None:
    for part in ("valid", "test", "fgnet"):
        _show(step, part, errors(predictions(place, part)))


def _config(recipe: dict[str, Any], step: str, options: argparse.Namespace) -> dict[str, Any]:
    """The recipe without the steps that come after `step`."""
    have = STEPS[: STEPS.index(step) + 1]
    config = copy.deepcopy(recipe)
    cut = TIGHT if "frame" in have else WIDE
    config["data"]["stores"] = str(store(options.work, "utkface", options.utkface, *cut))
    config["data"]["tests"] = {"fgnet": str(store(options.work, "fgnet", options.fgnet, *cut))}
    if "scans" not in have:
        config["data"]["augmentations"] = [
            {"class_path": name, "init_args": arguments} for name, arguments in LIGHT
        ]
    if "standardise" not in have:
        config["backbone"]["standardise"] = False
    if "ages" not in have:
        del config["data"]["sampling_within"]
    if "averaging" not in have:
        config["callbacks"] = [c for c in config["callbacks"] if "WeightEMA" not in c["class_path"]]
    if "l2-sp" in have:
        config["regularisers"] = [
            {
                "class_path": "L2SP",
                "init_args": {"alpha": 0.01, "beta": 0.01},
            }
        ]
        config["optimizer"]["init_args"]["weight_decay"] = 0.0
    config["trainer"]["max_epochs"] = options.epochs
    config["data"]["draws"] = options.draws
    # Read from beside the runs, not from the recipes.
    config["base"] = str((CONFIG.parent / config["base"]).resolve())
    return config


def _prior(place: Path, *, best: bool) -> None:
    valid, new = (predictions(place, part) for part in ("valid", "fgnet"))
    # The prior that the network holds is how it answers on people like those it learned from.
    old = _posterior(valid).mean(axis=0)
    moved = moved_to_prior(_posterior(new), old, estimated_prior(_posterior(new), old))
    years = np.asarray(new.scale.years) if new.scale else np.empty(0)
    _show("prior", "fgnet", errors(new, moved @ years))
    if best:
        ages = new.frame["age_years"].to_numpy(float)
        mix = gaussian_filter1d(np.bincount(ages.astype(int), minlength=len(years)) * 1.0, 2)
        _show("true mix", "fgnet", errors(new, moved_to_prior(_posterior(new), old, mix) @ years))
        line = np.polynomial.Polynomial.fit(_posterior(new) @ years, ages, 1)
        _show("best line", "fgnet", errors(new, line(_posterior(new) @ years)))


def _posterior(table: PredictionsTable) -> np.ndarray:
    if table.distribution is None:
        raise SystemExit("the run's method answers no distribution")
    return table.distribution.astype(float)


def _show(step: str, part: str, figures: dict[str, float]) -> None:
    bands = "  ".join(f"{band} {value:.2f}" for band, value in figures.items() if band[0].isdigit())
    print(f"{step:12}{part:7}MAE {figures['mae']:.2f}  bias {figures['bias']:+.2f}  {bands}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("utkface", type=Path)
    parser.add_argument("fgnet", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="stores and runs are kept here")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--draws", type=int, help="samples an epoch; all by default")
    parser.add_argument("--run", type=Path, help="read this run of the recipe, train nothing")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=STEPS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
