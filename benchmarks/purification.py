"""Whether purified embeddings find people across decades better, beyond chance.

    python benchmarks/purification.py ../shared/data --work WORK [--rotate]

Purifiers are trained on LFW (ages by the default model), on people of FG-NET (true ages), or on
both; epoch and weights are chosen on other people of FG-NET, and tested on yet others: subjects 1
to 27, 28 to 34, 35 to 41. `--rotate` lets every seven people of FG-NET be the tested ones in turn
(and the seven before them choose), so that a gain is seen on all 41 people and not on seven.

Four figures, before and after, by person: rank-1 of leave-one-out; rank-1 of the MegaFace-style
pairs ten years apart or more; true matches at 1 % false ones among pairs ten years apart or more;
and the error of a ridge regression that tells age (of people neither trained on nor tested). A gain
is the mean over seeds and people's pictures; its 95 % interval draws people, each with all seeds.
Everything that is finished is in WORK, and is not done again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

import two_branches
from age_probe import probe_errors
from agelens.atomic import write_json
from agelens.cli import main as agelens
from agelens.evaluation.bootstrap.groupings import percentile_interval
from agelens.recognition import train_purifier
from agelens.recognition.embedding_purifier.purifiers import PURIFIERS
from agelens.recognition.embedding_purifier.result import branch_as_onnx
from agelens.recognition.embedding_table import EmbeddingTable, read_embeddings
from agelens.recognition.protocols import Resampling, leave_one_out, megaface_style
from agelens.sessions import open_session

DRAWS: Final = 5000
FAR_YEARS: Final = 10
FALSE_MATCHES: Final = 0.01
PEOPLE: Final = 41
TESTED: Final = 7
SOURCES: Final = ("lfw", "fgnet", "both")
# Few faces make few steps an epoch; the epoch that is kept is chosen in any case.
SETTINGS: Final[dict[str, dict[str, Any]]] = {
    "lfw": {},
    "both": {},
    "fgnet": {"epochs": 60, "age_epochs": 60, "batch_size": 64},
}
KEPT: Final = (10.0, 100.0)
"""Weights of what the extractor knows (`identity_weight`), chosen from like all else."""
FIGURES: Final = {
    "rank1": "rank-1, leave one out",
    "far": f"rank-1 of pairs {FAR_YEARS} years apart",
    "verified": f"true matches {FAR_YEARS} years apart at {FALSE_MATCHES:.0%} false",
    "probe": "age probe, years",
}
Counts = dict[str, dict[str, list[float]]]
Task = tuple[str, str, int, int]
Purify = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    work: Path = options.work
    work.mkdir(parents=True, exist_ok=True)
    lfw, fgnet = (read_embeddings(_embedded(options.data, name, work)) for name in SOURCES[:2])
    folds = range(0, PEOPLE, TESTED) if options.rotate else [PEOPLE - TESTED]
    tasks = [
        (source, name, seed, fold)
        for seed in range(options.seeds)
        for fold in folds
        for source in options.sources
        for name in options.purifiers
    ]
    for number, task in enumerate(tasks):
        source, name, seed, fold = task
        place = work / f"{source}-{name}-{seed}-{fold}.json"
        if not place.exists():
            tables = {"lfw": lfw, "fgnet": fgnet}
            run = _network if name in two_branches.NETWORKS else _run
            write_json(place, run(tables, task, options))
            print(f"{number + 1} of {len(tasks)}: {place.name}", flush=True)
    for source in options.sources:
        for name in options.purifiers:
            _tell(
                source,
                name,
                [work / f"{source}-{name}-{{}}-{fold}.json" for fold in folds],
                options,
            )


def parts(fold: int) -> tuple[list[int], list[int], list[int]]:
    """Subjects to train on, to choose by and to test, where those from `fold` on are tested."""
    everyone = list(range(1, PEOPLE + 1))
    test = everyone[fold : fold + TESTED]
    rest = everyone[fold + TESTED :] + everyone[:fold]
    return rest[:-TESTED], rest[-TESTED:], test


def _network(
    tables: dict[str, EmbeddingTable], task: Task, options: argparse.Namespace
) -> dict[str, Any]:
    """Both branches, learned from two crops of each face and tested on one as all others are."""
    source, name, seed, fold = task
    fgnet, work = tables["fgnet"], options.work
    people = fgnet.frame["subject"].astype(int)
    learn, choose, _ = (people.isin(part).to_numpy() for part in parts(fold))
    train = {
        dataset: read_embeddings(_embedded(options.data, dataset, work, mirrored=True))
        for dataset in (SOURCES[:2] if source == "both" else (source,))
    }
    if "fgnet" in train:
        train["fgnet"] = train["fgnet"].take(learn)
    best = two_branches.trained(
        name,
        source,
        list(train.values()),
        fgnet.take(choose),
        seed=seed,
        work=work / "networks" / f"{source}-{name}-{seed}-{fold}",
    )
    return {"epoch": best.settings["epochs"], "settings": best.settings} | _compared(
        fgnet, fold, best
    )


def _run(tables: dict[str, EmbeddingTable], task: Task, _: argparse.Namespace) -> dict[str, Any]:
    source, name, seed, fold = task
    lfw, fgnet = tables["lfw"], tables["fgnet"]
    people = fgnet.frame["subject"].astype(int)
    learn, choose, test = (fgnet.take(people.isin(part).to_numpy()) for part in parts(fold))
    train = {"lfw": lfw, "fgnet": learn}.get(source) or joined(lfw, learn)
    tried = [
        train_purifier(
            train, valid=choose, purifier=name, seed=seed, identity_weight=kept, **SETTINGS[source]
        )
        for kept in KEPT
    ]
    best = max(tried, key=lambda one: one.chosen.across_age)
    network = open_session(
        branch_as_onnx(best.branch, torch.from_numpy(test.vectors)), name="the purifier"
    )

    return {
        "weight": best.chosen.weight,
        "identity_weight": best.settings.identity_weight,
        "epoch": best.chosen.best_epoch,
        "settings": asdict(best.settings),
    } | _compared(fgnet, fold, lambda vectors: network.run(None, {"embedding": vectors})[0])


def _compared(fgnet: EmbeddingTable, fold: int, purify: Purify) -> dict[str, Counts]:
    _, choose, test = parts(fold)
    people = fgnet.frame["subject"].astype(int)
    unseen = fgnet.take(people.isin(choose + test).to_numpy())
    tested = np.isin(unseen.frame["subject"].astype(int), test)
    after = EmbeddingTable(unseen.frame, purify(unseen.vectors), unseen.model)
    return {
        when: measured(table.take(tested), table, tested)
        for when, table in (("before", unseen), ("after", after))
    }


def measured(test: EmbeddingTable, unseen: EmbeddingTable, tested: np.ndarray) -> Counts:
    """Sum and count of each figure by person."""
    no_draws = Resampling(draws=0)
    alone = leave_one_out(test, resampling=no_draws).trials
    pairs = megaface_style(test, resampling=no_draws).trials
    far = pairs.gap_years >= FAR_YEARS
    who, verified = _verified(test)
    ages = unseen.frame["age_years"].to_numpy(dtype=float)
    _, people = np.unique(unseen.frame["subject"].astype(int), return_inverse=True)
    errors, _ = probe_errors(unseen.vectors, ages, people)
    _, tested_people = np.unique(people[tested], return_inverse=True)
    return {
        "rank1": _by_person(alone.person, alone.rank == 1),
        "far": _by_person(pairs.person[far], pairs.rank[far] == 1),
        "verified": _by_person(who, verified),
        "probe": _by_person(tested_people, errors[tested]),
    }


def _verified(table: EmbeddingTable) -> tuple[np.ndarray, np.ndarray]:
    """Person of each pair of one person far apart in age, and whether it is matched."""
    ages = table.frame["age_years"].to_numpy(dtype=float)
    _, who = np.unique(table.frame["subject"].astype(int), return_inverse=True)
    first, second = np.triu_indices(len(table), 1)
    far = np.abs(ages[first] - ages[second]) >= FAR_YEARS
    first, second = first[far], second[far]
    alike = np.einsum("nd,nd->n", table.vectors[first], table.vectors[second])
    same = who[first] == who[second]
    threshold = np.quantile(alike[~same], 1 - FALSE_MATCHES)
    return who[first[same]], alike[same] > threshold


def _by_person(people: np.ndarray, values: np.ndarray) -> dict[str, list[float]]:
    _, codes = np.unique(people, return_inverse=True)
    sums = np.bincount(codes, np.asarray(values, dtype=float))
    return {"sum": sums.tolist(), "count": np.bincount(codes).tolist()}


def joined(first: EmbeddingTable, second: EmbeddingTable) -> EmbeddingTable:
    """Both tables' rows."""
    import pandas as pd

    frames = [one.frame.astype({"subject": str, "dataset": str}) for one in (first, second)]
    frame = pd.concat(frames, ignore_index=True)
    vectors = np.concatenate([first.vectors, second.vectors])
    return EmbeddingTable(frame, vectors, first.model)


