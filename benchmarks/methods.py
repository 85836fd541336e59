"""Every method beside every other: heads on fixed features, and whole networks.

    python benchmarks/methods.py heads DATA --work DIR      # minutes a method: 7 runs of seconds
    python benchmarks/methods.py networks DATA --work DIR   # an hour a method: 5 runs of minutes
    python benchmarks/methods.py table --work DIR [--output docs/methods.md]

DATA and DIR are those of `benchmarks/agelens_1.py`, whose stores, table and run have to be there:
the table says which photos of UTKFace train, validate and test (by hash; near-duplicates,
conflicting labels and absurd ones of the train part are out). FG-NET and the London portraits are
sets that no run trains on.

*Heads*: the features of one fixed backbone, cached once; each head and loss is trained by AdamW at
each of three learning rates, and at the best of them on validation with four more seeds, until the
last fifth of the epochs brought no better validation MAE. *Networks*: dlib-resnet10 at 64 pixels
from the CC0 weights, all layers, 6,000 steps of 64 samples, at each of three learning rates, and
with two more seeds at the best of them on validation. Epochs are chosen on validation; test parts
are read once. A run that is whole is taken as it is, and one that was broken off goes on.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from agelens.data.store import ChipStore, prepare
from agelens.evaluation.comparison.ranks import block_ranks
from agelens.inference.answers import Answers, point_and_interval, read_answers
from agelens.models import method_class
from agelens.models.backbones import build_backbone
from agelens.models.methods import METHODS
from agelens.models.methods.base import AgeMethod, AgeTargets, LearningHead
from agelens.tables import PredictionsTable, SampleTable, read_predictions, read_table, write_table
from agelens.training.config_schema import config_file
from agelens.training.run import open_run
from stores_and_runs import run

PHOTOS = ("utkface", "utkface-more", "fgnet", "london")
BACKBONES = ("agelens-1", "cc0-resnet10")
OPTIONS: dict[str, dict[str, Any]] = {"unimodal-concentrated": {"unimodal_weight": 10.0}}
"""From random heads the usual weight of 1,000 leaves next to no gradient for the age."""
SEEDS = {"heads": 5, "networks": 3}
RATES = {"heads": (1e-3, 3e-3, 1e-2), "networks": (2e-4, 5e-4, 1.5e-3)}
BATCH, STEPS, STEPS_AN_EPOCH = 512, 6000, 500
FEWEST, MOST, FLAT = 40, 200, 0.002
CONFIG = "utkface-dlib-resnet10"


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    if options.part == "table":
        text = "\n".join(_tables(options.work / "methods"))
        print(text)
        if options.output:
            old = options.output.read_text(encoding="utf-8")
            _, rest, differences = old.partition("## Where we differ")
            options.output.write_text(text + rest + differences, encoding="utf-8")
        return
    _small_stores(options.data, options.work)
    if options.part == "heads":
        for backbone in BACKBONES:
            cached = _cached(options.work, backbone)
            for method in options.methods or METHODS:
                _chosen(_Heads(options.work, backbone, cached), method)
        return
    for method in options.methods or METHODS:
        _chosen(_Networks(options.work), method)


def _chosen(kind: _Heads | _Networks, method: str) -> None:
    """The first seed at each rate, then further seeds at the rate that validated best."""
    first = {rate: kind.figures(method, rate, 0) for rate in RATES[kind.part]}
    rate = min(first, key=lambda one: first[one]["valid"]["mae"])
    found = [first[rate], *(kind.figures(method, rate, s) for s in range(1, SEEDS[kind.part]))]
    errors = [one["utkface"]["mae"] for one in found]
    print(f"{kind.name:28} {method:22} lr {rate:g}: {np.mean(errors):.3f}", flush=True)


# Photos and features -----------------------------------------------------------------------------


def _small_stores(data: Path, work: Path) -> None:
    """Chips of 64 pixels as the CC0 network takes them, and a table of what trains on them."""
    for name in PHOTOS:
        place = work / "methods" / "stores" / name
        if not (place / "store.json").is_file():
            table = ChipStore.open(work / "stores" / name, verify=False).table
            samples = SampleTable(table.frame.drop(columns=list(table.extra)))
            prepare(samples, place, root=data / name, template="dlib-64", size=64)
    target = work / "methods" / "training.parquet"
    if not target.is_file():
        frame = read_table(work / "training.parquet", extra=None).frame
        own = frame["dataset"].astype(str) == "utkface"
        write_table(SampleTable(frame[own].copy()), target)


def _cached(work: Path, backbone: str) -> dict[str, np.ndarray]:
    """Features [N, F] of every photo, its age, and where it belongs: a part or a further set."""
    file = work / "methods" / f"features-{backbone}.npz"
    if not file.is_file():
        folder = work / "stores" if backbone == "agelens-1" else work / "methods" / "stores"
        features = _own_features(work) if backbone == "agelens-1" else _cc0_features()
        blocks = [_store_features(folder / name, name, work, features) for name in PHOTOS]
        joined = [np.concatenate(column) for column in zip(*blocks, strict=True)]
        if backbone != "agelens-1":  # it has seen nobody
            joined[2] = np.where(joined[2] == "fgnet-seen", "fgnet", joined[2])
        np.savez(file, **dict(zip(("features", "ages", "part"), joined, strict=True)))
    with np.load(file) as saved:
        return {name: saved[name] for name in saved.files}


def _own_features(work: Path) -> Any:
    trained = open_run(work / "runs" / "agelens-1-seed-0")
    return lambda chips: trained.model.features(trained.transform(chips))


def _cc0_features() -> Any:
    net = build_backbone("dlib-resnet10", weights="packaged").backbone.eval()
    mean, std = (torch.tensor(numbers)[:, None, None] for numbers in (net.mean, net.std))
    return lambda chips: net((chips / 255 - mean) / std)


def _store_features(
    place: Path, name: str, work: Path, features: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    store = ChipStore.open(place, verify=False)
    frame = store.table.frame
    whole = read_table(work / "training.parquet", extra=None).frame
    split = pd.Series(whole["split"].astype(str).to_numpy(), index=whole["sample_id"].astype(str))
    part = frame["sample_id"].astype(str).map(split).to_numpy(dtype=object)
    if name == "fgnet":  # the people whom agelens-1 was trained on are told apart
        part = np.where(part == "train", "fgnet-seen", "fgnet")
    elif name == "london":
        part[:] = "london"
    usable = store.has_chip & frame["age_years"].notna().to_numpy() & ~pd.isna(part)
    rows = np.flatnonzero(usable)
    found = []
    for start in range(0, len(rows), 64):
        chips = torch.from_numpy(np.stack([store[int(row)] for row in rows[start : start + 64]]))
        with torch.inference_mode():
            found.append(features(chips.permute(0, 3, 1, 2)).float().numpy())
    ages = frame["age_years"].to_numpy(np.float32)[rows]
    return np.concatenate(found), ages, part[rows].astype(str)


# Runs --------------------------------------------------------------------------------------------


class _Heads:
    """One head and loss on cached features, standardised by those of the train part."""

    part = "heads"

    def __init__(self, work: Path, backbone: str, cached: dict[str, np.ndarray]) -> None:
        self.name = f"heads, {backbone}"
        self.folder = work / "methods" / "heads" / backbone
        self.folder.mkdir(parents=True, exist_ok=True)
        features, self.place = cached["features"].astype(np.float32), cached["part"]
        train = features[self.place == "train"]
        self.features = torch.from_numpy((features - train.mean(0)) / (train.std(0) + 1e-3))
        self.ages = torch.from_numpy(cached["ages"])

    def figures(self, method: str, rate: float, seed: int) -> dict[str, Any]:
        """What the run measured, from its file where it is whole."""
        file = self.folder / f"{method}-{rate:g}-{seed}.json"
        if not file.is_file():
            text = json.dumps(self._run(method, rate, seed))
            file.with_suffix(".part").write_text(text, encoding="utf-8")
            file.with_suffix(".part").rename(file)
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return found

    def _run(self, name: str, rate: float, seed: int) -> dict[str, Any]:
        torch.manual_seed(seed)
        began = time.process_time()
        method = method_class(name)(ages="0-116", **OPTIONS.get(name, {}))
        train, ages = self._of("train")
        method.fit_ages(ages)
        head = method.head(train.shape[1])
        optimizer = torch.optim.AdamW(head.parameters(), lr=rate, weight_decay=0.01)
        best, curve = copy.deepcopy(head.state_dict()), list[float]()
        while not _flat(curve) and len(curve) < MOST:
            _epoch(method, head, optimizer, train, ages)
            valid, truth = self._of("valid")
            errors = _answers(method, head, valid).estimate_years - truth.numpy()
            curve.append(float(np.abs(errors).mean()))
            improved = curve[-1] == min(curve)
            if isinstance(head, LearningHead):
                head.after_epoch(torch.from_numpy(errors).float(), best=improved)
            if improved:
                best = copy.deepcopy(head.state_dict())
        head.load_state_dict(best)
        found: dict[str, Any] = {
            part: _measured(_answers(method, head, self._of(part)[0]), self._of(part)[1].numpy())
            for part in np.unique(self.place)
            if part != "train"
        }
        found["utkface"] = found.pop("test")
        return found | {
            **{"method": name, "rate": rate, "seed": seed},
            "seconds": time.process_time() - began,
            "parameters": sum(weights.numel() for weights in head.parameters()),
            "flat": _flat(curve),
            "curve": [round(one, 4) for one in curve],
        }

    def _of(self, part: str) -> tuple[torch.Tensor, torch.Tensor]:
        rows = torch.from_numpy(np.flatnonzero(self.place == part))
        return self.features[rows], self.ages[rows]


def _epoch(
    method: AgeMethod,
    head: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    features: torch.Tensor,
    ages: torch.Tensor,
) -> None:
    head.train()
    order = torch.randperm(len(features))
    for rows in order[: len(order) // BATCH * BATCH].split(BATCH):
        targets = AgeTargets(ages[rows], torch.full((BATCH,), torch.nan))
        outputs = head(features[rows])
        loss = method.loss(outputs, targets)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(head.parameters(), 5.0)
        optimizer.step()
        if isinstance(head, LearningHead):
            with torch.no_grad():
                head.after_step(outputs, targets)


def _flat(curve: list[float], *, fewest: int = FEWEST, gain: float = FLAT) -> bool:
    """Whether the last fifth of the epochs brought nothing beyond `gain` of the best before."""
    before = len(curve) * 4 // 5
    return len(curve) >= fewest and min(curve[before:]) > min(curve[:before]) * (1 - gain)


def _answers(method: AgeMethod, head: torch.nn.Module, features: torch.Tensor) -> Answers:
    head.eval()
    with torch.inference_mode():
        answer = torch.cat([method.answer(head(some)) for some in features.split(4096)])
    return read_answers(answer.numpy(), method.spec)


def _measured(answers: Answers, ages: np.ndarray) -> dict[str, float]:
    told = point_and_interval(answers, 0.9)
    return _figures(ages, told.estimate_years, told.low_years, told.high_years)


def _figures(ages: Any, estimates: Any, low: Any, high: Any) -> dict[str, float]:
    """MAE, CS@5, the network's own 90 % intervals, and those under 18 who are read as adults."""
    wrong, minors = np.abs(estimates - ages), ages < 18
    return {
        "samples": len(ages),
        "mae": float(wrong.mean()),
        "cs5": float((wrong <= 5).mean()),
        "held": float(((low <= ages) & (ages <= high)).mean()),
        "width": float((high - low).mean()),
        "false_adult": float((estimates[minors] >= 18).mean()) if minors.any() else float("nan"),
    }


