"""The numbers behind an ordinal network's age, in the fields that CORAL's users know."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from agelens.inference.answers import AnswerSpec, older_probabilities
from agelens.records import Floats

RAW_FIELDS: Final = (
    "raw_logits",
    "raw_probas",
    "threshold",
    "thresholded_probas",
    "result_value",
)
_DIGITS: Final = 6


def raw_fields(answer: Floats, spec: AnswerSpec) -> dict[str, Any]:
    """What one face's answer [K - 1] says, step by step, as plain JSON types.

    `raw_logits` [K - 1] are the network's; of a face averaged with its mirror image, those
    of the mean probabilities. `raw_probas` [K - 1] are P(older than age k), and
    `thresholded_probas` [K - 1] is 1 where they exceed `threshold`. `result_value` is the age in
    years that so many ones lead to: on the scale 16 to 70, twenty of them give 36.

    Raises:
        ValueError: the answers of `spec` are not ordinal logits.
    """
    if spec.kind != "ordinal-logits":
        raise ValueError(f"a {spec.kind} answer has no ordinal logits")
    older = older_probabilities(answer[None], spec.link)[0]
    ones = (older > spec.threshold).astype(int)
    return {
        "raw_logits": np.round(answer, _DIGITS).tolist(),
        "raw_probas": np.round(older, _DIGITS).tolist(),
        "threshold": spec.threshold,
        "thresholded_probas": ones.tolist(),
        "result_value": spec.scale.years[int(ones.sum())],
    }