def _tell(source: str, name: str, places: list[Path], options: argparse.Namespace) -> None:
    """Every figure with its gain; sums [seed, person] and counts, people of all folds in a row."""
    runs = [
        [json.loads(Path(str(place).format(seed)).read_text()) for place in places]
        for seed in range(options.seeds)
    ]
    unchanged = np.mean([run["epoch"] == 0 for row in runs for run in row])
    print(f"\n{name} trained on {source}; in {unchanged:.0%} of the runs no change was chosen")
    for figure, words in FIGURES.items():
        before, count, after = (
            np.array([[v for run in row for v in run[when][figure][key]] for row in runs])
            for when, key in (("before", "sum"), ("before", "count"), ("after", "sum"))
        )
        scale, unit = (1, "years") if figure == "probe" else (100, "points")
        gain, trials = (after - before).mean(0), count[0]
        drawn = np.random.default_rng(0).integers(0, len(gain), (DRAWS, len(gain)))
        low, high = percentile_interval(gain[drawn].sum(1) / trials[drawn].sum(1), 0.95)
        print(
            f"  {words:52} {scale * before[0].sum() / trials.sum():6.2f} -> "
            f"{scale * after.mean(0).sum() / trials.sum():6.2f}, gain "
            f"{scale * gain.sum() / trials.sum():+.2f} [{scale * low:+.2f}, {scale * high:+.2f}] "
            f"{unit}, {int(trials.sum()):,} of {len(gain)} people"
        )


