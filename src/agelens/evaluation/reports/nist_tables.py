"""Tables of the NIST-style page: figures as text, with their intervals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from agelens.evaluation.nist.quantities import NistQuantities
from agelens.evaluation.nist.rates import (
    FAILURE,
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    RANGE_FALSE_POSITIVE,
    TRUE_POSITIVE,
)
from agelens.evaluation.reports.figures_text import row_figure, with_interval


def rate_words(row: pd.Series, name: str = "share", prefix: str = "") -> str:
    """A rate with its interval in brackets, out of its row."""
    text = with_interval(row[name], row[f"{prefix}low"], row[f"{prefix}high"], share=True)
    return text or "nobody known"


def error_tables(found: NistQuantities) -> list[tuple[str, pd.DataFrame]]:
    """MAE and bias of each grouping, under its name."""
    return [
        (str(name).replace("_", " "), _error_table(rows))
        for name, rows in found.errors.groupby("grouping", sort=False)
    ]


def _error_table(rows: pd.DataFrame) -> pd.DataFrame:
    mae, bias = (rows[rows["metric"] == name] for name in ("mae", "bias"))
    return pd.DataFrame(
        {
            "group": mae["group"].to_numpy(),
            "samples": mae["samples"].to_numpy(),
            "people": mae["people"].to_numpy(),
            "MAE": [row_figure(row) for _, row in mae.iterrows()],
            "bias": [row_figure(row) for _, row in bias.iterrows()],
            "few": mae["few"].to_numpy(dtype=bool),
        }
    )


def challenge_tables(found: NistQuantities) -> Iterator[tuple[str, pd.DataFrame]]:
    """Both rates of each challenge age, under what they are."""
    for challenge in found.challenges:
        for quantity, words in ((FALSE_POSITIVE, "positives"), (FALSE_NEGATIVE, "negatives")):
            yield (
                f"Challenge {challenge:g}: false {words}",
                _rate_table(found, quantity, f"{challenge:g}"),
            )


def range_tables(found: NistQuantities) -> list[tuple[str, pd.DataFrame]]:
    """Both rates of the room, under what they are."""
    parts = {"True positives": TRUE_POSITIVE, "False positives": RANGE_FALSE_POSITIVE}
    at = str(found.years)
    return [(words, _rate_table(found, quantity, at)) for words, quantity in parts.items()]


def failure_table(found: NistQuantities) -> pd.DataFrame:
    """Failures to process by group and by status."""
    return _rate_table(found, FAILURE, "")


def _rate_table(found: NistQuantities, quantity: str, at: str) -> pd.DataFrame:
    """The rates of all groups but single years, which the figures show."""
    rows = found.rates[(found.rates["quantity"] == quantity) & (found.rates["at"] == at)]
    rows = rows[rows["of"] != "true_year"]
    table = pd.DataFrame(
        {
            "of": rows["of"].str.replace("_", " ").to_numpy(),
            "group": rows["group"].to_numpy(),
            "rate": [rate_words(row) for _, row in rows.iterrows()],
            "samples": rows["samples"].to_numpy(),
            "few": rows["few"].to_numpy(dtype=bool),
        }
    )
    if rows["with_failures"].notna().any():
        texts = [rate_words(row, "with_failures", "with_failures_") for _, row in rows.iterrows()]
        table.insert(3, "with failures", _plain(texts))
    return table


def _plain(texts: Sequence[str]) -> list[str]:
    return ["" if text == "nobody known" else text for text in texts]
