"""A comparison as a folder: JSON, CSVs, figures and one page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from matplotlib.figure import Figure

from agelens.evaluation.comparison import Comparison
from agelens.evaluation.comparison.ranks import ENOUGH_BLOCKS, BlockRanks
from agelens.evaluation.reports.comparison_figures import matrix_figure, ranks_figure
from agelens.evaluation.reports.comparison_tables import (
    matrix_rows,
    matrix_table,
    pair_rows,
    pair_table,
    probability,
    published_rows,
    rank_rows,
    samples_table,
)
from agelens.evaluation.reports.evaluation_report import LIMITS
from agelens.evaluation.reports.page import Page, Section
from agelens.evaluation.reports.plotting import save
from agelens.version import __version__

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


def comparison_page(found: Comparison, figures: Sequence[Section]) -> Page:
    """The page; `figures` come after the matrix."""
    sections = [
        Section("What this may not be used for", [*OF_COMPARING, *LIMITS]),
        Section("What a reader must know", found.notes or ["Nothing was left out."]),
        Section(
            "Mean absolute error in years",
            [_method(found), _RELATIONS],
            [("", matrix_table(found))],
        ),
        *figures,
        *_pairs(found),
        Section("Ranks", rank_sentences(found)),
        Section(
            "Share within five years, and bias",
            ["CS@5 counts errors of at most 5 years. Bias above 0: taken for older than they are."],
            [("CS@5", matrix_table(found, "cs@5")), ("bias", matrix_table(found, "bias"))],
        ),
        Section("What was measured", tables=[("", samples_table(found))]),
        *_published(found),
    ]
    return Page(f"Comparison of {' and '.join(found.models)}", sections)


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


def _method(found: Comparison) -> str:
    intervals = (
        f"In brackets the {100 * found.level:g} % bootstrap interval of {found.draws:,} draws of "
        f"people with all their pictures (seed {found.seed}). "
        if found.draws
        else "No intervals were asked for. "
    )
    return (
        "Each dataset's figures are of the samples that all models answered there; those of "
        "several seeds are means over them, beside the seeds' standard deviation. "
        f"{intervals}Intervals are about other people, and these trained networks."
    )


def _pairs(found: Comparison) -> Iterator[Section]:
    if not found.pairs:
        return
    lines = [
        "Paired: both models on the same samples, in the same draws of people. p is of a "
        "permutation test in which each person's differences change sign together "
        f"({found.flips:,} times), then after Holm for all {len(found.pairs)} tests. Not told "
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


PAGE_NAME: Final = "index.html"


def comparison_document(found: Comparison) -> dict[str, Any]:
    """Everything that was found as plain JSON types."""
    return {**found.to_json(), "agelens_version": __version__}


def write_comparison(found: Comparison, folder: Path) -> None:
    """Write `comparison.json`, four CSVs, two figures and `index.html` into `folder`."""
    text = json.dumps(comparison_document(found), indent=1, ensure_ascii=False, allow_nan=False)
    (folder / "comparison.json").write_text(text + "\n", encoding="utf-8")
    for name, rows in {
        "matrix": matrix_rows(found),
        "pairs": pair_rows(found),
        "ranks": rank_rows(found),
        "published": published_rows(found.published),
    }.items():
        rows.to_csv(folder / f"{name}.csv", index=False)
    figures = [
        _drawn(folder, "matrix", "The matrix", matrix_figure(found)),
        _drawn(folder, "ranks", "Ranks in a figure", ranks_figure(found)),
    ]
    page = comparison_page(found, figures)
    (folder / PAGE_NAME).write_text(page.to_html(), encoding="utf-8")


def _drawn(folder: Path, name: str, title: str, figure: Figure | str) -> Section:
    if isinstance(figure, str):
        return Section(title, [figure])
    save(figure, folder / f"{name}.png")
    return Section(title, images=[f"{name}.png"])
