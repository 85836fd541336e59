"""A plain HTML page: headings, sentences, tables and pictures. No scripts.

Whatever comes from a table is somebody else's text: all of it is escaped here, and the page
forbids scripts on top of that.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any, Final

import pandas as pd

from agelens.evaluation.metrics import METRICS


def with_interval(value: float, low: float, high: float, *, share: bool = False) -> str:
    """As ``4.78 [4.61, 4.95]``, or ``61.0 % [59.2, 62.8]``; empty where there is no value."""
    if value is None or math.isnan(value):
        return ""
    scale, digits, unit = (100, 1, " %") if share else (1, 2, "")
    text = f"{scale * value:.{digits}f}{unit}"
    if math.isnan(low) or math.isnan(high):
        return text
    return f"{text} [{scale * low:.{digits}f}, {scale * high:.{digits}f}]"


def row_figure(row: pd.Series, name: str = "value", prefix: str = "") -> str:
    """The figure `name` of a row by group or by gap, whose column `metric` says its unit."""
    metric = METRICS.get(str(row["metric"]))
    share = metric is not None and metric.unit == "share" and name in ("value", "gap")
    return with_interval(row[name], row[f"{prefix}low"], row[f"{prefix}high"], share=share)


def bootstrap_words(level: float, draws: int, seed: int) -> str:
    """How the intervals of a page came about."""
    if not draws:
        return "No intervals were asked for."
    return (
        f"In brackets the {100 * level:g} % bootstrap interval of {draws:,} draws of "
        f"people with all their pictures (seed {seed})."
    )


_HEAD: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="script-src 'none'; object-src 'none'">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem;
       color: #1c1c1c; background: #fff; }}
h2 {{ border-top: 1px solid #ccc; padding-top: 1rem; margin-top: 2rem; }}
img {{ max-width: 100%; height: auto; display: block; }}
table {{ border-collapse: collapse; margin: .5rem 0 1rem; }}
caption {{ text-align: left; font-weight: 600; }}
th, td {{ padding: .15rem .8rem .15rem 0; text-align: left; vertical-align: top;
         border-bottom: 1px solid #eee; overflow-wrap: anywhere; }}
td.number {{ text-align: right; font-variant-numeric: tabular-nums; }}
tr.few td {{ color: #999; }}
.warning {{ background: #fff3d6; border-left: .3rem solid #b97a00; padding: .5rem 1rem; }}
.tables {{ display: flex; flex-wrap: wrap; gap: 0 3rem; }}
</style>
</head>
<body>
<h1>{title}</h1>
"""


_GREYED: Final = "few"
PAGE_NAME: Final = "index.html"


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page; tables, under their captions, stand side by side where they fit.

    A column `few` of a table is not shown: it says which rows are greyed. `images` are names of
    files beside the page, `figures` matplotlib's figures, or what draws one, by the names that
    their files get.
    """

    title: str
    lines: Sequence[str] = ()
    tables: Sequence[tuple[str, pd.DataFrame]] = ()
    images: Sequence[str] = ()
    warning: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def drawn(cls, title: str, name: str, figure: Any) -> Section:
        """A section of one figure, or of the sentence that says why there is none."""
        if isinstance(figure, str):
            return cls(title, [figure])
        return cls(title, figures={name: figure})


@dataclass(frozen=True, slots=True)
class Page:
    """A title and its sections."""

    title: str
    sections: list[Section] = field(default_factory=list)

    def to_html(self) -> str:
        """The whole page in one file, its figures inside; every text in it is escaped."""
        return self._html(lambda _, figure: _embedded(figure))

    def write(self, folder: Path) -> None:
        """Write the page and its figures, each as a file, into `folder`."""

        def saved(name: str, figure: Any) -> str:
            (folder / f"{name}.png").write_bytes(_png(figure))
            return f"{name}.png"

        (folder / PAGE_NAME).write_text(self._html(saved), encoding="utf-8")

    def _html(self, source_of: Callable[[str, Any], str]) -> str:
        parts = [part for section in self.sections for part in _section(section, source_of)]
        return _HEAD.format(title=escape(self.title)) + "\n".join(parts) + "\n</body>\n</html>\n"


def _section(section: Section, source_of: Callable[[str, Any], str]) -> Iterator[str]:
    title = escape(section.title)
    yield f"<h2>{title}</h2>"
    if section.warning:
        yield f'<p class="warning">{escape(section.warning)}</p>'
    yield from (f"<p>{escape(line)}</p>" for line in section.lines)
    if section.tables:
        yield '<div class="tables">'
        yield from (html_table(caption, frame) for caption, frame in section.tables)
        yield "</div>"
    drawn = [source_of(name, figure) for name, figure in section.figures.items()]
    for source in (*section.images, *drawn):
        yield f'<img src="{escape(source)}" alt="{title}">'


def _png(figure: Any) -> bytes:
    from agelens.evaluation.reports.plotting import save  # noqa: PLC0415 - loads matplotlib

    content = io.BytesIO()
    save(figure() if callable(figure) else figure, content)
    return content.getvalue()


def _embedded(figure: Any) -> str:
    return f"data:image/png;base64,{base64.b64encode(_png(figure)).decode()}"


def html_table(caption: str, frame: pd.DataFrame) -> str:
    """`frame` as a table; rows that its column `few` marks are greyed."""
    if not len(frame):
        return f"<p>{escape(caption)}: none</p>"
    few = frame[_GREYED] if _GREYED in frame else [False] * len(frame)
    frame = frame.drop(columns=_GREYED, errors="ignore")
    head = "".join(f"<th>{escape(str(name))}</th>" for name in frame.columns)
    rows = "\n".join(
        f"<tr{' class=few' if grey else ''}>{''.join(map(_cell, row))}</tr>"
        for grey, row in zip(few, frame.itertuples(index=False), strict=True)
    )
    return f"<table><caption>{escape(caption)}</caption>\n<tr>{head}</tr>\n{rows}\n</table>"


def _cell(value: Any) -> str:
    if pd.api.types.is_integer(value):
        return f'<td class="number">{value:,}</td>'
    if pd.api.types.is_float(value):
        return f'<td class="number">{"" if pd.isna(value) else format(value, ".4g")}</td>'
    return f"<td>{'' if pd.isna(value) else escape(str(value))}</td>"
