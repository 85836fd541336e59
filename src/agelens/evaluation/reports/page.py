"""The one page that all reports are: sentences, cards, contents, tables, figures, definitions.

Whatever comes from a table is somebody else's text: all of it is escaped here, and the page
forbids scripts on top of that. How it looks is in `page.css`.
"""

from __future__ import annotations

import base64
import inspect
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any, Final

import pandas as pd

from agelens.evaluation.metrics import METRICS, classification, errors, probabilistic
from agelens.tables.files import guarded
from agelens.version import __version__


def with_interval(value: float, low: float, high: float, *, share: bool = False) -> str:
    """As ``4.78 [4.61, 4.95]``, or ``61.0 % [59.2, 62.8]``; empty where there is no value."""
    if value is None or math.isnan(value):
        return ""
    scale, digits, unit = (100, 1, " %") if share else (1, 2, "")
    text = f"{scale * value:.{digits}f}{unit}"
    if math.isnan(low) or math.isnan(high):
        return text
    return f"{text} [{scale * low:.{digits}f}, {scale * high:.{digits}f}]"


def in_words(
    rows: pd.DataFrame, name: str = "value", prefix: str = "", *, share: bool | None = None
) -> list[str]:
    """The figure `name` of each row with its interval; a column `metric` may say its unit."""

    def is_share(row: Mapping[Any, Any]) -> bool:
        metric = METRICS.get(str(row.get("metric")))
        return metric is not None and metric.unit == "share" and name in ("value", "gap")

    return [
        with_interval(
            *(row[name], row[f"{prefix}low"], row[f"{prefix}high"]),
            share=is_share(row) if share is None else share,
        )
        for row in rows.to_dict("records")
    ]


def bootstrap_words(level: float, draws: int, seed: int) -> str:
    """How the intervals of a page came about."""
    if not draws:
        return "No intervals were asked for."
    return (
        f"In brackets the {100 * level:g} % bootstrap interval of {draws:,} draws of "
        f"people with all their pictures (seed {seed})."
    )


_GREYED: Final = "few"
PAGE_NAME: Final = "index.html"
NOT_FIT: Final = "What these figures are not fit for"


