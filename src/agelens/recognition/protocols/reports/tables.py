"""A protocol's figures as rows: for the terminal, CSVs and the page alike."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pandas as pd

from agelens.evaluation.reports.figures_text import with_interval
from agelens.recognition.protocols.identification import Identification
from agelens.recognition.protocols.rates import Rate
from agelens.recognition.protocols.verification import Verification

_NO_INTERVAL = float("nan")


def rate_rows(found: Identification | Verification) -> pd.DataFrame:
    """The main figures: `figure, value, low, high, trials, people`."""
    return pd.DataFrame([_row(name, rate) for name, rate in _rates(found)])


def gap_rows(found: Identification | Verification) -> pd.DataFrame:
    """Figures by age gap: as `rate_rows`, `age_gap` first."""
    rows = [
        {"age_gap": gap, **_row(name, rate)}
        for gap, rates in _gap_rates(found).items()
        for name, rate in rates.items()
    ]
    return pd.DataFrame(rows)


def counts(found: Identification | Verification) -> pd.DataFrame:
    """What was measured, and what was not: `what, count`."""
    rows: list[tuple[str, object]] = [("model", str(found.model))]
    if isinstance(found, Identification):
        rows += found.pictures.items()
        rows += [
            ("searches (trials)", len(found.trials)),
            ("searches if every picture had an embedding", found.expected_trials),
            ("searches of unknown age gap", found.gap_unknown),
        ]
    else:
        same = int(found.pairs.same.sum())
        rows += [
            ("pairs listed", found.expected_pairs),
            ("pairs measured", len(found.pairs)),
            ("of one person", same),
            ("of two people", len(found.pairs) - same),
            ("pairs that the table's subjects contradict", found.pairs.contradictions),
        ]
    rows += [(f"left out: {why}", n) for why, n in found.left_out["why"].value_counts().items()]
    rows += [(f"ages {kind}", n) for kind, n in found.age_kinds.items()]
    return pd.DataFrame(rows, columns=["what", "count"]).astype({"count": object})


def in_words(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of rates with value and interval as one text."""
    numbers = rows[["value", "low", "high"]].to_numpy(dtype=float).tolist()
    text = [with_interval(*one, share=True) for one in numbers]
    others = rows.drop(columns=["value", "low", "high"])
    others.insert(list(others).index("trials"), "share", text)
    return others


def _rates(found: Identification | Verification) -> Iterator[tuple[str, Rate]]:
    if isinstance(found, Identification):
        yield from ((f"rank-{rank}", rate) for rank, rate in found.rates.items())
        wrong = found.rank_1_missing_as_wrong
        trials, people = found.expected_trials, found.rates[1].people
        yield "rank-1, missing as wrong", _plain(wrong, trials, people)
        return
    people = found.accuracy.people
    yield "accuracy, mean of folds", found.accuracy
    wrong = found.accuracy_missing_as_wrong
    yield "accuracy, missing as wrong", _plain(wrong, found.expected_pairs, people)
    yield "area under the ROC", found.area
    yield "equal error rate", found.equal_error
    for rate, value in found.true_match_at.items():
        yield f"true matches at {100 * rate:g} % false", _plain(value, len(found.pairs), people)


def _gap_rates(found: Identification | Verification) -> dict[str, dict[str, Rate]]:
    if isinstance(found, Identification):
        return {gap: {"rank-1": rate} for gap, rate in found.by_gap.items()}
    return {
        gap: {
            "accuracy": rates.accuracy,
            "true match rate": rates.true_match,
            "false match rate": rates.false_match,
        }
        for gap, rates in found.by_gap.items()
    }


def _plain(value: float, trials: int, people: int) -> Rate:
    return Rate(value, _NO_INTERVAL, _NO_INTERVAL, trials, people)


def _row(name: str, rate: Rate) -> dict[str, object]:
    document = rate.to_json()
    numbers = {key: math.nan if value is None else value for key, value in document.items()}
    return {"figure": name, **numbers}
