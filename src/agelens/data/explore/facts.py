"""What a page has to say about a table in words: counts, label kinds, terms, limits of use."""

from __future__ import annotations

import inspect
from typing import Final

import pandas as pd

from agelens.data.datasets import DATASETS, dataset_reader
from agelens.data.explore.side import OLDEST_DRAWN, Side

_ISSUES: Final = 40
_LABELS: Final = {
    "real": "real: the years since birth",
    "apparent": "apparent: how old people thought the face looks",
    "estimated": "estimated: made by a model, perhaps checked by a person",
}
_ALWAYS: Final = (
    "Not for telling the age of a person where something depends on it, nor for putting people "
    "into classes by gender or ethnicity: both columns hold what a dataset's makers wrote, not "
    "what a person says of themself.",
    "Ages of different kinds (real, apparent, estimated) are not to be mixed in one figure of "
    "error without saying so.",
)


def table_facts(side: Side) -> pd.DataFrame:
    """Rows `what`, `count`: the size of a table and how much of it is labelled."""
    frame = side.frame
    classes = frame["age_years"].isna() & frame["age_low"].notna()
    odd = frame["age_years"].notna() & ~frame["age_years"].between(0, OLDEST_DRAWN)
    facts = {
        "rows": len(frame),
        "pictures": len(frame[["dataset", "path"]].drop_duplicates()),
        "subjects": len(frame[["dataset", "subject"]].dropna().drop_duplicates()),
        "rows with an age in years": int(frame["age_years"].notna().sum()),
        "rows with an age class only (drawn at its middle)": int(classes.sum()),
        f"ages outside 0 to {OLDEST_DRAWN} (not drawn)": int(odd.sum()),
        "rows with an issue": int(frame["issue"].notna().sum()),
    }
    return pd.DataFrame({"what": list(facts), "count": list(facts.values())})


def label_kinds(side: Side) -> pd.DataFrame:
    """Rows `dataset`, `ages`, `count`: which kind of age each dataset's rows carry."""
    kinds = side.frame["age_kind"].astype(object).map(_LABELS).fillna("none")
    pairs = pd.DataFrame({"dataset": side.frame["dataset"].astype(object), "ages": kinds})
    return pairs.value_counts().reset_index()


def issues(side: Side) -> pd.DataFrame:
    """Rows `issue`, `count`: what the reader found wrong, by its own words, commonest first."""
    counts = side.frame["issue"].value_counts()
    counts = counts[counts > 0]
    shown = pd.DataFrame({"issue": counts.index.astype(object), "count": counts.to_numpy()})
    if len(shown) <= _ISSUES:
        return shown
    rest = {
        "issue": f"({len(shown) - _ISSUES} other texts)",
        "count": shown["count"][_ISSUES:].sum(),
    }
    return pd.concat([shown[:_ISSUES], pd.DataFrame([rest])], ignore_index=True)


def limits_of_use(side: Side) -> list[str]:
    """What the data may not be used for: by the owners' terms, and by what it is."""
    names = side.frame["dataset"].value_counts()
    texts = [text for name, count in names.items() if count for text in _limits(str(name))]
    return [*texts, *_ALWAYS]


def _limits(dataset: str) -> list[str]:
    entry = DATASETS.get(dataset)
    if entry is None:
        return [
            f"{dataset}: not a dataset that agelens knows. Its terms are not known here; without "
            "its owner's permission it may be used for nothing."
        ]
    only = " Not for products, nor for decisions about people." if "research" in entry.terms else ""
    said = (inspect.getdoc(dataset_reader(dataset)) or "").split("\n\n")
    noise = [" ".join(text.split()) for text in said if text.startswith("Noise and bias")]
    return [f"{entry.title}. Terms: {entry.terms}.{only}", *(f"{entry.title}. {n}" for n in noise)]
