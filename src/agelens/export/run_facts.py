"""The facts of a finished run, in the words of a card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agelens.errors import UsageError
from agelens.export.card_facts import CardFacts
from agelens.export.trained_input import TrainedInput
from agelens.training.chosen_split import TRAIN
from agelens.training.run_folder import RunFolder
from agelens.training.trained_run import TrainedRun

_CUT_BY = ("alignment", "template", "size", "margin")
UNKNOWN_TERMS = "not stated"


def trained_input_of(run: TrainedRun) -> TrainedInput:
    """How the run's network saw chips; raises as `one_way` does."""
    settings = [store["settings"] for store in run.data["stores"]]
    return TrainedInput(one_way(settings, run.folder), run.transform)


def one_way(settings: Sequence[Mapping[str, Any]], folder: RunFolder) -> Mapping[str, Any]:
    """The settings of a run's stores, which all have to cut chips alike.

    Raises:
        UsageError: they were cut in different ways, so that no single way is the model's.
    """
    ways = {tuple(one[key] for key in _CUT_BY) for one in settings}
    if len(ways) > 1:
        raise UsageError(
            f"{folder.path} was trained on stores with chips cut in {len(ways)} ways "
            f"({', '.join(_CUT_BY)}: {sorted(ways, key=str)}), so nobody can say how to cut a "
            "photo for it; prepare the stores alike and train again"
        )
    return settings[0]


def facts_of(run: TrainedRun) -> CardFacts:
    """What the run's folder says of its model."""
    train = run.data["parts"][TRAIN]
    method, backbone = run.model.method, run.config["backbone"]
    return CardFacts(
        name=run.folder.path.resolve().name,
        summary=f"{method.name} on {backbone['name']}, trained on {', '.join(train['datasets'])}",
        method=method.name,
        backbone=backbone["name"],
        paper=method.paper,
        departures=method.departures,
        age_kind=_counted(train["age_kinds"]),
        trained_on=_trained_on(run),
        metrics=_metrics(run),
        licences={
            "code": "MIT (agelens)",
            "weights": "for whoever trained them to say, within the terms of the data and of the "
            f"starting weights ({backbone['weights']})",
            "data": "; ".join(f"{name}: {terms}" for name, terms in _terms(run).items()),
        },
        notes=[*run.data["split"]["notes"], *run.data["notes"]],
    )


def _trained_on(run: TrainedRun) -> list[dict[str, Any]]:
    split = run.data["split"]
    terms = _terms(run)
    return [
        {
            "dataset": name,
            "samples": samples,
            "split": f"{split['protocol'] or split['name']}, part {TRAIN}",
            "split_seed": split["seed"],
            "licence": terms[name],
        }
        for name, samples in run.data["parts"][TRAIN]["datasets"].items()
    ]


def _metrics(run: TrainedRun) -> list[dict[str, Any]]:
    """Each part's figures, with the table that they come from, in the run's folder."""
    folder = run.folder.path.resolve().name
    return [
        {"part": part, **figures, "table": f"{folder}/{run.folder.predictions(part).name}"}
        for part, figures in run.summary["metrics"].items()
    ]


def _terms(run: TrainedRun) -> dict[str, str]:
    """What the owner of each training dataset allows, as its store has it."""
    stated: dict[str, str] = {}
    for store in run.data["stores"]:
        stated |= store["settings"]["licences"]
    return {name: stated.get(name, UNKNOWN_TERMS) for name in run.data["parts"][TRAIN]["datasets"]}


def _counted(kinds: dict[str, int]) -> str:
    return " and ".join(f"{kind} ({samples} samples)" for kind, samples in kinds.items())
