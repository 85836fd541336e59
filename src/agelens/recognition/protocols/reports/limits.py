"""What a recognition figure must not be used for, as it stands on every page with one."""

from __future__ import annotations

from typing import Final

LIMITS: Final = (
    "A match is a hint, not proof of who somebody is. Nobody may be let in, turned away, accused, "
    "searched or arrested because of one: a person must look, and the one concerned must be heard.",
    "Do not search for people who have not agreed to be found, nor watch places where people have "
    "not been asked; in many countries that is forbidden by law.",
    "The figures hold for people and pictures like those of the table. The more people are "
    "searched, the more strangers look alike: rank-1 among a thousand pictures promises nothing "
    "among a million.",
    "False matches are not spread evenly over sexes, ages and ethnic groups, and children are told "
    "apart worst. Few tables say enough to measure it: that a group is not listed here does "
    "not mean that it is treated like the others.",
    "Intervals say how much a figure would move with other people of the same kind, in the same "
    "gallery. They know nothing of wrong labels, nor of people whom the network was trained on.",
)

MODEL_MADE_AGES: Final = (
    "Some ages here are another model's estimates (age_kind estimated): an age gap between them is "
    "as wrong as they are."
)
SUBJECTS_UNKNOWN: Final = (
    "The table does not say who is on every picture. Pictures that no pair joins then count "
    "as different people, which makes intervals too narrow."
)
