"""A practice statement: what a model is and what was measured of it, for the public to read.

Its headings are the five characteristics that ISO/IEC 27566-1:2025 asks public practice
statements of age assurance to speak of. What only the operator can say is left visibly blank.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final

from agelens.atomic import write_atomically
from agelens.errors import UsageError
from agelens.evaluation.by_group import FIGURE_COLUMN
from agelens.evaluation.groups import BETWEEN
from agelens.evaluation.reports.evaluation_page import ESTIMATED_LABELS, LIMITS
from agelens.evaluation.reports.page import with_interval
from agelens.foreign_files import decoding, json_object
from agelens.version import __version__
from agelens.workflows.chosen import card_of

Table = tuple[Sequence[str], Sequence[Sequence[object]]]

NOT_A_CERTIFICATE: Final = (
    "This is not a certificate, and no one has assessed it: it is what the operator of this model "
    "says of it, with what `agelens` measured. It follows the headings that ISO/IEC 27566-1:2025 "
    "asks of public practice statements; it claims no conformity."
)
_BLANK: Final = "**[blank: {}]**"
_MEASURES: Final = {
    "evaluation": "error, by group: `agelens evaluate TABLE -o DIR`",
    "gate": "error rates at a legal age: `agelens gate TABLE --legal 18 --max-false-accept 0.01 "
    "-o DIR`",
    "nist": "NIST's quantities: `agelens nist TABLE -o DIR`",
    "stress": "damaged pictures: `agelens stress --model MODEL -o DIR`",
}
_METRICS: Final = ("mae", "bias", "cs@5", "false_adult@18", "false_minor@18", "coverage")


@dataclass(frozen=True, slots=True)
class Statement:
    """The statement of one model, as Markdown."""

    model: str
    text: str

    def to_markdown(self) -> str:
        """The text."""
        return self.text

    def save(self, path: str | Path) -> Path:
        """Write the text into a file; what was there is replaced.

        Raises:
            OutputError: it cannot be written.
        """
        write_atomically(Path(path), self.text.encode())
        return Path(path)


def statement(model: Any, evaluations: Sequence[str | Path] = ()) -> Statement:
    """Write a model's practice statement from its card and from what was measured.

    >>> statement("agelens-1", ["evaluated", "gated"]).save("statement.md")  # doctest: +SKIP

    Args:
        model: a name, a card, a folder with card and weights, or a run.
        evaluations: folders that `agelens evaluate`, `gate`, `nist` or `stress` wrote.

    Raises:
        CardError: there is no such model.
        UsageError: a folder holds no measurement, or one of other models only.
    """
    card = card_of(model)
    found = [_measurement(Path(folder), card.name) for folder in evaluations]
    kinds = [kind for kind, *_ in found]
    parts = [
        f"# Practice statement: {_text(card.name)}",
        f"> {NOT_A_CERTIFICATE}",
        f"Operator: {_blank('name and address')}. Date: {_blank('date')}. "
        f"Made by agelens {__version__} from the card of the model and "
        f"{len(found)} measurements.",
        *_functionality(card.document),
        "## 2. Performance",
        "What the card says was measured when the model was made:",
        *_card_metrics(card.document),
        *(part for one in found for part in _told(*one)),
        *(f"{_blank('not measured')}: {how}" for k, how in _MEASURES.items() if k not in kinds),
        *_facts(card.document),
    ]
    return Statement(card.name, "\n\n".join(parts) + "\n")


def _functionality(document: Mapping[str, Any]) -> Iterator[str]:
    facts = {
        "name and version": f"{document['name']}, version {document['version']}",
        "in short": document.get("summary"),
        "what it answers": "an age in years for each face, an interval, and a hint to ask a human "
        "where the picture is outside the limits below",
        "ages it was taught": document.get("age_kind"),
        "method": document.get("method"),
        "network": document.get("backbone"),
        "described in": document.get("paper"),
        "limits of a picture": _pairs(document.get("limits")),
    }
    yield "## 1. Functionality"
    yield _table(("what", "as the card says"), list(facts.items()))
    yield f"What it is used for, where, and who decides by it: {_blank('purpose and context')}."
    yield "What it is not fit for:"
    yield "\n".join(f"- {line}" for line in LIMITS)


def _card_metrics(document: Mapping[str, Any]) -> Iterator[str]:
    metrics = document.get("metrics") or []
    # Of the rates at legal ages those of 18; what made the figures comes last.
    told = dict.fromkeys(name for one in metrics for name in one)
    names = [name for name in told if not name.startswith("false_") or name in _METRICS]
    names.sort(key=lambda name: (name == "table", name in _METRICS[3:]))
    rows = [[one.get(name) for name in names] for one in metrics]
    yield _table(names, rows) if rows else _blank("the card states no figures")
    measured = document.get("calibration") or {}
    levels = [[one["level"], one["coverage"]] for one in measured.get("intervals", [])]
    if not levels:
        yield f"Intervals: {_blank('not calibrated, so they promise nothing')}."
        return
    yield "Intervals, and the share of people whom they held where they were calibrated:"
    yield _table(("claimed", "held"), [[f"{100 * a:g} %", f"{100 * b:.1f} %"] for a, b in levels])


def _measurement(folder: Path, name: str) -> tuple[str, Path, dict[str, Any]]:
    """The kind, folder and content of what was measured of the model of that `name`."""
    kind = next((one for one in _MEASURES if (folder / f"{one}.json").is_file()), None)
    if kind is None:
        raise UsageError(
            f"{folder} holds no measurement: give folders that agelens {', '.join(_MEASURES)} "
            "wrote with -o"
        )
    document = json_object(folder / f"{kind}.json", UsageError, what="a measurement")
    with _measured(folder, kind):
        if kind == "evaluation":
            own = [one for one in document["tables"] if name in one["models"] or not one["models"]]
            models = [model for one in document["tables"] for model in one["models"]]
            document["tables"] = own
        else:
            models = document.get("models") or [document[n] for n in ("model",) if n in document]
            own = [model for model in models if model == name] or ([] if models else [name])
    if not own:
        raise UsageError(f"{folder} measured {', '.join(models)}, and not {name}")
    return kind, folder, document


def _measured(folder: Path, kind: str) -> AbstractContextManager[None]:
    """Whatever damage is found here is that of the measurement's file."""
    return decoding(folder / f"{kind}.json", "a measurement", UsageError, advice="Measure again")


