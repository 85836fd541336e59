"""A comparison as tables: numbers for CSV files, figures in words for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pandas as pd

from agelens.evaluation.comparison.comparison import (
    KNOWN_BY,
    Cell,
    Comparison,
    PairedDifference,
    PublishedFigure,
    RelationKind,
)
from agelens.evaluation.comparison.ranks import BlockRanks
from agelens.evaluation.metrics import METRICS
from agelens.evaluation.reports.page import with_interval

SHORT: Final[dict[RelationKind, str]] = {
    "intra": "intra",
    "cross": "cross",
    "leak": "LEAK",
    "unclear": "leak?",
    "not stated": "?",
}
"""What stands beside a figure for the relation to the training data."""

_RESERVES: Final[dict[RelationKind, str]] = {
    "leak": ", on people that it was trained on",
    "unclear": ", on people that it may have been trained on",
    "not stated": ", unless it was trained on them",
}
"""What stands beside a win."""


def matrix_rows(found: Comparison) -> pd.DataFrame:
    """A row for each model on each dataset, in numbers."""
    return pd.DataFrame([_numbers(cell) for cell in found.cells])


def matrix_table(found: Comparison, figure: str = "mae") -> pd.DataFrame:
    """Models by datasets, each figure with its interval and its relation to the training data."""
    share = METRICS[figure].unit == "share"
    rows = []
    for model in found.models:
        row: dict[str, str] = {"model": model}
        for dataset in found.datasets:
            cell = found.cell(model, dataset)
            row[dataset] = "" if cell is None else cell_text(cell, figure, share=share)
        rows.append(row)
    return pd.DataFrame(rows)


def cell_text(cell: Cell, figure: str, *, share: bool = False) -> str:
    """As ``4.68 [4.41, 4.93] intra``, with the spread of several seeds."""
    one = cell.figures[figure]
    text = with_interval(one.value, one.low, one.high, share=share)
    if figure == "mae" and len(cell.mae_of_seeds) > 1:
        text += f" seeds ±{pd.Series(cell.mae_of_seeds).std():.2f}"
    return f"{text} {SHORT[cell.relation.kind]}{' (few)' if cell.few else ''}"


def samples_table(found: Comparison) -> pd.DataFrame:
    """What each figure is of, and what was left out."""
    return pd.DataFrame(
        [
            {
                "model": cell.model,
                "dataset": cell.dataset,
                "seeds": seeds_text(cell.seeds),
                "samples": cell.samples,
                "people": "unknown" if cell.people is None else f"{cell.people:,}",
                "rows": cell.rows,
                "without estimate": cell.without_estimate,
                "without age": cell.without_age,
                "MAE of all its rows": f"{cell.own_mae:.2f}",
                "ages": ", ".join(cell.age_kinds),
                "trained on": f"{cell.relation.kind}: {cell.relation.text}",
                "few": cell.few,
            }
            for cell in found.cells
        ]
    )


def seeds_text(seeds: Sequence[int | None]) -> str:
    """The seeds of a model, separated by commas."""
    return ", ".join("not stated" if seed is None else str(seed) for seed in seeds)


def difference_table(found: Comparison) -> pd.DataFrame:
    """What the compared runs were given, where it differs: a row each, a column a model."""
    names = ["differs", *found.compared_runs]
    rows = [(one.what, *one.values) for one in found.differences]
    return pd.DataFrame(rows, columns=names)


def pair_rows(found: Comparison) -> pd.DataFrame:
    """A row for each pair of models on each dataset, in numbers."""
    names = [
        *("dataset", "model", "other", "difference_years", "low_years", "high_years"),
        *("p_value", "p_adjusted", "better", "samples", "people", "few"),
    ]
    rows = [
        (
            *(pair.dataset, pair.model, pair.other),
            *(pair.difference.value, pair.difference.low, pair.difference.high),
            *(pair.p_value, pair.p_adjusted, pair.better, pair.samples, pair.people, pair.few),
        )
        for pair in found.pairs
    ]
    return pd.DataFrame(rows, columns=names)


def pair_table(found: Comparison) -> pd.DataFrame:
    """The same in words."""
    return pd.DataFrame(
        [
            {
                "dataset": pair.dataset,
                "model": pair.model,
                "less": pair.other,
                "MAE difference": _signed(pair),
                "p": probability(pair.p_value),
                "p after Holm": probability(pair.p_adjusted),
                "verdict": verdict(found, pair),
                "samples": pair.samples,
                "few": pair.few,
            }
            for pair in found.pairs
        ]
    )


def verdict(found: Comparison, pair: PairedDifference) -> str:
    """Who has the lower error, and whether a leak may be why; or that it cannot be said."""
    if pair.few:
        return "too few samples"
    cell = None if pair.better is None else found.cell(pair.better, pair.dataset)
    if cell is None:
        return "not told apart"
    return f"{pair.better} is better{_RESERVES.get(cell.relation.kind, '')}"


def probability(p_value: float) -> str:
    """As ``0.032``; what is too small to print is said to be below."""
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"


def rank_rows(found: Comparison) -> pd.DataFrame:
    """Ranks over people, seeds and datasets, in numbers: 1 is the lowest error."""
    rows: list[dict[str, Any]] = [
        {
            "over": "people drawn anew",
            "dataset": cell.dataset,
            "model": cell.model,
            "mean_rank": cell.rank.mean,
            "low": cell.rank.low,
            "high": cell.rank.high,
            "best_share": cell.rank.best_share,
        }
        for cell in found.cells
        if cell.rank is not None
    ]
    for dataset, ranks in found.seed_ranks.items():
        rows += _block_rows("seeds", dataset, ranks)
    if found.dataset_ranks is not None:
        rows += _block_rows("datasets", "all", found.dataset_ranks)
    names = [
        *("over", "dataset", "model", "mean_rank", "low", "high", "best_share"),
        *("spread", "blocks", "friedman_p", "critical_distance"),
    ]
    return pd.DataFrame(rows, columns=names)


def published_rows(figures: Sequence[PublishedFigure]) -> pd.DataFrame:
    """Others' figures, with by whom, by what protocol, and how they came to be known here."""
    return pd.DataFrame(
        [
            {
                "dataset": one.datasets[0],
                "method": one.method,
                "metric": one.metric,
                "published": _figure(one),
                "trained on": one.train_data or "not stated",
                "before that": one.pretraining or "not stated",
                "protocol": one.protocol,
                "subject-exclusive": {True: "yes", False: "no", None: "not stated"}[
                    one.subject_exclusive
                ],
                "by": one.source,
                "known here as": f"{KNOWN_BY[one.known_by]}"
                f"{f': {one.quoted_in}' if one.quoted_in else ''}",
            }
            for one in figures
        ]
    )