def _embedded(data: Path, dataset: str, work: Path, *, mirrored: bool = False) -> Path:
    """The embeddings of a dataset, made once, by the commands that a user would type."""
    root, out = str(data / dataset), work / f"{dataset}{'-mirrored' * mirrored}.parquet"
    table, aged = (work / f"{dataset}-{what}.parquet" for what in ("table", "aged"))
    words = [(table, ["data", "read", dataset, root])]
    if dataset == "lfw":
        label = ["data", "label", "--model", "agelens-1", str(table), "--root", root]
        words.append((aged, label))
    crops = ["--crops", "concatenated"] if mirrored else []
    words.append((out, ["identity", "embed", str(words[-1][0]), "--root", root, *crops]))
    for place, command in words:
        if not place.exists():
            print("agelens", *command, flush=True)
            if status := agelens([*command, "-o", str(place)]):
                raise SystemExit(status)
    return out


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with lfw and fgnet")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rotate", action="store_true")
    names = [*PURIFIERS, *two_branches.NETWORKS]
    parser.add_argument("--purifiers", nargs="+", default=list(PURIFIERS), choices=names)
    parser.add_argument("--sources", nargs="+", default=list(SOURCES), choices=SOURCES)
    return parser.parse_args()


if __name__ == "__main__":
    main()