def _told(kind: str, folder: Path, document: Mapping[str, Any]) -> Iterator[str]:
    what = _MEASURES[kind].partition(":")[0]
    yield f"### {what[0].upper()}{what[1:]} ({_text(folder.name)})"
    with _measured(folder, kind):
        if kind == "evaluation":
            for one in document["tables"]:
                yield from _evaluated(one)
        elif kind == "gate":
            yield from _gated(document)
        elif kind == "nist":
            yield from _as_nist(document)
        else:
            damages = document["corruptions"]
            rows = [[one["corruption"], _figure(one, "increase")] for one in damages]
            yield f"Undamaged, the MAE is {document['clean_mae']:.2f} years."
            yield _table(("damage", "years of error added"), rows)


def _evaluated(one: Mapping[str, Any]) -> Iterator[str]:
    counts = one["counts"]
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in counts["age_kinds"].items())
    yield (
        f"Table {_text(one['name'])}: {counts['rows']:,} rows, {counts['without_estimate']:,} "
        f"without estimate; ages: {_text(kinds or 'none')}; datasets: "
        f"{_text(', '.join(one['datasets']) or 'not stated')}."
    )
    if "estimated" in counts["age_kinds"]:
        yield ESTIMATED_LABELS
    rows = [
        [name, _figure(found, "value", found["unit"] == "share"), found["samples"]]
        for name in _METRICS
        if (found := one["metrics"].get(name)) and found["value"] is not None
    ]
    yield _table(("metric", f"value [{100 * one['bootstrap']['level']:g} %]", "rows"), rows)
    groups: dict[tuple[str, str], dict[str, str]] = {}
    for row in one["groups"]:
        if BETWEEN not in row["grouping"] and row["grouping"] != FIGURE_COLUMN:
            figures = groups.setdefault((row["grouping"], row["group"]), {})
            share = row["metric"].startswith(("cs@", "false_", "coverage"))
            figures[row["metric"]] = _figure(row, "value", share)
            figures["samples"] = f"{row['samples']:,}{' (few)' if row['few'] else ''}"
    heads = ("samples", "mae", "bias", "false_adult@18")
    shown = [[*key, *(figures.get(h, "") for h in heads)] for key, figures in groups.items()]
    yield _table(("of", "group", *heads), shown)


