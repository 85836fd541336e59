"""Labels and names that cannot be right, found in the table alone.

Each check gives the rows it found as `sample_id` and `detail`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Final

import pandas as pd

from agelens.imaging.sources import PHOTO_SUFFIXES
from agelens.tables import SampleTable

OLDEST_YEARS: Final = 120
_FIRST_PORTRAIT: Final = 1839
_UNPORTABLE: Final = frozenset('<>:"|?*')

Check = Callable[[SampleTable], pd.DataFrame]


def reader_issues(table: SampleTable) -> pd.DataFrame:
    """What the dataset's reader wrote into `issue`."""
    frame = table.frame
    return _found(frame, frame["issue"].notna(), frame["issue"].astype(object))


def malformed_names(table: SampleTable) -> pd.DataFrame:
    """Paths that are no picture's name, or that some file system cannot hold or tell apart."""
    path = table.frame["path"]
    wrong = path.map(_name_fault)
    lower = path.str.lower()
    key = table.frame["dataset"].astype(str) + "/" + lower
    spellings = path.groupby(key).transform("nunique")
    wrong = wrong.mask((wrong == "") & (spellings > 1), "differs from another path by case only")
    return _found(table.frame, wrong != "", wrong)


def labels_out_of_range(table: SampleTable) -> pd.DataFrame:
    """Impossible ages, spreads, bounds, boxes and years, each told in `detail`."""
    frame = table.frame
    years, low, high = (frame[name] for name in ("age_years", "age_low", "age_high"))
    tests = {
        f"age outside 0 to {OLDEST_YEARS}": _outside(years) | _outside(low) | _outside(high),
        "negative age_std": frame["age_std"] < 0,
        "age_low above age_high": low > high,
        "age outside its own bounds": (years < low) | (years > high),
        "empty box": (frame["box_x2"] <= frame["box_x1"]) | (frame["box_y2"] <= frame["box_y1"]),
        f"photo before {_FIRST_PORTRAIT}": frame["photo_year"].fillna(9999) < _FIRST_PORTRAIT,
    }
    detail = pd.Series("", index=frame.index, dtype=object)
    for text, bad in tests.items():
        detail = detail.mask(bad, detail + text + "; ")
    return _found(frame, detail != "", detail.str.removesuffix("; "))


def subjects_with_two_genders(table: SampleTable) -> pd.DataFrame:
    """The rows of subjects labelled both female and male, those of the rarer word."""
    frame = table.frame
    known = frame[frame["subject"].notna() & frame["gender"].notna()]
    both = [known["dataset"].astype(str), known["subject"].astype(str)]
    female = (known["gender"] == "female").groupby(both).transform("sum")
    total = known["gender"].groupby(both).transform("size")
    is_female = known["gender"] == "female"
    rarer = is_female & (2 * female <= total) | ~is_female & (2 * female >= total)
    detail = both[1] + ": " + female.astype(str) + " female, " + (total - female).astype(str)
    return _found(known, rarer & (female > 0) & (female < total), detail + " male")


def ages_that_run_backwards(table: SampleTable) -> pd.DataFrame:
    """Rows whose subject was older in a photo of an earlier year; one of the labels is wrong."""
    needed = ["dataset", "subject", "photo_year", "age_years"]
    known = table.frame.dropna(subset=needed)
    by_year = known.groupby(needed[:3], observed=True)["age_years"].max().reset_index()
    by_year = by_year.sort_values("photo_year", kind="stable")
    people = by_year.groupby(needed[:2], observed=True)
    oldest = people["age_years"].cummax()
    earlier = oldest.groupby([by_year["dataset"], by_year["subject"]], observed=True).shift()
    by_year = by_year.assign(before=earlier)[[*needed[:3], "before"]]
    rows = known.merge(by_year, on=needed[:3], how="left", validate="many_to_one")
    detail = [
        f"{subject}: {age:g} in {year}, but {before:g} in an earlier year"
        for subject, age, year, before in rows[
            ["subject", "age_years", "photo_year", "before"]
        ].itertuples(index=False)
    ]
    return _found(rows, rows["age_years"] < rows["before"], pd.Series(detail, rows.index, object))


def _found(frame: pd.DataFrame, bad: pd.Series, detail: pd.Series) -> pd.DataFrame:
    rows = frame.loc[bad, ["sample_id"]].astype(object)
    return rows.assign(detail=detail[bad]).reset_index(drop=True)


def _outside(years: pd.Series) -> pd.Series:
    return (years < 0) | (years > OLDEST_YEARS)


def _name_fault(path: str) -> str:
    if PurePosixPath(path).suffix.lower() not in PHOTO_SUFFIXES:
        return "the name does not end as those of pictures do"
    if any(unicodedata.category(character) in ("Cc", "Cf") for character in path):
        return "holds an invisible character"
    if _UNPORTABLE.intersection(path):
        return "holds a character that Windows does not allow"
    parts = PurePosixPath(path).parts
    if any(part != part.strip() or part.endswith(".") for part in parts):
        return "a part begins or ends with a blank, or ends with a dot"
    return (
        "" if unicodedata.is_normalized("NFC", path) else "letters and accents are apart (not NFC)"
    )
