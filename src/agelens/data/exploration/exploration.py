"""Drawing a table: figures, facts and the page that holds them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import pandas as pd

from agelens.atomic import atomic_folder
from agelens.data.datasets import DATASETS, dataset_reader
from agelens.data.exploration.compared_table import OLDEST_DRAWN, ComparedTable, sides
from agelens.data.exploration.figures import (
    age_histogram,
    age_histogram_by_split,
    ages_by,
    faces_per_subject,
    gender_by_ethnicity,
    missing_values,
    word_counts,
)
from agelens.data.exploration.samples import random_samples
from agelens.data.store.cutting import PictureSource, Root, picture_source
from agelens.evaluation.reports.page import PAGE_NAME, Drawing, Page, Section
from agelens.tables import SampleTable

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


def table_facts(side: ComparedTable) -> pd.DataFrame:
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


def label_kinds(side: ComparedTable) -> pd.DataFrame:
    """Rows `dataset`, `ages`, `count`: which kind of age each dataset's rows carry."""
    kinds = side.frame["age_kind"].astype(object).map(_LABELS).fillna("none")
    pairs = pd.DataFrame({"dataset": side.frame["dataset"].astype(object), "ages": kinds})
    return pairs.value_counts().reset_index()


def issues(side: ComparedTable) -> pd.DataFrame:
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


def limits_of_use(side: ComparedTable) -> list[str]:
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


_Draw: TypeAlias = Callable[[Sequence[ComparedTable]], Drawing | str]
_FIGURES: Final[dict[str, tuple[str, _Draw]]] = {
    "ages": ("Ages", age_histogram),
    "ages_by_split": ("Ages by split", age_histogram_by_split),
    "age_kinds": ("Label kinds", partial(word_counts, column="age_kind")),
    "gender": ("Gender", partial(word_counts, column="gender")),
    "ethnicity": ("Ethnicity", partial(word_counts, column="ethnicity")),
    "gender_by_ethnicity": ("Gender by ethnicity", gender_by_ethnicity),
    "ages_by_gender": ("Ages by gender", partial(ages_by, column="gender")),
    "ages_by_ethnicity": ("Ages by ethnicity", partial(ages_by, column="ethnicity")),
    "faces_per_subject": ("Faces per subject", faces_per_subject),
    "missing_values": ("Missing values", missing_values),
}
_HOLDS_FACES: Final = (
    "This folder holds pictures of people: keep it outside any repository, and do not pass it on."
)


def explore(
    table: SampleTable,
    output: str | Path,
    *,
    root: Root = None,
    against: SampleTable | None = None,
    against_root: Root = None,
    seed: int = 0,
) -> Path:
    """Write figures of `table` and a page with them, `index.html`, into the folder `output`.

    The page needs no network and runs no scripts; its figures also lie beside it, as SVG and PNG
    with their numbers as CSV. A column without any value gives a sentence instead of a figure. The
    folder appears whole or not at all.

    Args:
        table: what to look at.
        output: a folder, new or empty.
        root: where the pictures are, if the table does not know; where nobody knows, none are
            shown. Those that are absent or cannot be read are counted.
        against: another table, drawn beside the first on the same scales.
        against_root: its root.
        seed: for the choice of the pictures.

    Returns:
        The path of the page.

    Raises:
        UsageError: the folder holds something.
        OutputError: it cannot be written.
    """
    shown = sides(table, against)
    roots = [
        None if given is None and not one.roots else picture_source(given, one, check=False)
        for given, one in ((root, table), (against_root, against))
        if one is not None
    ]
    page = Page(" and ".join(side.name for side in shown), _facts(shown))
    with atomic_folder(Path(output), "report") as folder:
        page.sections.extend(_pictures(shown, roots, seed))
        for name, (title, draw) in _FIGURES.items():
            drawn: dict[str, Any] = {name: draw(shown)}
            page.sections.append(Section.drawn(title, **drawn))
        page.write(folder)
    return Path(output) / PAGE_NAME


def _facts(shown: Sequence[ComparedTable]) -> list[Section]:
    limits = dict.fromkeys(text for side in shown for text in limits_of_use(side))
    return [
        Section("What is in it", tables=[(side.name, table_facts(side)) for side in shown]),
        Section("What it may not be used for", list(limits)),
        Section("Kinds of ages", tables=[(side.name, label_kinds(side)) for side in shown]),
        Section("Issues", tables=[(side.name, issues(side)) for side in shown]),
    ]


def _pictures(
    shown: Sequence[ComparedTable], roots: Sequence[PictureSource | None], seed: int
) -> Iterator[Section]:
    for number, (side, root) in enumerate(zip(shown, roots, strict=False), start=1):
        if root is None:
            continue
        figure, line = random_samples(side, root, np.random.default_rng(seed))
        drawn = {} if figure is None else {f"samples_{number}": figure}
        warning = _HOLDS_FACES if drawn else ""
        yield Section("Random samples", [line], figures=drawn, warning=warning)