def _gated(document: Mapping[str, Any]) -> Iterator[str]:
    limit = f"{100 * document['max_false_accept']:g} %"
    sure = f"{100 * document['confidence']:g} %"
    if not document["promised"] or not document["overall"]:
        yield f"The data promise no challenge age: at most {limit} passing, with {sure} confidence."
        return
    yield (
        f"Challenge age {document['challenge_years']:g} for a legal age of "
        f"{document['legal_years']:g}: with {sure} confidence at most {limit} of those below pass."
    )
    rates = [document["overall"], *(one for few in document["by_group"].values() for one in few)]
    rows = [
        [one["group"], *(_figure(one[s], "share", True) for s in ("false_accept", "false_reject"))]
        for one in rates
    ]
    yield _table(("group", "too young, and pass", "old enough, and asked"), rows)


def _as_nist(document: Mapping[str, Any]) -> Iterator[str]:
    yield _text(document["not_by_nist"])
    rows = [
        [one["quantity"], one["at"], _figure(one, "share", True), one["samples"]]
        for one in document["rates"]
        if one["of"] == "everybody"
    ]
    headline = [["headline MAE", "18 to 30", _figure(document["headline_mae"], "value"), ""]]
    yield _table(("quantity", "at", "value", "rows"), [*headline, *rows])


def _facts(document: Mapping[str, Any]) -> Iterator[str]:
    trained = [
        [one.get(name) for name in ("dataset", "samples", "split", "licence")]
        for one in document.get("trained_on") or []
    ]
    licences = document.get("licences") or {}
    yield "## 3. Privacy"
    yield "\n".join(
        (
            "- The model runs where it is installed; `agelens` sends no photo and no estimate.",
            "- `agelens estimate` keeps no photo, unless it is asked to draw one. A result has "
            "ages, boxes and landmarks; no name, nothing that a face could be recognised by.",
            "- An age is estimated from the picture alone, without a document or an account.",
        )
    )
    yield f"How long photos and results are kept, and who sees them: {_blank('retention, access')}."
    yield f"Legal basis, and how people are told: {_blank('legal basis, notice, contact')}."
    yield "People whose pictures taught the model:"
    yield _table(("dataset", "samples", "split", "licence"), trained)
    yield "## 4. Security"
    weights = document.get("weights") or {}
    sha256 = weights.get("sha256") or _blank("no hash")
    yield (
        f"- Weights: {_text(weights.get('path') or 'not stated')}, SHA-256 {_text(sha256)}. They "
        "are checked against this hash when they are loaded, and hold no code that would run.\n"
        "- Photos of photos, masks, make-up and injected pictures are not told from faces: "
        "`agelens` has no liveness test, and none was measured."
    )
    yield f"What keeps such pictures out: {_blank('liveness and injection controls')}."
    yield f"Access, updates, and what is done after an incident: {_blank('operation')}."
    yield "## 5. Acceptability"
    yield "Errors differ between groups of people: see the tables by group above."
    yield f"How somebody can prove their age otherwise: {_blank('alternatives, and their cost')}."
    yield f"How somebody complains, and is heard by a human: {_blank('redress')}."
    yield f"Accessibility and languages: {_blank('accessibility')}."
    yield "Licences:"
    yield _table(("of", "licence"), [[n, licences.get(n)] for n in ("code", "weights", "data")])
    yield "Notes of the card:"
    notes = document.get("notes") or ["none"]
    yield "\n".join(f"- {_text(note)}" for note in notes)


def _figure(found: Mapping[str, Any], name: str, share: bool = False) -> str:
    """A figure of a JSON file with its interval, where null stands for what is not defined."""
    prefix = "" if name in ("value", "share") else f"{name}_"
    numbers = (found.get(key) for key in (name, f"{prefix}low", f"{prefix}high"))
    return with_interval(*(float("nan") if n is None else n for n in numbers), share=share)


def _pairs(found: Mapping[str, Any] | None) -> str | None:
    return ", ".join(f"{name} {value}" for name, value in found.items()) if found else None


def _blank(what: str) -> str:
    return _BLANK.format(what)


def _text(value: object) -> str:
    """Somebody else's words: no tag, cell or line of their own."""
    text = escape(" ".join(str(value).split()), quote=False)
    return text.replace("|", "\\|").replace("`", "'")


def _table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    cells = [[_blank("not stated") if c is None else _text(c) for c in row] for row in rows]
    if not cells:
        return _blank("not stated")
    lines = [list(heads), ["---"] * len(heads), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
