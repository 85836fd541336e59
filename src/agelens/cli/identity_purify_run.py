"""What `agelens identity purify` does: embeddings in, a purifier out."""

from __future__ import annotations

import argparse
from typing import Any

from agelens.errors import UsageError
from agelens.recognition.embedding_purifier.result import Purification
from agelens.recognition.embedding_purifier.train import train_purifier
from agelens.recognition.purifier import CARD


def run(options: argparse.Namespace) -> int:
    """Train, write the folder, and say what was chosen."""
    given: dict[str, Any] = {"purifier": options.purifier, "seed": options.seed}
    if options.weights is not None:
        given["weights"] = tuple(options.weights)
    if options.epochs is not None:
        given["epochs"] = options.epochs
    if options.output.exists():
        raise UsageError(f"{options.output} exists; name a new folder")
    found = train_purifier(options.embeddings, **given)
    found.write(options.output)
    if options.json:
        print((options.output / CARD).read_text(encoding="utf-8"), end="")
        return 0
    for line in _sentences(found):
        print(line)
    print(f"wrote {options.output}")
    return 0


def _sentences(found: Purification) -> list[str]:
    faces = found.faces
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in faces.age_kinds.items())
    lines = [
        f"{len(faces):,} faces of {len(faces.names):,} people, ages: {kinds}; "
        f"{found.people['valid']:,} of the people validate"
    ]
    lines += [f"{count:,} rows left out: {why}" for why, count in faces.left_out.items()]
    lines.append(
        f"the age branch tells {100 * found.age.accuracy:.0f} % of their age groups (the most "
        f"frequent one: {100 * found.age.majority:.0f} %)"
    )
    chosen = found.chosen
    lines.append(
        f"weight {chosen.weight:g}, epoch {chosen.best_epoch}: at 1 false match in 1,000 among "
        f"faces of one age, {100 * chosen.across_age:.1f} % of pairs far apart in age match "
        f"({100 * found.raw_across_age:.1f} % before)"
    )
    if not chosen.best_epoch:
        lines.append("no epoch validated better than no change, so this purifier changes nothing")
    return lines
