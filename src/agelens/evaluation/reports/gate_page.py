"""What was found about an age gate, in words, rows, a figure and a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Final

import pandas as pd

from agelens.evaluation.age_gates import YOUNG, GateFinding, GateRates
from agelens.evaluation.groups import FEW
from agelens.evaluation.rates import Rate
from agelens.evaluation.reports.evaluation_page import ESTIMATED_LABELS
from agelens.evaluation.reports.page import (
    NOT_FIT,
    Card,
    Drawing,
    Page,
    Section,
    in_words,
    with_interval,
)
from agelens.evaluation.reports.result import Result
from agelens.evaluation.table_checks import UNKNOWN_PEOPLE

LIMITS: Final = (
    "An age estimate is no proof of age. A gate says whom not to ask, never whom to refuse: "
    "whoever does not pass must be able to show their age another way.",
    "The promise holds for people like those measured, in their mix of ages: the more of those "
    "under the legal age are just below it, the more pass.",
    "It holds for nobody who tries to look older: make-up, masks and photos of others were not "
    "measured.",
)


@dataclass(frozen=True, eq=False, repr=False)
class GateReport(Result):
    """What `agelens.evaluation.gate` hands back."""

    kind: ClassVar[str] = "gate"
    indent: ClassVar[int] = 2
    found: GateFinding
    notes: Sequence[str] = ()

    def sentences(self) -> list[str]:
        """What was found; the first says whether the data can promise it, the last how."""
        return [*gate_sentences(self.found), *self.notes]

    def document(self) -> dict[str, Any]:
        """Both rates of everybody, of each true year, and of each group."""
        found = self.found
        return {
            "legal_years": found.legal_years,
            "max_false_accept": found.limit,
            "confidence": found.confidence,
            "promised": found.promised,
            "challenge_years": found.gate.challenge_years if found.gate else None,
            "overall": _rates(found.overall) if found.overall else None,
            "by_year": [_rates(one) for one in found.by_year],
            "by_group": {n: [_rates(one) for one in rates] for n, rates in found.by_group.items()},
            "counted_from_years": found.youngest_years,
            "mix_under_legal_age": found.mix,
            "curve": [_rates(one) for one in found.curve],
            "samples_under_legal_age": found.minors,
            "needed_under_legal_age": found.needed,
            "counted": found.counted,
            "left_out": found.left_out,
        }

    def to_frame(self) -> pd.DataFrame:
        """Both rates in numbers, a row for everybody, each true year and each group."""
        return _rates_frame(_everyone(self.found))

    def curve(self) -> pd.DataFrame:
        """Both rates in numbers at each challenge age, half a year apart."""
        return _curve_frame(self.found)

    def frames(self) -> dict[str, pd.DataFrame]:
        """Both rates, of groups and by challenge age."""
        return {"rates": self.to_frame(), "curve": self.curve()}

    def page(self) -> Page:
        """What was found, both rates, limits."""
        found = self.found
        curve = Section.drawn("Both errors by challenge age", error_curve=error_curve(found))
        sections = [curve, Section(NOT_FIT, LIMITS)]
        cards = []
        if found.gate is not None and found.overall is not None:
            rows = gate_rows(found)
            accept, reject = _rate(found.overall.false_accept), _rate(found.overall.false_reject)
            cards = [
                Card("challenge age", f"{found.gate.challenge_years:g}", "the age to look"),
                Card.of(f"under {found.legal_years:g}, and pass", accept),
                Card.of(f"{found.legal_years:g} or older, and asked", reject),
            ]
            sections = [
                Section.drawn("Rates by true year", rates_by_year=rates_by_year(found)),
                Section("Both rates", [_GREY], [("", rows[rows["of"] != _YEAR])]),
                *sections,
            ]
        told = gate_sentences(found)
        lead, rest = told[:_LEAD], [*told[_LEAD:], *self.notes]
        sections.insert(-1, Section("What was counted", rest))
        return Page(f"Age gate at {found.legal_years:g}", sections, lead, cards)


_LEAD: Final = 3
_YEAR: Final = "true year"
_GREY: Final = "Grey: under 30 samples. Rates by true year are in rates.csv."


def gate_sentences(found: GateFinding) -> list[str]:
    """What was found: three sentences, whether the data can promise it first, then who counted."""
    limit, sure = f"{100 * found.limit:g} %", f"{100 * found.confidence:g} %"
    under = f"under {found.legal_years:g}"
    lines = []
    if found.gate is None or found.overall is None:
        lines.append(
            f"No challenge age can be promised: with {found.minors:,} samples {under} the data "
            f"cannot say with {sure} confidence that at most {limit} of such people would pass, "
            f"not even where none of them does. It takes at least {found.needed:,} people {under}, "
            "each with one photo, and more where some pass."
        )
    else:
        accept, reject = found.overall.false_accept, found.overall.false_reject
        lines += [
            f"Challenge age {found.gate.challenge_years:g}: with {sure} confidence at most {limit} "
            f"of people {under} pass (here {_rate(accept)}).",
            f"Of those who are old enough, {_rate(reject)} do not pass, and have to show a "
            "document.",
            _of_groups(found, limit),
        ]
    mix = ", ".join(f"{count:,} of {year}" for year, count in found.mix.items())
    lines.append(f"Those {under} who were counted, by true year: {mix}.")
    if found.left_out:
        left = ", ".join(f"{count:,} {why}" for why, count in found.left_out.items())
        more = "; --from-age 0 counts everybody" if YOUNG in found.left_out else ""
        lines.append(f"{found.counted:,} samples counted; left out: {left}{more}.")
    if found.unnamed:
        lines.append(f"People unknown: {UNKNOWN_PEOPLE.format(rows=found.unnamed)}")
    if found.estimated_labels:
        lines.append(ESTIMATED_LABELS)
    return lines


def _of_groups(found: GateFinding, limit: str) -> str:
    """Whom the promise holds of by themselves."""
    measured = {
        f"{name} {one.group}": one.false_accept.high
        for name, rates in found.by_group.items()
        for one in rates
        if one.false_accept.samples
    }
    if not measured:
        return "Whether it holds of each group was not measured: no row says who is of which."
    unpromised = [group for group, high in measured.items() if high > found.limit]
    if not unpromised:
        return f"It holds of each group by itself as well: {', '.join(measured)}."
    return (
        f"For these groups by themselves the data do not promise {limit}: {', '.join(unpromised)}."
    )


_MOST_ROWS: Final = 12


def curve_rows(found: GateFinding) -> pd.DataFrame:
    """Both rates at no more than 12 challenge ages, the one found among them, in words."""
    whole = found.curve
    chosen = None if found.gate is None else f"{found.gate.challenge_years:g}"
    step = max(1, -(-len(whole) // (_MOST_ROWS - 1)))
    shown = [one for number, one in enumerate(whole) if number % step == 0 or one.group == chosen]
    return pd.DataFrame(
        [
            {
                "challenge age": one.group + (" (found)" if one.group == chosen else ""),
                f"under {found.legal_years:g} who pass": _rate(one.false_accept),
                "old enough who do not": _rate(one.false_reject),
            }
            for one in shown
        ]
    )


def gate_rows(found: GateFinding) -> pd.DataFrame:
    """Both rates of everybody, of each true year, and of each group; `few` marks small ones.

    Accepts are of those younger than the legal age, rejects of those as old or older.
    """
    rates = _rates_frame(_everyone(found))
    sides = {"accepts": ("false_accept", "younger"), "rejects": ("false_reject", "older")}
    shown: dict[str, Any] = {"of": rates["of"], "group": rates["group"]}
    for name, (side, whom) in sides.items():
        shown[f"{name} %"] = in_words(rates, side, f"{side}_", share=True)
        shown[whom] = rates[f"{side}_samples"]
    return pd.DataFrame(shown | {"few": rates["few"]})


def _everyone(found: GateFinding) -> list[tuple[str, GateRates]]:
    parts: list[tuple[str, Sequence[GateRates]]] = [
        ("all", () if found.overall is None else (found.overall,)),
        (_YEAR, found.by_year),
        *found.by_group.items(),
    ]
    return [(name, one) for name, rates in parts for one in rates]


def _rates_frame(named: Sequence[tuple[str, GateRates]]) -> pd.DataFrame:
    rows = []
    for name, one in named:
        row: dict[str, Any] = {"of": name, "group": one.group, "few": one.few}
        for side in ("false_accept", "false_reject"):
            rate: Rate = getattr(one, side)
            row |= {side: rate.share, f"{side}_low": rate.low, f"{side}_high": rate.high}
            row |= {f"{side}_errors": rate.errors, f"{side}_samples": rate.samples}
        rows.append(row)
    return pd.DataFrame(rows)


def _curve_frame(found: GateFinding) -> pd.DataFrame:
    rates = _rates_frame([("challenge age", one) for one in found.curve]).drop(columns="of")
    return rates.rename(columns={"group": "challenge_years"}).astype({"challenge_years": float})


def error_curve(found: GateFinding) -> Drawing | str:
    """Both error rates against the challenge age: what one costs in terms of the other."""
    from agelens.evaluation.reports.nist_figures import rate_curves  # noqa: PLC0415 - matplotlib

    sides = {
        "false_accept": f"under {found.legal_years:g}, and pass",
        "false_reject": f"{found.legal_years:g} or older, and do not",
    }
    marks = [found.gate.challenge_years] if found.gate else []
    return rate_curves(_curve_frame(found), "challenge_years", sides, marks, limit=found.limit)


_YEARS_BELOW, _YEARS_ABOVE = 10, 25


def rates_by_year(found: GateFinding) -> Drawing:
    """False accepts of each year under the legal age, false rejects of each from it on."""
    from agelens.evaluation.reports.plotting import (  # noqa: PLC0415 - loads matplotlib
        COLOURS,
        panels,
        percent,
        points,
        title,
    )

    figure, axes = panels(1, row_inches=3.6)
    panel = axes[0, 0]
    rates = _rates_frame(_everyone(found))
    rates = rates[rates["of"] == _YEAR].reset_index(drop=True)
    for side, colour in zip(("false_accept", "false_reject"), COLOURS, strict=True):
        rows = rates[rates[f"{side}_samples"] > 0]
        points(
            panel,
            rows["group"].astype(float) + 0.5,
            rows[side],
            (rows[f"{side}_low"], rows[f"{side}_high"]),
            rows[f"{side}_samples"] < FEW,
            colour=colour,
            label=f"{side}s".replace("_", " "),
        )
    panel.axvline(found.legal_years, color="black", linewidth=0.8, linestyle=":")
    panel.axhline(found.limit, color="black", linewidth=0.8, linestyle=":")
    panel.set_xlabel("true age in years")
    panel.set_ylabel("share of the people of that age")
    panel.set_ylim(-0.02, 1.02)
    panel.set_xlim(max(0, found.legal_years - _YEARS_BELOW), found.legal_years + _YEARS_ABOVE)
    percent(panel.yaxis)
    panel.legend(fontsize=8, frameon=False)
    challenge = found.gate.challenge_years if found.gate else float("nan")
    level = 100 * (2 * found.confidence - 1)
    title(panel, f"challenge age {challenge:g}; {level:g} % intervals; grey: under 30 samples")
    return Drawing(figure, rates)


def _rate(one: Rate) -> str:
    return with_interval(one.share, one.low, one.high, share=True) if one.samples else ""


def _rates(one: GateRates) -> dict[str, Any]:
    sides = {"false_accept": one.false_accept, "false_reject": one.false_reject}
    each = {name: {**asdict(side), "share": side.share} for name, side in sides.items()}
    return {"group": one.group, "few": one.few} | each