@dataclass(frozen=True, slots=True)
class Card:
    """A headline number: what it is, the number, and a few words on it."""

    label: str
    value: str
    note: str = ""

    @classmethod
    def of(cls, label: str, figure: str, note: str = "") -> Card:
        """Of a figure as `with_interval` writes it; its interval is part of the note."""
        value, _, ends = figure.partition(" [")
        interval = f"[{ends}" if ends else ""
        return cls(label, value, "; ".join(filter(None, (interval, note))))


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """matplotlib's figure, and the numbers that are drawn."""

    figure: Any
    numbers: pd.DataFrame | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """A small picture that stands in a row of others: `jpeg`, the lines below it, a link."""

    jpeg: bytes
    lines: Sequence[str] = ()
    link: str = ""

    def html(self) -> str:
        """As an item of a list; the first line says what is seen to who cannot."""
        source = f"data:image/jpeg;base64,{base64.b64encode(self.jpeg).decode()}"
        image = f'<img src="{source}" alt="{escape(next(iter(self.lines), "a face"))}">'
        if self.link:
            image = f'<a href="{escape(self.link)}">{image}</a>'
        lines = "".join(f"<span>{escape(line)}</span>" for line in self.lines)
        return f"<li>{image}{lines}</li>"


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page; tables, under their captions, stand side by side where they fit.

    A column `few` of a table is not shown: it says which rows are greyed. `images` are names of
    files beside the page, `figures` drawings or bare figures, or what draws one, by the names
    that their files get. `pictures` are inside the page, in rows under their captions.
    """

    title: str
    lines: Sequence[str] = ()
    tables: Sequence[tuple[str, pd.DataFrame]] = ()
    images: Sequence[str] = ()
    warning: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)
    pictures: Sequence[tuple[str, Sequence[Picture]]] = ()

    @classmethod
    def drawn(cls, title: str, lines: Sequence[str] = (), **figures: Any) -> Section:
        """A section of figures, or of the sentences that say why there is none."""
        missing = [one for one in figures.values() if isinstance(one, str)]
        there = {name: one for name, one in figures.items() if not isinstance(one, str)}
        return cls(title, [*(lines if there else ()), *missing], figures=there)


@dataclass(frozen=True, slots=True)
class Page:
    """A title and its sections; before them the `lead`, which is what was found, and `cards`."""

    title: str
    sections: list[Section] = field(default_factory=list)
    lead: Sequence[str] = ()
    cards: Sequence[Card] = ()

    def to_html(self) -> str:
        """The whole page in one file, its figures inside; every text in it is escaped."""
        return self._html(lambda _, drawing: _figure(drawing)[0])

    def write(self, folder: Path) -> None:
        """Write the page, and each figure as SVG and PNG with its numbers, into `folder`."""

        def saved(name: str, drawing: Drawing) -> str:
            html, files = _figure(drawing)
            if drawing.numbers is not None:
                files["csv"] = guarded(drawing.numbers).to_csv(index=False).encode()
            for ending, content in files.items():
                (folder / f"{name}.{ending}").write_bytes(content)
            endings = [one for one in ("svg", "png", "csv") if (folder / f"{name}.{one}").is_file()]
            links = (f'<a href="{escape(name)}.{one}">{one.upper()}</a>' for one in endings)
            return f"{html}<figcaption>This figure as {', '.join(links)}</figcaption>"

        (folder / PAGE_NAME).write_text(self._html(saved), encoding="utf-8")

    def _html(self, draw: Callable[[str, Drawing], str]) -> str:
        parts = [part for place in enumerate(self.sections) for part in _section(*place, draw)]
        body = "\n".join(parts)
        terms = [name for name in METRICS if f'href="#{_anchor(name)}"' in body]
        titles = [*(one.title for one in self.sections), *([_DEFINED] if terms else [])]
        style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
        head = _HEAD.format(title=escape(self.title), style=style)
        foot = _FOOT.format(version=__version__, day=datetime.now(UTC).date())
        defined = _definitions(len(self.sections), terms)
        return "\n".join([head, *self._top(titles), body, *defined, foot])

    def _top(self, titles: Sequence[str]) -> Iterator[str]:
        yield from (f'<p class="lead">{escape(line)}</p>' for line in self.lead)
        if self.cards:
            yield '<dl class="cards">'
            for one in self.cards:
                note = f"<small>{escape(one.note)}</small>" if one.note else ""
                value = f"<dd>{escape(one.value)}{note}</dd>"
                yield f'<div class="card"><dt>{escape(one.label)}</dt>{value}</div>'
            yield "</dl>"
        if len(titles) >= _ENOUGH_FOR_CONTENTS:
            links = (f'<li><a href="#part-{n}">{escape(t)}</a></li>' for n, t in enumerate(titles))
            yield f"<nav><strong>Contents</strong><ol>{''.join(links)}</ol></nav>"


_ENOUGH_FOR_CONTENTS: Final = 4
_DEFINED: Final = "What the metrics mean"
_HEAD: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="script-src 'none'; object-src 'none'">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<main>
<p class="kicker">agelens report</p>
<h1>{title}</h1>"""
_FOOT: Final = """</main>
<footer>Made by agelens {version} on {day}. This page runs no scripts.</footer>
</body>
</html>
"""


def _section(number: int, section: Section, draw: Callable[[str, Drawing], str]) -> Iterator[str]:
    title = escape(section.title)
    yield f'<section>\n<h2 id="part-{number}">{title}</h2>'
    if section.warning:
        yield f'<p class="warning">{escape(section.warning)}</p>'
    if section.title == NOT_FIT:
        yield f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in section.lines)}</ul>"
    else:
        yield from (f"<p>{escape(line)}</p>" for line in section.lines)
    for name, given in section.figures.items():
        one = given() if callable(given) else given
        drawing = one if isinstance(one, Drawing) else Drawing(one)
        yield f"<figure>{draw(name, drawing).replace(_ALT, title)}</figure>"
    yield from (f'<img class="beside" src="{escape(n)}" alt="{title}">' for n in section.images)
    for caption, row in section.pictures:
        yield f"<h3>{escape(caption)}</h3>" if caption else ""
        yield f'<ul class="pictures">{"".join(one.html() for one in row)}</ul>'
    if section.tables:
        tables = (html_table(caption, frame) for caption, frame in section.tables)
        yield f'<div class="tables">{"".join(tables)}</div>'
    yield "</section>"


_ALT: Final = "{alt}"


