"""Training and validation part, with nobody in both."""

from __future__ import annotations

import numpy as np

from agelens.errors import UsageError
from agelens.recognition.light.faces import IdentityFaces


def by_people(
    faces: IdentityFaces, valid_share: float, seed: int
) -> tuple[IdentityFaces, IdentityFaces]:
    """`faces` in two: a random `valid_share` of the people comes second, whole.

    The same names and seed give the same people, whatever the order of the rows.

    Raises:
        UsageError: either part would have fewer than two people.
    """
    count = round(valid_share * len(faces.names))
    if min(count, len(faces.names) - count) < 2:
        raise UsageError(
            f"{valid_share:g} of {len(faces.names)} people leave fewer than two in one part; "
            "choose a share nearer to 0.2, or give more people"
        )
    chosen = np.random.default_rng(seed).permutation(len(faces.names))[:count]
    valid = np.isin(faces.people, chosen)
    return faces.take(~valid), faces.take(valid)
