"""What a card says of a trained network that its weights do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agelens.inference.answers import AnswerSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """Facts for people, in the words of the card's sections.

    Args:
        name: what result rows call the model.
        summary: one line for lists.
        method: its name in `METHODS`.
        backbone: its name in `BACKBONES` or timm.
        paper: of the method.
        departures: where the method here is not as its authors' code has it; see `AgeMethod`.
        age_kind: what the ages were: real, apparent, estimated.
        trained_on: for each dataset its name, split, licence.
        metrics: each with the table that it can be recomputed from.
        licences: of `code`, `weights` and `data`.
        version: of this model.
        notes: what else a user has to know, one sentence each.
    """

    name: str
    summary: str
    method: str
    backbone: str
    paper: str
    age_kind: str
    trained_on: Sequence[Mapping[str, Any]]
    metrics: Sequence[Mapping[str, Any]]
    licences: Mapping[str, str]
    departures: Sequence[str] = field(default=())
    version: str = "1"
    notes: Sequence[str] = field(default=())

    def to_json(
        self,
        *,
        weights: Mapping[str, str],
        chips: Mapping[str, Any],
        spec: AnswerSpec,
        export: Mapping[str, Any],
    ) -> dict[str, Any]:
        """The whole card: plain JSON types.

        Args:
            weights: ``path`` and ``sha256``.
            chips: the section ``input``.
            spec: what the answers are.
            export: how the weights were made, and how they compare.
        """
        return {
            "name": self.name,
            "version": self.version,
            "task": "age",
            "summary": self.summary,
            "weights": dict(weights),
            "input": dict(chips),
            "output": output_section(spec),
            "age_kind": self.age_kind,
            "method": self.method,
            "backbone": self.backbone,
            "trained_on": [dict(part) for part in self.trained_on],
            "metrics": [dict(metric) for metric in self.metrics],
            "calibration": None,
            "limits": None,
            "licences": dict(self.licences),
            "paper": self.paper,
            "departures": list(self.departures),
            "export": dict(export),
            "notes": list(self.notes),
        }


def output_section(spec: AnswerSpec) -> dict[str, Any]:
    """The card's section ``output``."""
    section: dict[str, Any] = {
        "kind": spec.kind,
        "ages_years": [int(year) if year.is_integer() else year for year in spec.scale.years],
        "point": spec.point,
    }
    if spec.kind == "ordinal-logits":
        section["link"] = spec.link
    if spec.kind == "ordinal-logits" or spec.point == "rank":
        section["threshold"] = spec.threshold
    return section
