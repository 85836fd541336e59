"""A comparison in words and as a page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Final

import pandas as pd

from agelens.evaluation.comparison.comparison import Comparison
from agelens.evaluation.comparison.ranks import ENOUGH_BLOCKS, BlockRanks
from agelens.evaluation.reports.comparison_tables import (
    cell_text,
    difference_table,
    matrix_rows,
    matrix_table,
    pair_rows,
    pair_table,
    probability,
    published_rows,
    rank_rows,
    samples_table,
    verdict,
)
from agelens.evaluation.reports.evaluation_page import LIMITS
from agelens.evaluation.reports.page import NOT_FIT, Card, Page, Section, bootstrap_words
from agelens.evaluation.reports.result import Result

OF_COMPARING: Final = (
    "A lower mean error is not a better estimator for every purpose: see agelens evaluate for "
    "groups of people, agelens gate for a legal age, and look at the largest errors.",
    "A dataset that a model was not trained on is the better forecast of new pictures. Few "
    "datasets are like yours: measure there.",
)
_RELATIONS: Final = (
    "intra: other people of a dataset that the model was trained on. cross: a dataset that it "
    "never saw. LEAK: it was trained on some of these rows; its error on new people is larger. "
    "leak?: some rows do not say whether it was. ?: nobody says what it was trained on."
)
_PUBLISHED: Final = (
    "Published by others, not measured here: other splits, crops, starting weights and labels, and "
    "often people who are in training and test. They show what is usual; they are in no rank and "
    "in no test above."
)


def rank_sentences(found: Comparison) -> list[str]:
    """What can be said of ranks, and what cannot."""
    lines = [
        f"{cell.dataset}: {cell.model} has rank {cell.rank.mean:.2f} "
        f"[{cell.rank.low:.1f}, {cell.rank.high:.1f}] when people are drawn anew, and the lowest "
        f"error in {100 * cell.rank.best_share:.0f} % of draws."
        for cell in found.cells
        if cell.rank is not None
    ]
    for dataset, ranks in found.seed_ranks.items():
        lines += _of_blocks(f"{dataset}, over {len(ranks.blocks)} seeds", ranks)
    if found.dataset_ranks is not None:
        ranks = found.dataset_ranks
        lines += _of_blocks(f"Over {len(ranks.blocks)} datasets", ranks)
    if not found.seed_ranks and len(found.models) > 1:
        lines.append(
            "Not every model has two seeds or more in common: how much of a difference is luck of "
            "training was not measured. Train each with several seeds."
        )
    return lines


def _of_blocks(over: str, ranks: BlockRanks) -> Iterator[str]:
    each = ", ".join(
        f"{model} {ranks.mean[model]:.2f} ± {ranks.spread[model]:.2f}"
        for model in sorted(ranks.mean, key=lambda one: ranks.mean[one])
    )
    yield f"{over}: mean rank and its spread: {each}."
    if ranks.p_value is None or ranks.critical_distance is None:
        yield f"{over}: Friedman's test needs three models or more."
        return
    rough = (
        f" With fewer than {ENOUGH_BLOCKS} of them this p-value is rough."
        if len(ranks.blocks) < ENOUGH_BLOCKS
        else ""
    )
    alike = "; ".join(" = ".join(models) for models in ranks.alike if len(models) > 1)
    yield (
        f"{over}: Friedman's test p {probability(ranks.p_value)}; at {100 * ranks.level:g} % two "
        f"models differ where their mean ranks are more than {ranks.critical_distance:.2f} apart "
        f"(Nemenyi). Not told apart: {alike or 'none'}.{rough}"
    )


_METHOD: Final = (
    "Each dataset's figures are of the samples that all models answered there; those of several "
    "seeds are means over them, beside the seeds' standard deviation. {intervals} Intervals are "
    "about other people, and these trained networks."
)


def _differences(found: Comparison) -> Iterator[Section]:
    if found.differences:
        lines = ["What the runs were given, where it differs: the error may differ by that alone."]
        yield Section("How the runs differ", lines, [("", difference_table(found))])


def _pairs(found: Comparison) -> Iterator[Section]:
    if not found.pairs:
        return
    lines = [
        "Paired: both models on the same samples, in the same draws of people. p is of a "
        "permutation test in which each person's differences change sign together "
        f"({found.flips:,} times), then after Holm (tests: {len(found.pairs)}). Not told "
        "apart does not mean equal: the interval says how large a difference may yet be.",
    ]
    yield Section("Pairs of models", lines, [("", pair_table(found))])


def _published(found: Comparison) -> Iterator[Section]:
    if not found.published:
        return
    names = dict.fromkeys(one.datasets[0] for one in found.published)
    tables = [
        (
            f"{name}, as published",
            published_rows([f for f in found.published if f.datasets[0] == name]).drop(
                columns="dataset"
            ),
        )
        for name in names
    ]
    yield Section("Published figures", tables=tables, warning=_PUBLISHED)


@dataclass(frozen=True, eq=False, repr=False)
class ComparisonReport(Result):
    """What `agelens.evaluation.compare` hands back."""

    kind: ClassVar[str] = "comparison"
    found: Comparison

    def sentences(self) -> list[str]:
        """Who is better than whom, ranks, and what a reader must know."""
        found = self.found
        pairs = [
            f"{pair['dataset']}: {pair['model']} less {pair['less']} {pair['MAE difference']}, "
            f"p {pair['p after Holm']}: {pair['verdict']}"
            for pair in pair_table(found).to_dict("records")
        ]
        if pairs:
            pairs = [
                f"Pairs on the same samples, p after Holm (tests: {len(pairs)}):",
                *pairs,
            ]
        published = (
            f"{len(found.published)} figures that others published on these datasets are in the "
            "saved folder and on the page: other splits and crops, not tested here."
        )
        return [
            *pairs,
            *rank_sentences(found),
            *found.notes,
            *([published] if found.published else []),
        ]

    def document(self) -> dict[str, Any]:
        """All of it."""
        return {one.name: getattr(self.found, one.name) for one in fields(self.found)}

    def to_frame(self) -> pd.DataFrame:
        """A row for each model on each dataset, in numbers."""
        return matrix_rows(self.found)

    def frames(self) -> dict[str, pd.DataFrame]:
        """The matrix, pairs, ranks, and what others published."""
        return {
            "differences": difference_table(self.found),
            "matrix": matrix_rows(self.found),
            "pairs": pair_rows(self.found),
            "ranks": rank_rows(self.found),
            "published": published_rows(self.found.published),
        }

    def page(self) -> Page:
        """Limits, the matrix, pairs, ranks, other figures, and what others published."""
        from agelens.evaluation.reports import comparison_figures as draw  # noqa: PLC0415

        found = self.found
        method = _METHOD.format(intervals=bootstrap_words(found.level, found.draws, found.seed))
        mae, cs5, bias = (matrix_table(found, name) for name in ("mae", "cs@5", "bias"))
        within = (
            "CS@5 counts errors of at most 5 years. Bias above 0: taken for older than they are."
        )
        sections = [
            *_differences(found),
            Section.drawn("Mean absolute error in years", matrix=draw.matrix_figure(found)),
            Section("Mean absolute error as a table", [method, _RELATIONS], [("", mae)]),
            *_pairs(found),
            Section.drawn("Ranks", rank_sentences(found), ranks=draw.ranks_figure(found)),
            Section("Share within five years, and bias", [within], [("CS@5", cs5), ("bias", bias)]),
            Section("What a reader must know", found.notes or ["Nothing was left out."]),
            Section("What was measured", tables=[("", samples_table(found))]),
            *_published(found),
            Section(NOT_FIT, [*OF_COMPARING, *LIMITS]),
        ]
        names = " and ".join(found.models)
        return Page(f"Comparison of {names}", sections, list(_lead(found)), list(_cards(found)))


def _cards(found: Comparison) -> Iterator[Card]:
    for dataset in found.datasets:
        cells = [one for one in found.cells if one.dataset == dataset and not one.few]
        if cells:
            best = min(cells, key=lambda one: one.figures["mae"].value)
            figure = cell_text(best, "mae")
            yield Card.of(f"lowest error on {dataset}, years", figure, best.model)


def _lead(found: Comparison) -> Iterator[str]:
    if not found.pairs:
        return
    told = [pair for pair in found.pairs if verdict(found, pair).startswith(str(pair.better))]
    yield (
        f"{len(told)} of {len(found.pairs)} pairs of models are told apart on the samples that "
        "all of them answered."
    )
    for pair in told[:_MOST_TOLD]:
        reading = verdict(found, pair)
        yield f"On {pair.dataset}, of {pair.model} and {pair.other}: {reading}."


_MOST_TOLD: Final = 3
