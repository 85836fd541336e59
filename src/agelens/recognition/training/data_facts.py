"""What a run was trained on: hashes that a resumed run must agree with, and counts for people."""

from __future__ import annotations

from typing import Any

import numpy as np

from agelens.data.store import ChipStore
from agelens.recognition.training.identity_data import STAGES, IdentityData
from agelens.training.data_identity import card_hash, frame_hash, label_counts


def data_hashes(data: IdentityData) -> dict[str, Any]:
    """Plain types: of each store its card's hash, of the samples and the stage's labels theirs."""
    frame = data.chips.table.frame
    return {
        "stage": data.stage,
        "stores": {str(place): card_hash(store) for place, store in enumerate(data.stores)},
        "samples": len(data.chips),
        "samples_sha256": frame_hash(frame[["sample_id"]]),
        "labels_sha256": frame_hash(frame[[STAGES[data.stage]]]),
    }


def data_facts(data: IdentityData) -> dict[str, Any]:
    """The hashes with what people want to know: folders, counts, what was left out."""
    table = data.chips.table
    transform = data.transform
    stores = [
        {"folder": str(store.folder), "settings": _settings(store, data.aligned_by)}
        for store in data.stores
    ]
    return {
        **data_hashes(data),
        "folders": stores,
        "left_out": data.left_out,
        "datasets": label_counts(table, "dataset"),
        "age_kinds": label_counts(table, "age_kind"),
        "identities": data.identities,
        "pictures_of_an_identity": _pictures(data),
        "input": {
            "size": transform.size,
            "resized": transform.resized,
            "mean": transform.mean,
            "std": transform.std,
        },
    }


def _settings(store: ChipStore, aligned_by: str | None) -> dict[str, Any]:
    """How the store's chips were cut; by their owner's template, where the run names it."""
    settings = dict(store.card.settings)
    if aligned_by and settings["alignment"] == "as-shipped":
        settings |= {"alignment": "similarity", "template": aligned_by}
    return settings


def _pictures(data: IdentityData) -> dict[str, float]:
    if not data.people:
        return {}
    of_each = np.bincount(data.chips.labels("subject").numpy(), minlength=data.identities)
    return {
        "least": float(of_each.min()),
        "mean": float(of_each.mean()),
        "greatest": float(of_each.max()),
    }