class _Networks:
    """A whole network, by `agelens train`."""

    part = "networks"
    name = "networks"

    def __init__(self, work: Path) -> None:
        self.work = work / "methods"

    def figures(self, method: str, rate: float, seed: int) -> dict[str, Any]:
        """What the run measured; see `stores_and_runs.run`."""
        folder = self.work / "networks" / f"{method}-{rate:g}-{seed}"
        stores = {name: str(self.work / "stores" / name) for name in PHOTOS}
        own = [stores["utkface"], stores["utkface-more"]]
        further = {name: stores[name] for name in ("fgnet", "london")}
        summary = run(
            folder,
            config_file(CONFIG),
            *("--method", method, "--method.ages", "0-116"),
            *(f"--method.{key}={value}" for key, value in OPTIONS.get(method, {}).items()),
            f"--data.stores={json.dumps(own)}",
            f"--data.table={self.work / 'training.parquet'}",
            "--data.split=column",
            f"--data.tests={json.dumps(further)}",
            f"--data.draws={64 * STEPS_AN_EPOCH}",
            "--data.workers=0",
            f"--optimizer.lr={rate}",
            f"--trainer.max_epochs={STEPS // STEPS_AN_EPOCH}",
            f"--seed={seed}",
        )
        found: dict[str, Any] = {
            part: _told(read_predictions(folder / f"predictions-{file}.parquet"))
            for part, file in (
                *(("valid", "valid"), ("utkface", "test")),
                *((name, f"test-{name}") for name in further),
            )
        }
        curve = pd.read_csv(folder / "metrics.csv")["valid/mae"].tolist()
        found |= {
            **{"method": method, "rate": rate, "seed": seed},
            "seconds": summary["seconds"],
            "parameters": summary["parameters"],
            "flat": _flat(curve, fewest=1, gain=5 * FLAT),
            "curve": curve,
        }
        (folder / "figures.json").write_text(json.dumps(found), encoding="utf-8")
        return found


