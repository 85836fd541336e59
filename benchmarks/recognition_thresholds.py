"""False match rates of an extractor: where its card's `verification` is from.

    agelens data read lfw LFW_FOLDER -o lfw.parquet
    agelens identity embed lfw.parquet --root LFW_FOLDER -o lfw-faces.parquet
    python benchmarks/recognition_thresholds.py lfw-faces.parquet LFW

All pairs of photos of different people and of one person, with intervals that resample people.
`--card` writes the section into a card that lies beside its weights or in this package.
`recognition_by_age.py` adds what holds at certain ages. The
accuracy is that of LFW's view 2 as far as it can be had without its list: ten folds of people,
300 random pairs of either kind in each, the threshold chosen on the nine others.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from agelens.data.datasets.pairs import PairList, pair_table
from agelens.errors import UsageError
from agelens.recognition.embedding_table import EmbeddingTable, read_embeddings
from agelens.recognition.measured_rates import MeasuredRates
from agelens.recognition.measuring_rates import measure_rates
from agelens.recognition.protocols import Resampling, verification

FOLDS, PAIRS_OF_EITHER_KIND = 10, 300


def main() -> None:
    options = _options()
    table = read_embeddings(options.embeddings)
    print(f"{table.model}; rows: {table.frame['status'].value_counts().to_dict()}")
    found = measure_rates(table, options.dataset, draws=options.draws, seed=options.seed)
    _show(found)
    _accuracy(table, options.seed)
    if options.card:
        _write(options.card, table, found)


def _show(found: MeasuredRates) -> None:
    print(
        f"{found.dataset}: {found.photos:,} photos of {found.people:,} people; "
        f"{found.different_pairs:,} pairs of different people, {found.same_pairs:,} of one"
    )
    print(f"{'promised':>9} {'threshold':>10} {'measured':>10} {'95 % interval':>22} {'true':>7}")
    for rate in found.rates:
        interval = f"{rate.low:.2e} to {rate.high:.2e}"
        print(
            f"{rate.false_match_rate:9g} {rate.threshold:10.4f} {rate.measured:10.2e} "
            f"{interval:>22} {rate.true_match_rate:7.4f}"
        )


def _accuracy(table: EmbeddingTable, seed: int) -> None:
    """Ten folds of people, random pairs within each."""
    frame = table.with_embedding().frame
    chance = np.random.default_rng(seed)
    people = chance.permutation(frame["subject"].astype(str).unique())
    names: list[tuple[str, str]] = []
    same: list[bool] = []
    folds: list[int] = []
    for fold, subjects in enumerate(np.array_split(people, FOLDS)):
        rows = frame[frame["subject"].astype(str).isin(subjects)]
        paths, who = rows["path"].tolist(), rows["subject"].astype(str).to_numpy()
        first, second = np.triu_indices(len(rows), 1)
        one = who[first] == who[second]
        for kind in (True, False):
            there = np.flatnonzero(one == kind)
            if len(there) < PAIRS_OF_EITHER_KIND:
                raise UsageError(
                    f"fold {fold + 1} of {FOLDS} has {len(there)} pairs of "
                    f"{'one person' if kind else 'different people'}, and the protocol takes "
                    f"{PAIRS_OF_EITHER_KIND}: name more people, or more photos of each"
                )
            chosen = chance.choice(there, PAIRS_OF_EITHER_KIND, replace=False)
            names += [(paths[first[pair]], paths[second[pair]]) for pair in chosen]
            same += [kind] * len(chosen)
            folds += [fold] * len(chosen)
    listed = pair_table(PairList(names, same, folds))
    measured = verification(table, listed, resampling=Resampling(200, 0.95, seed))
    print(
        f"accuracy {measured.accuracy.value:.4f}, standard deviation of the folds "
        f"{measured.accuracy_std:.4f}, area {measured.area.value:.5f}, "
        f"equal error rate {measured.equal_error.value:.4f}"
    )


def _write(card: Path, table: EmbeddingTable, found: MeasuredRates) -> None:
    document = json.loads(card.read_text(encoding="utf-8"))
    stated = (document["name"], document["version"], document["weights"]["sha256"])
    if stated != (table.model.name, table.model.version, table.model.sha256):
        raise SystemExit(f"{card} is the card of {stated}, the embeddings are of {table.model}")
    document["verification"] = (document.get("verification") or {}) | {
        table.model.crops: asdict(found)
    }
    card.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"wrote {card}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("embeddings", type=Path, help="of agelens identity embed")
    parser.add_argument("dataset", help="what the card is to call them")
    parser.add_argument("--card", type=Path, help="write the section into it")
    parser.add_argument("--draws", type=int, default=1000, help="of people (1000)")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
