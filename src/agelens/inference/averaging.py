"""Several answers for one face made into one: a face and its mirror image, frames of a video.

Not every answer may be averaged as it stands: the mean of two logits is not the logit of
the mean probability, and two ages that disagree are less sure than either says. So answers
are brought into a form whose mean is that of the distributions behind them, and back.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from agelens.inference.answers import AnswerSpec, older_probabilities
from agelens.records import Floats

_SUREST: Final = 1e-12  # probabilities this near to 0 or 1 keep a finite logit


def averageable(answer: Floats, spec: AnswerSpec) -> Floats:
    """`answer` [N, width] in a form [N, width] whose mean over faces means something.

    Posteriors are in it already. An age and its spread become the first two moments, so
    that their mean is that of a mixture; ordinal logits become P(older than age k).
    """
    if spec.kind == "mean-spread":
        mean, spread = answer[:, 0], answer[:, 1]
        return np.column_stack([mean, spread**2 + mean**2])
    if spec.kind == "ordinal-logits":
        return older_probabilities(answer, spec.link)
    return answer


def answer_of(average: Floats, spec: AnswerSpec) -> Floats:
    """The answer [N, width] that an average [N, width] of `averageable` forms stands for."""
    if spec.kind == "mean-spread":
        mean, square = average[:, 0], average[:, 1]
        return np.column_stack([mean, np.sqrt(np.maximum(square - mean**2, 0))])
    if spec.kind == "ordinal-logits":
        if spec.link == "conditional":
            before = np.pad(average[:, :-1], ((0, 0), (1, 0)), constant_values=1)
            average = np.divide(average, before, out=np.zeros_like(average), where=before > 0)
        return logits(average)
    return average


def logits(probabilities: Floats) -> Floats:
    """The logit of each probability; 0 and 1 count as 1e-12 from it."""
    inside = np.clip(probabilities, _SUREST, 1 - _SUREST)
    return np.asarray(np.log(inside) - np.log1p(-inside))