def _told(table: PredictionsTable) -> dict[str, float]:
    frame = table.frame.dropna(subset=["estimate_years", "age_years"])
    columns = ("age_years", "estimate_years", "low_years", "high_years")
    return _figures(*(frame[name].to_numpy(np.float64) for name in columns))


# Tables ------------------------------------------------------------------------------------------


PUBLISHED = {
    "dex": "4.75; 4.38",
    "l1": "4.53; 4.72",
    "or-cnn": "4.43; 4.40",
    "dldl": "4.66; 4.39",
    "dldl-v2": "4.60; 4.42",
    "sord": "4.68; 4.36",
    "mean-variance": "4.57; 4.42",
    "unimodal-concentrated": "4.78; 4.47",
    "coral": "- (5.39 by MiVOLO's Tab. 2)",
}
"""UTKFace, ResNet-50 at 256 pixels from ImageNet; from IMDB-WIKI: Paplham and Franc, CVPR 2024."""

INTRODUCTION = """# Methods side by side

`python benchmarks/methods.py heads|networks DATA --work DIR`, then `table`. UTKFace (both
halves, near-duplicates and conflicting labels out) is split by a hash of the picture into 84 %
for training, 8 % for validation and 8 % for the test; labels that two networks could not
believe are out of the training part. Nothing trains on FG-NET or the London portraits. Learning
rate and epoch are chosen on validation, the test is read once. Mean and standard deviation are
over seeds, in years; **FA** is the share of people under 18 of the test part who are read as 18
or more; **held** is the share of true ages in the network's own 90 % intervals, uncalibrated,
and **width** how wide these are. *Published* figures are of UTKFace with ResNet-50 at 256
pixels on other splits, from ImageNet and from IMDB-WIKI weights (Paplham and Franc, CVPR 2024),
and not to be compared with the columns beside them.
"""

