"""Explained faces as numbers, and what no heat map tells; without pictures and without pandas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from agelens.evaluation.heat_maps.alikeness import Alikeness, verdict
from agelens.version import __version__

NOT_TOLD: Final = (
    "A heat map says where this network's number comes from. It does not say whether the number is "
    "right, nor what makes a person old: a network that errs has maps as handsome.",
    "It depends on what hides a place and on how large the place is; another method draws another "
    "map. Places do not add up to the estimate where they act together, as two eyes do.",
    "It is no test of fairness: whether people of a group are estimated worse is measured by "
    "agelens evaluate, by group.",
)


@dataclass(frozen=True, slots=True, eq=False)
class ExplainedFaces:
    """What was explained: `faces` are JSON rows in order, `pictures` file names beside the page."""

    settings: Mapping[str, Any]
    faces: Sequence[Mapping[str, Any]]
    pictures: Sequence[str] = ()
    checked: Sequence[Alikeness] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        document: dict[str, Any] = {**head(self.settings), "photos": list(self.faces)}
        if self.checked:
            document["sanity_check"] = {
                "steps": [step.to_json() for step in self.checked],
                "verdict": verdict(self.checked),
            }
        return document


def head(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What every document begins with: version, settings, and what is not told."""
    return {"agelens_version": __version__, **settings, "not_told": list(NOT_TOLD)}
