"""What a reader of a comparison must know before its figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from agelens.evaluation.comparison.compared_table import ComparedTable
from agelens.evaluation.comparison.comparison import Cell
from agelens.evaluation.groups.group_rows import FEW
from agelens.evaluation.row_counts import spelled


def comparison_notes(
    cells: Sequence[Cell],
    tables: Mapping[str, Sequence[ComparedTable]],
    *,
    mix_age_kinds: bool = False,
) -> tuple[str, ...]:
    """Sentences on leaks, left-out rows, small sets, and kinds of age, those that apply."""
    lines = [*_leaks(cells), *_left_out(cells, tables), *_kinds(cells, mix=mix_age_kinds)]
    return tuple(dict.fromkeys(lines))


def _leaks(cells: Sequence[Cell]) -> Iterator[str]:
    for cell in cells:
        where = f"{cell.model} on {cell.dataset}"
        if cell.relation.kind == "leak":
            yield (
                f"Leak: {where}: {cell.relation.text}. It was trained on them, and its error on "
                "new people is larger."
            )
        elif cell.relation.kind == "unclear":
            yield (
                f"Perhaps a leak: {where}: it was trained on that dataset, and "
                f"{cell.relation.text}."
            )
        elif cell.relation.kind == "not stated":
            yield f"{where}: {cell.relation.text}, so that a leak could not be seen."


def _left_out(
    cells: Sequence[Cell], tables: Mapping[str, Sequence[ComparedTable]]
) -> Iterator[str]:
    for cell in cells:
        if cell.without_estimate or cell.without_age:
            yield (
                f"{cell.model} on {cell.dataset}: {cell.without_estimate:,} of {cell.rows:,} rows "
                f"have no estimate, {cell.without_age:,} no age; nothing is measured on them."
            )
    for dataset, some in tables.items():
        samples = next(cell.samples for cell in cells if cell.dataset == dataset)
        most = max(len(table.frame) for table in some)
        if samples < most:
            yield (
                f"{dataset}: compared on the {samples:,} samples that all answered with an age, of "
                f"up to {most:,}; the rest may be harder or easier."
            )
        if samples < FEW:
            yield f"{dataset}: {samples} samples are too few to say anything."


def _kinds(cells: Sequence[Cell], *, mix: bool) -> Iterator[str]:
    kinds: dict[str, dict[str, int]] = {}
    for cell in cells:
        kinds.setdefault(cell.dataset, cell.age_kinds)
    for dataset, counts in kinds.items():
        if len(counts) > 1:
            yield f"{dataset}: ages of several kinds are measured together: {spelled(counts)}."
        elif "estimated" in counts:
            yield (
                f"{dataset}: its ages are themselves estimates, so that an error is a disagreement "
                "with them, not an error against the truth."
            )
    if len({kind for counts in kinds.values() for kind in counts}) > 1 and not mix:
        each = ", ".join(f"{name} {'/'.join(counts)}" for name, counts in kinds.items())
        yield f"The datasets have ages of different kinds ({each}): no ranking over all of them."
