"""Who is on which row, as numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd

from agelens.evaluation.bootstrap.groupings import Codes


def person_codes(frame: pd.DataFrame) -> Codes:
    """A number [N] from 0 for the person of each row of a predictions table.

    Subjects of different datasets are different people; a row of unknown subject is
    somebody of its own, the same in all rows of that `sample_id`.
    """
    subject = frame["subject"].cat.codes.to_numpy(dtype=np.int64)
    dataset = frame["dataset"].cat.codes.to_numpy(dtype=np.int64)
    known = subject >= 0
    sample, _ = pd.factorize(frame["sample_id"])
    # Two ranges of keys that do not meet: known people below zero, samples from it up.
    person = -1 - (subject * (dataset.max(initial=0) + 2) + dataset + 1)
    codes, _ = pd.factorize(np.where(known, person, sample))
    return codes.astype(np.int64)
