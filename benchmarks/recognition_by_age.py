"""What a stated false match rate is at each age and age gap, on people it was not measured on.

    agelens data label --model agelens-1 fgnet.parquet --replace --root FGNET -o fgnet-aged.parquet
    agelens identity embed fgnet-aged.parquet --root FGNET -o fgnet-faces.parquet
    python benchmarks/recognition_by_age.py LFW=lfw-faces.parquet FG-NET=fgnet-faces.parquet

Tables of embeddings, by what the card calls them, with the ages that a model sees. Each set's
people are halved by their place in the sorted list of names: odd places measure and even ones are
tested, then the other way round. Printed for every cell: the threshold, its rate and the interval
stated, and the rate on the other half. `--card` measures on everybody and writes `by_age` into a
card whose overall rates `recognition_thresholds.py` has written.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from agelens.recognition.embedding_table import EmbeddingTable, read_embeddings
from agelens.recognition.measured_rates import AgeRates
from agelens.recognition.rates_by_age import Cell, Faces, cells_of, rates_by_age

TRIED = 0.001


def main() -> None:
    options = _options()
    tables = {name: read_embeddings(Path(path)) for name, path in options.tables}
    for parity, words in ((1, "odd"), (0, "even")):
        measured = rates_by_age(
            {name: half(table, parity) for name, table in tables.items()},
            rates=(0.01, TRIED),
            draws=options.draws,
        )
        print(f"\nmeasured on people in {words} places, tested on the others, at {TRIED:g}")
        check(measured, {name: half(table, 1 - parity) for name, table in tables.items()})
    if options.card:
        found = rates_by_age(tables, draws=options.draws)
        show(found)
        _write(options.card, next(iter(tables.values())), found)


def half(table: EmbeddingTable, parity: int) -> EmbeddingTable:
    """The people at odd (1) or even (0) places of the sorted list of names, counted from 1."""
    people = np.unique(table.frame["subject"].astype(str), return_inverse=True)[1]
    return table.take((people + 1) % 2 == parity)


def check(measured: tuple[AgeRates, ...], others: dict[str, EmbeddingTable]) -> None:
    """Print each cell's rate on other people; whether it lies in the interval that is stated."""
    print(
        f"{'younger':8}{'gap':7}{'set':8}{'threshold':>10}{'stated interval':>22}"
        f"{'on others':>11}{'pairs':>11}  {'inside':7}other set"
    )
    inside = 0
    tried = {name: _cells(table) for name, table in others.items()}
    for one in measured:
        rate = one.at(TRIED)
        if rate is None:
            print(f"{one.youngest:8}{one.gap:7}{one.dataset:8} nothing so small measured")
            continue
        place = one.youngest, one.gap
        shares = {
            name: shares_beyond(*found, rate.threshold).get(place, (np.nan, 0))
            for name, found in tried.items()
        }
        share, pairs = shares.pop(one.dataset)
        holds = rate.low <= share <= rate.high
        inside += holds
        beside = ", ".join(f"{name} {found:.5f} of {n:,}" for name, (found, n) in shares.items())
        print(
            f"{one.youngest:8}{one.gap:7}{one.dataset:8}{rate.threshold:10.4f}"
            f"{f'{rate.low:.5f} to {rate.high:.5f}':>22}{share:11.5f}{pairs:11,}  "
            f"{'yes' if holds else 'NO':7}{beside}"
        )
    print(f"{inside} of {len(measured)} cells inside")


def _cells(table: EmbeddingTable):
    faces = Faces.of(table)
    return faces, list(cells_of(faces))


Cells = list[tuple[str, str, Cell]]


def shares_beyond(
    faces: Faces, cells: Cells, threshold: float
) -> dict[tuple[str, str], tuple[float, int]]:
    everyone = np.ones(int(faces.people.max()) + 1)
    return {
        (youngest, gap): (
            cell.share(threshold, everyone, faces),
            round(cell.pairs(everyone, faces)),
        )
        for youngest, gap, cell in cells
    }


def show(found: tuple[AgeRates, ...]) -> None:
    print(f"\nmeasured on everybody, at {TRIED:g}")
    for one in found:
        rate = one.at(TRIED) or one.rates[-1]
        true = "unknown" if rate.true_match_rate is None else f"{rate.true_match_rate:.1%}"
        if rate.true_low is not None:
            true += f" [{rate.true_low:.1%}, {rate.true_high:.1%}]"
        print(
            f"{one.youngest:6}{one.gap:7}{one.dataset:7} {one.people:5,} people "
            f"{one.different_pairs:10,} pairs, threshold {rate.threshold:.4f}, false "
            f"{rate.measured:.5f} [{rate.low:.5f}, {rate.high:.5f}], true {true} of "
            f"{one.same_pairs:,} pairs of {one.same_people}"
            + ("" if rate.tells_apart else ": cannot tell")
        )


def _write(card: Path, table: EmbeddingTable, found: tuple[AgeRates, ...]) -> None:
    document = json.loads(card.read_text(encoding="utf-8"))
    by_age = json.loads(json.dumps([asdict(one) for one in found]), parse_float=_short)
    document["verification"][table.model.crops]["by_age"] = by_age
    card.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"wrote {card}")


def _short(number: str) -> float:
    return float(f"{float(number):.6g}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", nargs="+", type=lambda text: tuple(text.split("=", 1)))
    parser.add_argument("--card", type=Path)
    parser.add_argument("--draws", type=int, default=300)
    return parser.parse_args()


if __name__ == "__main__":
    main()