HEADS = """
Only the head learns, on cached and standardised features; AdamW, batches of 512, no
augmentation. A run ends when the last fifth of its epochs has not bettered validation MAE by
0.2 %, at 200 epochs at the latest.
"""

NETWORKS = """
dlib-resnet10 from the packaged CC0 weights, all layers, 64 pixels, 6,000 steps of 64 samples,
cosine learning rate.
"""

COLUMNS = (
    *("method", "lr", "UTKFace", "CS@5", "FG-NET", "London", "FA", "held", "width", "epochs"),
    *("flat", "s a run", "weights", "published"),
)

NOTES = {
    "agelens-1": "Features of the first of the two runs whose mean agelens-1 is. It was trained on "
    "this training part, so its features of these faces are better than of new ones; its FG-NET "
    "figure is of people whom it has not seen.",
    "cc0-resnet10": "The CC0 network's features, which know nothing of UTKFace.",
}


def _paragraphs(text: str) -> str:
    """`text` with a line for each paragraph: the methods' own pages repeat the one that tells."""
    return "\n\n".join(" ".join(part.split("\n")) for part in text.strip().split("\n\n"))


def _tables(work: Path) -> Iterator[str]:
    yield f"{_paragraphs(INTRODUCTION)}\n"
    for backbone in BACKBONES:
        found = _read(sorted((work / "heads" / backbone).glob("*.json")))
        if found:
            told = f"{NOTES[backbone]} {_paragraphs(HEADS)}"
            yield f"## Heads on the features of {backbone}\n\n{told}\n"
            yield from _table(found, "heads")
    folders = sorted((work / "networks").glob("*/figures.json"))
    if found := _read(folders):
        yield f"## Whole networks\n\n{_paragraphs(NETWORKS)}\n"
        yield from _table(found, "networks")


