"""What an audit found, as records, files and a page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from agelens.data.exploration.samples import contact_sheet, tile_of
from agelens.data.store.cutting import Root, picture_source
from agelens.errors import PhotoError, TableError
from agelens.evaluation.reports.page import Page, Section
from agelens.evaluation.reports.plotting import save
from agelens.foreign_files import decoding
from agelens.imaging.photos import read_photo
from agelens.tables import BOX, SampleTable
from agelens.tables.files import guarded, without_guards
from agelens.version import __version__

_SHOWN: Final = 48


def save_sheet(
    table: SampleTable, root: Root, ids: pd.Series, captions: Sequence[Sequence[str]], path: Path
) -> tuple[str, ...]:
    """Draw the first pictures of `ids` with their captions; the name of the PNG, if there is any.

    A picture that has gone since is passed over.
    """
    first = ids[:_SHOWN]
    place = pd.Index(table.frame["sample_id"]).get_indexer(pd.Index(first))
    source = picture_source(root, table)
    tiles = []
    for row, lines in zip(place, islice(captions, _SHOWN), strict=False):
        sample = table.frame.iloc[row]
        try:
            rgb = read_photo(source(str(sample["dataset"]), sample["path"])).rgb
        except PhotoError:
            continue
        tiles.append(tile_of(rgb, sample[list(BOX)].to_numpy(dtype=np.float64), lines))
    if not tiles:
        return ()
    save(contact_sheet(tiles), path)
    return (path.name,)


PAGE_NAME: Final = "index.html"
REPORT_NAME: Final = "audit.json"
FINDINGS_NAME: Final = "findings.csv"
DUPLICATES_NAME: Final = "near_duplicates.csv"

_ROWS_SHOWN: Final = 200
HOLDS_FACES: Final = (
    "This folder holds pictures of people and what is said about them. It is for your own eyes on "
    "this machine: keep it outside any repository, and delete it once the labels are settled."
)


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """One kind of fault; `rows` has `sample_id`, `detail` and perhaps more.

    `pictures` names the contact sheets that show it. A `ranking` lists the furthest rows, so that
    their number says nothing; it has a sentence in its place.
    """

    kind: str
    title: str
    explanation: str
    rows: pd.DataFrame
    pictures: tuple[str, ...] = ()
    ranking: str = ""

    def __str__(self) -> str:
        return self.ranking or f"{len(self.rows):,} {self.kind}"


@dataclass(frozen=True, slots=True, eq=False)
class AuditReport:
    """What `audit` found in a table of `samples` rows.

    `statuses` counts the pictures by status. `duplicates` is the near-duplicate group by
    `sample_id`, of samples that are not alone in theirs: what the leak check of a split takes.
    """

    name: str
    samples: int
    statuses: Mapping[str, int]
    findings: tuple[Finding, ...]
    duplicates: pd.Series
    folder: Path

    @property
    def counts(self) -> dict[str, int]:
        """Rows found by kind of fault; a ranking is none."""
        return {one.kind: len(one.rows) for one in self.findings if not one.ranking}

    def __repr__(self) -> str:
        return f"AuditReport({self.folder}: {'; '.join(map(str, self.findings))})"

    @property
    def page(self) -> Path:
        """Where the page is."""
        return self.folder / PAGE_NAME

    def __getitem__(self, kind: str) -> Finding:
        """The finding of that kind."""
        return next(finding for finding in self.findings if finding.kind == kind)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON types; the rows are in the CSVs."""
        return {
            "table": self.name,
            "samples": self.samples,
            "pictures": dict(self.statuses),
            "findings": self.counts,
            "near_duplicate_groups": int(self.duplicates.nunique()),
            "agelens_version": __version__,
        }


def write_report(report: AuditReport, folder: Path) -> None:
    """Write the page, `audit.json`, `findings.csv` and `near_duplicates.csv` into `folder`."""
    text = json.dumps(report.as_json(), indent=2, ensure_ascii=False)
    (folder / REPORT_NAME).write_text(text + "\n", encoding="utf-8")
    rows = [finding.rows.assign(kind=finding.kind) for finding in report.findings]
    columns = ["kind", "sample_id", "detail"]
    findings = pd.concat([pd.DataFrame(columns=columns, dtype=object), *rows])[columns]
    guarded(findings).to_csv(folder / FINDINGS_NAME, index=False)
    guarded(report.duplicates.reset_index()).to_csv(folder / DUPLICATES_NAME, index=False)
    (folder / PAGE_NAME).write_text(_page(report).to_html(), encoding="utf-8")


def read_duplicates(folder: str | Path) -> pd.Series:
    """The near-duplicate group by `sample_id` that an audit wrote into `folder`.

    Raises:
        TableError: there is none, or it is damaged.
    """
    path = Path(folder) / DUPLICATES_NAME
    with decoding(path, "near-duplicates of an audit", TableError):
        rows = pd.read_csv(path, dtype="str", keep_default_na=False, index_col=False)
        rows = without_guards(rows)
        return rows.set_index("sample_id")["group"].astype(np.int64)


def _page(report: AuditReport) -> Page:
    faulty = pd.DataFrame({"what": list(report.counts), "rows": list(report.counts.values())})
    pictures = pd.DataFrame(list(report.statuses.items()), columns=["status", "pictures"])
    first = Section(
        "Summary",
        [f"{report.samples:,} rows.", *(one.ranking for one in report.findings if one.ranking)],
        [("Pictures", pictures), ("Findings", faulty)],
        warning=HOLDS_FACES,
    )
    return Page(f"Audit of {report.name}", [first, *map(_section, report.findings)])


def _section(finding: Finding) -> Section:
    count = len(finding.rows)
    shown = f" The first {_ROWS_SHOWN} are shown." if count > _ROWS_SHOWN else ""
    return Section(
        finding.title,
        [finding.explanation, f"{count:,} rows, all of them in {FINDINGS_NAME}.{shown}"],
        [("Rows", finding.rows[:_ROWS_SHOWN])],
        finding.pictures,
    )