def _numbers(cell: Cell) -> dict[str, Any]:
    row: dict[str, Any] = {
        "model": cell.model,
        "dataset": cell.dataset,
        "seeds": seeds_text(cell.seeds),
    }
    for name, one in cell.figures.items():
        row |= {name: one.value, f"{name}_low": one.low, f"{name}_high": one.high}
    return row | {
        "mae_of_seeds": " ".join(f"{value:.4f}" for value in cell.mae_of_seeds),
        "own_mae": cell.own_mae,
        "samples": cell.samples,
        "people": cell.people,
        "rows": cell.rows,
        "without_estimate": cell.without_estimate,
        "without_age": cell.without_age,
        "age_kinds": "+".join(cell.age_kinds),
        "relation": cell.relation.kind,
        "relation_text": cell.relation.text,
        "few": cell.few,
    }


def _signed(pair: PairedDifference) -> str:
    one = pair.difference
    return f"{'+' if one.value > 0 else ''}{with_interval(one.value, one.low, one.high)}"


def _block_rows(over: str, dataset: str, ranks: BlockRanks) -> list[dict[str, Any]]:
    return [
        {
            "over": over,
            "dataset": dataset,
            "model": model,
            "mean_rank": mean,
            "spread": ranks.spread[model],
            "blocks": ", ".join(ranks.blocks),
            "friedman_p": ranks.p_value,
            "critical_distance": ranks.critical_distance,
        }
        for model, mean in ranks.mean.items()
    ]


def _figure(one: PublishedFigure) -> str:
    share = METRICS[one.metric].unit == "share" and one.metric != "epsilon_error"
    text = f"{100 * one.value:.1f} %" if share else f"{one.value:g}"
    return text if one.spread is None else f"{text} ± {one.spread:g}"
