"""What the networks say of aligned faces, in the words of results."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agelens.inference.calibration import Calibration
from agelens.inference.network import ChipNetwork
from agelens.inference.stated_ages import stated_ages
from agelens.records import RGB, AgeEstimate, Gender


class FaceAnswers:
    """Ages, and genders where a network tells them, of chips cut as the networks' cards say.

    Args:
        age: answers ages.
        gender: answers genders.
        level: share that an interval is to hold.
        calibration: corrects ages and intervals; None leaves them as the network has them.
    """

    def __init__(
        self,
        age: ChipNetwork,
        gender: ChipNetwork | None,
        *,
        level: float,
        calibration: Calibration | None,
    ) -> None:
        self._age = age
        self._gender = gender
        self._level = level
        self._calibration = calibration

    def ages(
        self, chips: Sequence[RGB], genders: Sequence[Gender] | None = None
    ) -> list[AgeEstimate]:
        """One a chip [S, S, 3]; `genders` are for calibrations that tell them apart."""
        if not chips:
            return []
        rows = self._age.answers(np.stack(chips))
        read = self._age.read(rows)
        stated = stated_ages(read, self._level, self._calibration, genders)
        return [
            AgeEstimate(
                age_years=float(stated.age_years[face]),
                median_years=float(stated.median_years[face]),
                low_years=float(stated.low_years[face]),
                high_years=float(stated.high_years[face]),
                interval_level=self._level,
                coverage=stated.coverage,
                distribution=None if read.distribution is None else read.distribution[face],
                answer=rows[face],
            )
            for face in range(len(rows))
        ]

    def genders(self, chips: Sequence[RGB]) -> list[tuple[Gender, float]]:
        """The likelier one of each chip with its probability; nothing without a network."""
        if not chips or self._gender is None:
            return []
        labels = self._gender.card.labels
        return [
            ("female" if labels[int(p.argmax())] == "female" else "male", float(p.max()))
            for p in self._gender.answers(np.stack(chips))
        ]