def _read(files: list[Path]) -> dict[str, dict[float, dict[int, dict[str, Any]]]]:
    """Figures by method, rate and seed."""
    found: dict[str, dict[float, dict[int, dict[str, Any]]]] = {}
    for file in files:
        figures = json.loads(file.read_text(encoding="utf-8"))
        by_rate = found.setdefault(figures["method"], {})
        by_rate.setdefault(figures["rate"], {})[figures["seed"]] = figures
    return found


def _table(found: dict[str, dict[float, dict[int, dict[str, Any]]]], part: str) -> Iterator[str]:
    """Rows of the methods that are whole, best first, and how far ranks tell them apart."""
    rows: dict[str, tuple[float, list[dict[str, Any]]]] = {}
    for method, rates in found.items():
        if all(0 in rates.get(rate, {}) for rate in RATES[part]):
            rate = min(RATES[part], key=lambda one: rates[one][0]["valid"]["mae"])
            if len(rates[rate]) == SEEDS[part]:
                rows[method] = rate, [rates[rate][seed] for seed in range(SEEDS[part])]
    if missing := sorted(set(METHODS) - set(rows)):
        yield f"Not measured yet: {', '.join(missing)}.\n"
    yield f"| {' | '.join(COLUMNS)} |"
    yield f"| {' | '.join(['---'] * len(COLUMNS))} |"
    for method in sorted(rows, key=lambda one: _mean(rows[one][1], "utkface", "mae")):
        yield _row(method, *rows[method])
    yield ""
    if len(rows) > 2:
        yield from _ranking({method: runs for method, (_, runs) in rows.items()})


def _row(method: str, rate: float, runs: list[dict[str, Any]]) -> str:
    errors = [
        f"{_mean(runs, name, 'mae'):.2f} ± {np.std([one[name]['mae'] for one in runs], ddof=1):.2f}"
        for name in ("utkface", "fgnet", "london")
    ]
    shares = [
        f"{100 * _mean(runs, 'utkface', key):.1f} %" for key in ("cs5", "false_adult", "held")
    ]
    seconds = np.mean([one["seconds"] for one in runs])
    epochs = np.mean([len(one["curve"]) for one in runs])
    cells = [
        *(method, f"{rate:g}", errors[0], shares[0], *errors[1:], *shares[1:]),
        f"{_mean(runs, 'utkface', 'width'):.1f}",
        *(f"{epochs:.0f}", f"{sum(one['flat'] for one in runs)} of {len(runs)}", f"{seconds:.0f}"),
        *(f"{runs[0]['parameters']:,}", PUBLISHED.get(method, "-")),
    ]
    return f"| {' | '.join(cells)} |"


def _mean(runs: list[dict[str, Any]], name: str, key: str) -> float:
    return float(np.mean([one[name][key] for one in runs]))


def _ranking(rows: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    """Ranks over seeds on the test part, which share their test samples: a rough guide."""
    errors = np.array([[one["utkface"]["mae"] for one in runs] for runs in rows.values()]).T
    ranks = block_ranks(errors, list(rows), [f"seed {seed}" for seed in range(len(errors))])
    best = min(ranks.mean, key=lambda one: ranks.mean[one])
    distance = ranks.critical_distance or np.nan
    apart = [one for one in rows if ranks.mean[one] - ranks.mean[best] > distance]
    yield (
        f"By mean rank over the {len(errors)} seeds, `{best}` is first; Nemenyi's distance is "
        f"{distance:.1f} ranks (5 % level, p of Friedman's test {ranks.p_value:.1e})."
    )
    yield (
        f"Beyond chance it is better than {', '.join(f'`{one}`' for one in apart) or 'no other'}; "
        "from the others it is not told apart.\n"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=("heads", "networks", "table"))
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--methods", nargs="*", choices=METHODS, help="some of them")
    parser.add_argument("--output", type=Path, help="put the tables here, in place of the old")
    options = parser.parse_args()
    if options.part != "table" and options.data is None:
        parser.error(f"{options.part} needs DATA")
    return options


if __name__ == "__main__":
    main()
