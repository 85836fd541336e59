"""A leaderboard as markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from agelens.evaluation.leaderboard.entry import LeaderboardEntry
from agelens.evaluation.reports.figures_text import with_interval

_COLUMNS: Final = (
    *("model", "method", "backbone", "trained on", "tested on", "ages", "split", "people", "seeds"),
    *("samples", "MAE", "CS@5", "coverage of 90 %", "MB", "ms a chip"),
)
_RIGHT: Final = ("samples", "MB", "ms a chip")
_LIMITS: Final = (
    "An age estimate is no proof of age. These are errors on the named test sets; elsewhere they "
    "may be others, and a mean hides whom a model fails (`agelens evaluate`).",
    "Lines of different samples or splits do not compare: `agelens compare` tests models on the "
    "samples that all of them answer.",
)


def leaderboard_markdown(
    entries: Sequence[LeaderboardEntry], *, made_by: str, machine: str, level: float = 0.95
) -> str:
    """The whole page.

    Args:
        entries: in the order of their lines.
        made_by: the command that makes the page.
        machine: what the times were measured on.
        level: of the intervals.
    """
    rows = [_row(entry) for entry in entries]
    rule = ["---:" if name in _RIGHT else "---" for name in _COLUMNS]
    lines = [_line([row[name] for name in _COLUMNS]) for row in rows]
    table = [_line(_COLUMNS), _line(rule), *lines]
    commands = dict.fromkeys(command for entry in entries for command in entry.commands)
    return "\n".join(
        [
            "# Leaderboard",
            "",
            f"Made by `{made_by}`.",
            "",
            *table,
            "",
            *_legend(entries, machine, level),
            "",
            *(f"- {line}" for line in _LIMITS),
            "",
            "The commands that train them:",
            "",
            *(f"    {command}" for command in commands),
            "",
        ]
    )


def _row(entry: LeaderboardEntry) -> dict[str, str]:
    mae = with_interval(entry.mae.value, entry.mae.low, entry.mae.high)
    if len(entry.mae_of_seeds) > 1:
        mae += f" (seeds ± {np.std(entry.mae_of_seeds, ddof=1):.2f})"
    cs5 = with_interval(entry.cs5.value, entry.cs5.low, entry.cs5.high, share=True)
    left_out = f" ({entry.left_out:,} left out)" if entry.left_out else ""
    return {
        "model": entry.model,
        "method": entry.facts.method,
        "backbone": entry.facts.backbone,
        "trained on": entry.facts.train_data,
        "tested on": entry.dataset,
        "ages": "+".join(entry.age_kinds),
        "split": entry.facts.split,
        "people": entry.people,
        "seeds": ", ".join("?" if seed is None else str(seed) for seed in entry.seeds),
        "samples": f"{entry.samples:,}{left_out}{' (few)' if entry.few else ''}",
        "MAE": mae,
        "CS@5": cs5,
        "coverage of 90 %": (
            "not calibrated" if entry.coverage is None else f"{100 * entry.coverage:.1f} %"
        ),
        "MB": f"{entry.size_mb:.1f}",
        "ms a chip": "" if entry.chip_ms is None else f"{entry.chip_ms:.1f}",
    }


def _line(cells: Sequence[str]) -> str:
    """A row of a table; a bar or a line break in a name would make cells of its own."""
    clean = (" ".join(cell.split()).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(clean)} |"


def _legend(entries: Sequence[LeaderboardEntry], machine: str, level: float) -> list[str]:
    lines = [
        f"MAE in years, mean over seeds, with {100 * level:g} % bootstrap interval by person. "
        "CS@5: share of errors of at most 5 years. People: whether anybody may be in training and "
        "in test. Coverage: share of the test set's ages that the card's calibrated 90 % "
        "intervals hold.",
    ]
    if any(entry.chip_ms is not None for entry in entries):
        lines.append(
            f"Times: one chip through the exported network, the shortest of many, {machine}."
        )
    if any("estimated" in entry.age_kinds for entry in entries):
        lines.append(
            "Estimated ages are themselves estimates: an error against them is a disagreement."
        )
    return lines
