"""What `agelens identity purify` does: embeddings in, a purifier out."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from agelens.recognition.embedding_purifier.bundle import write_bundle
from agelens.recognition.embedding_purifier.faces import IdentityFaces, identity_faces
from agelens.recognition.embedding_purifier.settings import PurifierSettings
from agelens.recognition.embedding_purifier.train import (
    Purification,
    TrainingFolder,
    asked_of,
    train_purifier,
)
from agelens.recognition.embedding_purifier.training import EpochRow
from agelens.recognition.embeddings import read_embeddings
from agelens.recognition.embeddings.purifier import CARD


def run(options: argparse.Namespace) -> int:
    """Train, write the folder, and say what was chosen."""
    settings = _settings(options)
    faces = identity_faces(read_embeddings(options.embeddings))
    folder = TrainingFolder(options.output, asked_of(faces, settings), resume=options.resume)
    found = train_purifier(faces, settings, folder, _tell if sys.stderr.isatty() else _quiet)
    write_bundle(found, faces, options.output)
    folder.finish()
    if options.json:
        print((options.output / CARD).read_text(encoding="utf-8"), end="")
        return 0
    for line in _sentences(found, faces):
        print(line)
    print(f"wrote {options.output}")
    return 0


def _settings(options: argparse.Namespace) -> PurifierSettings:
    given: dict[str, Any] = {"purifier": options.purifier, "seed": options.seed}
    if options.weights is not None:
        given["weights"] = tuple(options.weights)
    if options.epochs is not None:
        given["epochs"] = options.epochs
    return PurifierSettings(**given)


def _sentences(found: Purification, faces: IdentityFaces) -> list[str]:
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


def _tell(weight: float, row: EpochRow) -> None:
    print(
        json.dumps({"weight": weight, "epoch": row.epoch, "across_age": row.across_age}),
        file=sys.stderr,
    )


def _quiet(_weight: float, _row: EpochRow) -> None:
    return None