def _figure(drawing: Drawing) -> tuple[str, dict[str, bytes]]:
    """A drawing as HTML with the picture inside, and as the content of files by their endings."""
    from agelens.evaluation.reports.plotting import pictures  # noqa: PLC0415 - loads matplotlib

    files = pictures(drawing.figure)
    # A photo inside an SVG is many times its PNG.
    kind, ending = (
        ("picture", "png") if any(axes.images for axes in drawing.figure.axes) else ("chart", "svg")
    )
    mime = {"png": "image/png", "svg": "image/svg+xml"}[ending]
    source = f"data:{mime};base64,{base64.b64encode(files[ending]).decode()}"
    image = f'<img class="{kind}" src="{source}" alt="{_ALT}">'
    return f'<div class="scroll" tabindex="0">{image}</div>', files


def html_table(caption: str, frame: pd.DataFrame) -> str:
    """`frame` as a table; rows that its column `few` marks are greyed."""
    if not len(frame):
        return f"<p>{escape(caption)}: none</p>"
    few = frame[_GREYED] if _GREYED in frame else [False] * len(frame)
    frame = frame.drop(columns=_GREYED, errors="ignore")
    head = "".join(map(_head, frame.columns, map(pd.api.types.is_numeric_dtype, frame.dtypes)))
    rows = "\n".join(
        f"<tr{' class=few' if grey else ''}>{''.join(map(_cell, row, frame.columns))}</tr>"
        for grey, row in zip(few, frame.itertuples(index=False), strict=True)
    )
    table = f"<table><caption>{escape(caption)}</caption>\n<tr>{head}</tr>\n{rows}\n</table>"
    return f'<div class="scroll" tabindex="0">{table}</div>'


def _head(name: object, of_numbers: bool) -> str:
    return f"<th{' class=number' if of_numbers else ''}>{_linked(str(name))}</th>"


_WORDS: Final = 40
_NUMBER: Final = re.compile(r"[+-]?\d[\d.,]*( %)?( \[[^\]]*\])?( .{1,30})?")


def _cell(value: Any, column: object) -> str:
    if pd.api.types.is_integer(value):
        return f'<td class="number">{value:,}</td>'
    if pd.api.types.is_float(value):
        return f'<td class="number">{"" if pd.isna(value) else format(value, ".4g")}</td>'
    text = "" if pd.isna(value) else str(value)
    if column == "metric":
        return f'<td class="metric">{_linked(text)}</td>'
    if _NUMBER.fullmatch(text):
        interval = re.sub(r"(\[.*\])", r"<i>\1</i>", escape(text))
        return f'<td class="figure">{interval}</td>'
    return f"<td{' class=words' if len(text) > _WORDS else ''}>{escape(text)}</td>"


_CALLED: Final = {"MAE": "mae", "CS@5": "cs@5"}


def _linked(words: str) -> str:
    """Names of metrics, such as those of equal rows in ``cs@5 = ca_at_most@5``, as links."""

    def one(word: str) -> str:
        name = _CALLED.get(word, word)
        link = f'<a href="#{_anchor(name)}">{escape(word)}</a>'
        return link if name in METRICS else escape(word)

    return " = ".join(map(one, words.split(" = ")))


def _anchor(metric: str) -> str:
    return f"metric-{metric.replace('@', '-')}"


def _definitions(number: int, terms: Sequence[str]) -> Iterator[str]:
    if not terms:
        return
    yield f'<section>\n<h2 id="part-{number}">{_DEFINED}</h2>\n<dl class="definitions">'
    before = ""
    for name in terms:
        metric, documented = METRICS[name], _documented(name)
        reading = f"In {metric.unit}; better is {metric.better}.".replace("In share", "A share")
        yield f'<dt id="{_anchor(name)}">{escape(name)}: {escape(metric.summary)}</dt>'
        more = "Defined as the one above." if documented == before else _code(documented)
        yield f"<dd>{escape(reading)} {more}</dd>"
        before = documented
    yield "</dl>\n</section>"


def _documented(name: str) -> str:
    """What the metric's function says of itself, without the parts for programmers."""
    base = name.partition("@")[0]
    for called in (f"{base}_rate", base, f"{base.split('_')[0]}_at"):
        for module in (errors, classification, probabilistic):
            function = getattr(module, called, None)
            if inspect.isfunction(function):
                text = inspect.getdoc(function) or ""
                return " ".join(re.split(r"\n(?:Args|Raises|Returns):\n", text)[0].split())
    return ""


def _code(text: str) -> str:
    return re.sub(r"``(.+?)``|`(.+?)`", r"<code>\1\2</code>", escape(text))
