"""Figures of the NIST-style page: errors by group, rates by true year."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pandas as pd
from matplotlib.axes import Axes

from agelens.evaluation.nist_quantities import (
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    RANGE_FALSE_POSITIVE,
    TRUE_POSITIVE,
    NistQuantities,
)
from agelens.evaluation.reports.page import Drawing
from agelens.evaluation.reports.plotting import (
    colours,
    drawable,
    legend,
    panels,
    percent,
    points,
    title,
)

_APART: Final = 0.16


def mae_by_sex_and_age(found: NistQuantities) -> Drawing | str:
    """MAE of each age band, a row of points for each gender."""
    mae = found.errors[found.errors["metric"] == "mae"]
    bands = mae[mae["grouping"] == "age_band"]
    names = bands["group"].tolist()
    rows = mae[mae["grouping"] == "gender x age_band"]
    of_genders = rows["group"].str.split(" x ", n=1, expand=True)
    parts = {"everybody": bands} | {
        str(gender): rows[of_genders[0] == gender].assign(group=of_genders[1])
        for gender in (of_genders[0].unique() if len(rows) else ())
    }
    if not bands["value"].notna().any():
        return "No row has an estimate and an age."
    figure, axes = panels(1, row_inches=3.6)
    panel: Axes = axes[0, 0]
    _rows_of_points(panel, names, parts)
    _finish(panel, names, "true age in years", "mean absolute error in years")
    level = f"{100 * found.resampling.level:g} % bootstrap intervals by person"
    title(panel, f"{level}; grey: under 30 samples")
    return Drawing(figure, mae[mae["grouping"].isin(["age_band", "gender x age_band"])])


def mae_by_quality(found: NistQuantities) -> Drawing | str:
    """MAE by distance between the eyes and by yaw, a panel each."""
    mae = found.errors[found.errors["metric"] == "mae"]
    labels = {
        "inter_eye_px": "distance between the eyes in pixels",
        "yaw_degrees": "yaw, either way, in degrees (about)",
    }
    parts = {name: mae[mae["grouping"] == name] for name in labels}
    parts = {name: rows for name, rows in parts.items() if rows["value"].notna().any()}
    if not parts:
        return "The table has neither inter_eye_px nor yaw_degrees; agelens predict writes both."
    figure, axes = panels(len(parts), size_inches=(4.4 * len(parts) + 0.6, 3.6), sharey=True)
    for panel, (name, rows) in zip(axes[0], parts.items(), strict=True):
        names = rows["group"].tolist()
        _rows_of_points(panel, names, {"everybody": rows})
        _finish(panel, names, labels[name], "mean absolute error in years")
    return Drawing(figure, pd.concat(parts.values(), ignore_index=True))


def challenge_by_year(found: NistQuantities) -> Drawing | str:
    """Who passes under the legal age, and who is asked from it on, by true year."""
    rates = found.rates[found.rates["of"] == "true_year"]
    sides = (
        (FALSE_POSITIVE, f"under {found.legal_years:g}, and passes"),
        (FALSE_NEGATIVE, f"{found.legal_years:g} or older, and is asked"),
    )
    if not rates["quantity"].isin([quantity for quantity, _ in sides]).any():
        return "Nobody's true age is near the legal age."
    figure, axes = panels(2, size_inches=(11, 4), width_ratios=(2, 3), sharey=True)
    for panel, (quantity, words) in zip(axes[0], sides, strict=True):
        rows = rates[rates["quantity"] == quantity]
        names = list(dict.fromkeys(rows["group"]))
        of_ages = {
            f"challenge {challenge:g}": rows[rows["at"] == f"{challenge:g}"]
            for challenge in found.challenges
        }
        _rows_of_points(panel, names, of_ages)
        _finish(panel, names, "true age in years", "share of the people of that age", share=True)
        title(panel, words)
    return Drawing(figure, rates[rates["quantity"].isin([quantity for quantity, _ in sides])])


def admitted_by_year(found: NistQuantities) -> Drawing | str:
    """Share of each true year that a room for people of some years admits."""
    rates = found.rates[found.rates["of"] == "true_year"]
    sides = {
        f"of {found.years}: should be admitted": TRUE_POSITIVE,
        "others: should not": RANGE_FALSE_POSITIVE,
    }
    parts = {words: rates[rates["quantity"] == quantity] for words, quantity in sides.items()}
    years = sorted({int(group) for rows in parts.values() for group in rows["group"]})
    if not years:
        return f"Nobody's true age is near {found.years}."
    figure, axes = panels(1, row_inches=3.4)
    panel: Axes = axes[0, 0]
    names = [str(year) for year in years]
    _rows_of_points(panel, names, parts, together=True)
    label = f"estimated {found.years}, share of that age"
    _finish(panel, names, "true age in years", label, share=True)
    return Drawing(figure, pd.concat(parts.values(), ignore_index=True))


def rate_curves(
    rows: pd.DataFrame,
    across: str,
    sides: dict[str, str],
    marks: Sequence[float] = (),
    *,
    limit: float | None = None,
) -> Drawing | str:
    """Two rates along ages, with their intervals.

    Args:
        rows: a row for each age; of each rate `NAME`, `NAME_low`, `NAME_high`, `NAME_samples`.
        across: the column of ages.
        sides: what each rate is called, by its name.
        marks: ages that a dotted line is drawn at.
        limit: a rate that a dotted line is drawn at.
    """
    known = {name: rows[rows[f"{name}_samples"] > 0] for name in sides}
    if not any(len(one) for one in known.values()):
        return "Nobody is known on either side."
    figure, axes = panels(1, row_inches=3.4)
    panel: Axes = axes[0, 0]
    for (name, part), colour in zip(known.items(), colours(len(sides)), strict=True):
        ages, ends = part[across].astype(float), (part[f"{name}_low"], part[f"{name}_high"])
        panel.fill_between(ages, *ends, color=colour, alpha=0.2, linewidth=0)
        panel.plot(ages, part[name], color=colour, linewidth=1.4, label=sides[name])
    for mark in marks:
        panel.axvline(mark, color="black", linewidth=0.8, linestyle=":")
    if limit is not None:
        panel.axhline(limit, color="black", linewidth=0.8, linestyle=":")
    panel.set(xlabel=across.replace("_", " "), ylabel="share of each side", ylim=(-0.02, 1.02))
    panel.grid(axis="y", alpha=0.3)
    percent(panel.yaxis)
    legend(panel)
    return Drawing(figure, rows)


def _rows_of_points(
    panel: Axes, names: Sequence[str], parts: dict[str, pd.DataFrame], *, together: bool = False
) -> None:
    """Points with intervals at their groups' places, beside each other unless `together`."""
    for number, (label, rows, colour) in enumerate(
        zip(parts, parts.values(), colours(len(parts)), strict=True)
    ):
        shift = 0.0 if together else (number - (len(parts) - 1) / 2) * _APART
        value = "share" if "share" in rows else "value"
        points(
            panel,
            [names.index(str(group)) + shift for group in rows["group"]],
            rows[value],
            (rows["low"], rows["high"]),
            rows["few"],
            colour=colour,
            label=label,
        )


def _finish(
    panel: Axes, names: Sequence[str], across: str, up: str, *, share: bool = False
) -> None:
    panel.set_xticks(range(len(names)), [drawable(name) for name in names])
    panel.set_xlabel(across)
    panel.set_ylabel(up)
    panel.set_xlim(-0.6, len(names) - 0.4)
    panel.grid(axis="y", alpha=0.3)
    if share:
        panel.set_ylim(-0.02, 1.02)
        percent(panel.yaxis)
    else:
        panel.set_ylim(bottom=0, auto=True)  # with another panel's axis, its points may be higher
    legend(panel)
