"""How compared runs differ in what they were given: a lower error may be nothing but that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from agelens.evaluation.finished_runs import FinishedRun

BUDGET: Final = "epochs"
_TRAIN: Final = "train"
_NOT_SAID: Final = "not said"
_LONGEST: Final = 60
_LEFT_TO_SEEDS: Final = ("seed", "output", "folder")


@dataclass(frozen=True, slots=True)
class RunDifference:
    """One thing that runs differ in; `values` in the order of their models."""

    what: str
    values: tuple[str, ...]


def run_differences(runs: Mapping[str, FinishedRun]) -> list[RunDifference]:
    """What the runs differ in: epochs, data, backbone, method, start, then every other setting.

    Args:
        runs: by the name of the model, one of its seeds.
    """
    facts = [dict(_facts(run)) for run in runs.values()]
    settings = [dict(_flat(run.config)) for run in runs.values()]
    told = (
        [*facts[0], *dict.fromkeys(key for one in settings for key in sorted(one))] if facts else []
    )
    rows = []
    for what in told:
        values = tuple(
            str(fact[what] if what in fact else setting.get(what, _NOT_SAID))[:_LONGEST]
            for fact, setting in zip(facts, settings, strict=True)
        )
        if len(set(values)) > 1:
            rows.append(RunDifference(what, values))
    return rows


def budget_note(models: Sequence[str], differences: Sequence[RunDifference]) -> list[str]:
    """A sentence where the runs were trained for different numbers of epochs or photos."""
    found = [one for one in differences if one.what in (BUDGET, "photos to train on")]
    each = "; ".join(
        f"{one.what}: {', '.join(map(' '.join, zip(models, one.values, strict=True)))}"
        for one in found
    )
    return [f"Budgets differ ({each}): who is better may be who was given more."] if found else []


def _facts(run: FinishedRun) -> Iterator[tuple[str, Any]]:
    summary = run.summary
    yield BUDGET, summary.get("epochs", _NOT_SAID)
    yield "data", summary.get("train_data", _NOT_SAID)
    datasets = run.data.get("parts", {}).get(_TRAIN, {}).get("datasets", {})
    yield "photos to train on", sum(datasets.values()) if datasets else _NOT_SAID
    split = run.data.get("split", {})
    yield "split", split.get("protocol") or split.get("name") or _NOT_SAID
    yield "backbone", summary.get("backbone", _NOT_SAID)
    yield "method", summary.get("method", _NOT_SAID)
    start = run.folder / "starting-weights.txt"
    text = start.read_text(encoding="utf-8").strip() if start.is_file() else _NOT_SAID
    yield "start", text.partition("\n")[0]


def _flat(config: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in config.items():
        if not above and name in _LEFT_TO_SEEDS:
            continue
        key = f"{above}{name}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{key}.")
        else:
            yield key, value
